"""`asyncdsm run`: runs a program and follows the messages of its clients, without any change to the program.

`launch` replaces this process by the program, with the folder `bootstrap` on its PYTHONPATH. Every Python process of
the program then first runs the `sitecustomize` in that folder, which calls `start`. `import_hook` calls back when the
program has imported a client.
"""
