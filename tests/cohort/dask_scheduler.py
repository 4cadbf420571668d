"""A dask scheduler in a process of its own, which says its address: python dask_scheduler.py [SLIDE | CELLS].

With a slide's name it dies by kill -9 when a worker tells that it has begun that slide; with a number, when
so many cells of a slide that is spread are done.
"""

import asyncio
import os
import signal
import sys

from distributed import Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin


class Dies(SchedulerPlugin):
    """The fault, at a place of its own."""

    def __init__(self, when):
        self.when = when
        self.cells = 0

    def log_event(self, topic, msg):
        """A worker tells."""
        if topic == "wsiseg" and msg["slide"] == self.when:
            die()

    def transition(self, key, start, finish, *args, **kwargs):
        """A task changes its state."""
        if finish == "memory" and str(key).startswith("gate-"):
            self.cells += 1
            if str(self.cells) == self.when:
                die()


def die():
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


async def main():
    async with Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler:
        for when in sys.argv[1:]:
            scheduler.add_plugin(Dies(when))
        sys.stdout.write(f"{scheduler.address}\n")
        sys.stdout.flush()
        await scheduler.finished()


if __name__ == "__main__":
    asyncio.run(main())
