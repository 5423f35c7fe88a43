"""The entry point of the command `asyncdsm` and of `python -m asyncdsm`."""

import sys


def main() -> int:
    """Run the command line; return its exit code."""
    try:
        from asyncdsm.cli import main  # noqa: PLC0415
    except KeyboardInterrupt:
        return 130
    return main.main()


if __name__ == "__main__":
    sys.exit(main())
