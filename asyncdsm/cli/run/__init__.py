"""`asyncdsm run`: a program's clients followed without a line of its own.

`launch` starts the program, with `bootstrap` on its PYTHONPATH: the `sitecustomize` there runs first in every Python
process that comes of it. `start` is what it does, `imports` tells it when a client has been imported.
"""
