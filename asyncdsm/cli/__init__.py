"""The command `asyncdsm`: `main` parses the command line; each subcommand has a module or a package."""
