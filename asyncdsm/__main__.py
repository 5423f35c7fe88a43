"""The command `asyncdsm`, and `python -m asyncdsm`."""

import sys


def main() -> int:
    """Run the command line; return its exit code."""
    try:
        from asyncdsm import cli  # noqa: PLC0415  (Ctrl-C may come while it is imported)
    except KeyboardInterrupt:
        return 130
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
