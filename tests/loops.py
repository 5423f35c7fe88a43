"""Event loops other than asyncio's own, for a whole test run: `pytest --loop uvloop`."""

from __future__ import annotations

import asyncio
import sys

LOOPS = ("uvloop", "eager")


def use(name: str) -> None:
    """Have every event loop that is made from here on be of this kind.

    `eager` is asyncio's own, whose tasks begin where they are made (Python 3.12 and newer).
    """
    if name == "uvloop":
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    else:
        asyncio.set_event_loop_policy(_Eager())


class _Eager(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        if sys.version_info < (3, 12):
            raise RuntimeError("eager tasks came with Python 3.12")
        loop = super().new_event_loop()
        loop.set_task_factory(asyncio.eager_task_factory)
        return loop
