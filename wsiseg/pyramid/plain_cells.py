"""Cells of one value, of which a slide's glass makes most: known without being read, and encoded once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsiseg.whole_files import appears_whole

Cell = tuple[str, int, int, int]
"""Kind, level, row and column."""
Content = tuple[str, tuple[int, ...], int]
"""Kind, shape and value: what a shard's bytes depend on."""


class PlainCells:
    """What one process knows of the cells that it wrote. Safe for threads that write different cells."""

    def __init__(self) -> None:
        self._values: dict[Cell, int] = {}
        self._shards: dict[Content, bytes] = {}

    def note(self, cell: Cell, pixels: NDArray[np.uint8]) -> int | None:
        """Remember what a cell gets; return its value where it has only one."""
        value = plain_value(pixels)
        if value is None:
            self._values.pop(cell, None)
        else:
            self._values[cell] = value
        return value

    def value_of(self, cells: list[Cell]) -> int | None:
        """Return the one value of all these cells; None where they have more, or it is not known."""
        values = {self._values.get(cell) for cell in cells}
        return values.pop() if len(values) == 1 else None

    def keep(self, content: Content, shard: Path) -> None:
        """Keep the bytes of a shard that was written."""
        self._shards[content] = shard.read_bytes()

    def write(self, content: Content, shard: Path) -> bool:
        """Write a shard as one like it was written, whole or not at all; False where there was none."""
        encoded = self._shards.get(content)
        if encoded is None:
            return False
        shard.parent.mkdir(parents=True, exist_ok=True)
        with appears_whole(shard) as temporary:
            temporary.write_bytes(encoded)
        return True


def plain_value(pixels: NDArray[np.uint8]) -> int | None:
    """Return the only value of some pixels, or None."""
    first = pixels.flat[0]
    return int(first) if pixels.flat[-1] == first and (pixels == first).all() else None
