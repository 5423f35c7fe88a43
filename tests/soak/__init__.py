"""An hour of mixed load through real brokers: memory stays flat, and no checkpoint is lost. `nox -s soak`.

`program` is what is soaked, in a process of its own; `__main__` runs the brokers and an agent around it and watches it;
`verdict` says what is wrong.
"""
