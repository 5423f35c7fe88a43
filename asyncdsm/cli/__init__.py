"""The command `asyncdsm`: one module or package for each subcommand."""
