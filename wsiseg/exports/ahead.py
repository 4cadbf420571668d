"""The same work on many things by several threads: results in order, and few of them held at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from wsiseg.inference.runtime import usable_cpus

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_THREADS = 4
"""Of one step: what each holds adds up, and beyond a few the step that is in order has to be waited for."""


def ahead(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield `function(item)` of each item in order, as `map` does, by as many threads as there are CPUs.

    The caller's thread takes the items, at most MOST_THREADS of them before their results.
    """
    threads = min(MOST_THREADS, usable_cpus())
    if threads == 1:
        yield from map(function, items)
        return
    under_way: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="wsiseg-export")
    try:
        for item in items:
            under_way.append(pool.submit(function, item))
            if len(under_way) >= threads:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
