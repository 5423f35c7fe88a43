"""One contestant's process: `python -m benchmarks.contestant MODULE FUNCTION COUNT` prints its figure."""

from __future__ import annotations

import json
import sys
from importlib import import_module


def main() -> None:
    """Run the function and print what it returns, as the last line."""
    module, function, count = sys.argv[1:]
    print(json.dumps(getattr(import_module(f"benchmarks.{module}"), function)(int(count))))


if __name__ == "__main__":
    main()
