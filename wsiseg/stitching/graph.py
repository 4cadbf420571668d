"""A thin dask graph around the kernels: blocks of level 0, then each coarser cell from the four under it."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

from dask.delayed import Delayed, delayed

from wsiseg.geometry import ceil_div

Cell = tuple[int, int, int]
"""(level, cell row, cell column)."""


def pyramid_graph(
    name: str,
    level_shapes: list[tuple[int, int]],
    cell_px: int,
    wanted: Container[tuple[int, int]],
    done: Container[Cell],
    do: Callable[[Cell], Any],
) -> list[Delayed]:
    """Return the tasks that are still to do, coarser ones depending on the finer ones that they are made of.

    `name` sets the keys of one pyramid apart from those of another. `wanted` holds the (row, column) of
    the level-0 cells to compute; others stay fill value, and so do coarser cells with nothing under
    them. `do` does one cell and returns next to nothing: pixels go through the store.
    """
    tasks: list[Delayed] = []
    below: dict[tuple[int, int], Delayed | None] = {}
    for level, shape in enumerate(level_shapes):
        here: dict[tuple[int, int], Delayed | None] = {}
        for row in range(ceil_div(shape[0], cell_px)):
            for column in range(ceil_div(shape[1], cell_px)):
                under = [(2 * row + y, 2 * column + x) for y in (0, 1) for x in (0, 1)]
                if (row, column) not in wanted if level == 0 else not any(cell in below for cell in under):
                    continue
                here[row, column] = None
                if (level, row, column) in done:
                    continue
                needs = [task for cell in under if (task := below.get(cell)) is not None]
                task = delayed(_after, pure=False)(
                    do, (level, row, column), needs, dask_key_name=f"{name}/{level}/{row}/{column}"
                )
                here[row, column] = task
                tasks.append(task)
        below = here
    return tasks


def _after(do: Callable[[Cell], Any], cell: Cell, needs: list[Any]) -> Any:
    """Do a cell once everything it needs has been done."""
    del needs
    return do(cell)
