"""One level of a pyramid as napari takes it: an array that is read when it is indexed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wsiseg.geometry import Region
from wsiseg.viewing.levels import Pixels

if TYPE_CHECKING:
    from napari_wsiseg.tiles import TiledLevels

TILE_PX = 512


class LevelArray:
    """One level, as an array that is read when it is indexed."""

    dtype = np.dtype(np.uint8)

    def __init__(self, owner: TiledLevels, level: int, shape: tuple[int, int]) -> None:
        self.owner = owner
        self.level = level
        rgb = (3,) if len(owner.levels.fill) == 3 else ()
        self.shape = (*shape, *rgb)
        self.ndim = len(self.shape)
        self.size = int(np.prod(self.shape))
        self.chunks = (TILE_PX, TILE_PX, *rgb)

    def __getitem__(self, key: Any) -> Pixels:
        keys = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis in keys:
            place = keys.index(Ellipsis)
            keys[place : place + 1] = [slice(None)] * (self.ndim - len(keys) + 1)
        keys += [slice(None)] * (self.ndim - len(keys))
        spans, after = [], []
        for item, length in zip(keys[:2], self.shape[:2], strict=True):
            if isinstance(item, slice):
                span = range(length)[item]
                spans.append((min(span[0], span[-1]), max(span[0], span[-1]) + 1) if span else (0, 0))
                after.append(slice(None, None, span.step))
            else:
                at = range(length)[int(item)]
                spans.append((at, at + 1))
                after.append(0)
        (top, bottom), (left, right) = spans
        if self._is_all(spans) and self.level == len(self.owner.shapes) - 1:
            pixels = self.owner.base
        else:
            pixels = self.owner.view(self.level, Region(left, top, right - left, bottom - top))
        return pixels[(*after, *keys[2:])]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Pixels:
        return np.asarray(self[...], dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def _is_all(self, spans: list[tuple[int, int]]) -> bool:
        return spans == [(0, self.shape[0]), (0, self.shape[1])]
