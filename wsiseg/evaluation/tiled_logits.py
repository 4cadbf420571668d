"""Logits of a picture of any size at its full resolution, tile by tile, from a network that sees it smaller.

The picture is averaged down by `factor`, the network sees tiles with a halo, and its logits are up-sampled
bilinearly to the picture's own pixels. Weights depend on a pixel's place in the whole picture alone: where
the halo holds all that the network looks at, the tiling does not show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsiseg.geometry import Region
from wsiseg.models.checkpoint import Model
from wsiseg.models.normalise import Segmenter, shrink_of
from wsiseg.slides.slide import Slide
from wsiseg.tiling.frame import Frame, FrameReader
from wsiseg.tiling.grid import TileGrid

STRIP_VALUES = 16_000_000
"""Up-sampled logits in memory at once: 64 MB, and as much again while they are made."""


def whole_frame(slide: Slide, factor: float) -> Frame:
    """Return the frame that sees the finest level of a picture `factor` times smaller, in pixels."""
    level = slide.levels[0]
    return Frame(
        mpp=(factor, factor),
        width_px=max(1, math.ceil(level.width_px / factor - 1e-6)),
        height_px=max(1, math.ceil(level.height_px / factor - 1e-6)),
        factor_l0=(factor, factor),
    )


class TiledLogits:
    """Strips of logits (channels, rows, columns) float32 that cover a picture's finest level exactly once."""

    def __init__(
        self, model: Model, device: torch.device, slide: Slide, frame: Frame, *, tile_px: int, halo_px: int
    ) -> None:
        self.slide = slide
        self.frame = frame
        self.reader = FrameReader(slide, frame, slide.background)
        phase = model.network.input_multiple * shrink_of(model.card)
        self.grid = TileGrid.fit(
            frame.width_px,
            frame.height_px,
            tile_px=tile_px,
            halo_px=max(
                halo_px, phase
            ),  # a pixel at a tile's edge lies between its logits and the next tile's
            block_px=tile_px,
            phase_px=phase,
        )
        self._device = device
        self._segmenter = Segmenter(model).to(device).eval()

    def strips(
        self, wanted: Callable[[Region], bool]
    ) -> Iterator[tuple[Region, Tensor, NDArray[np.bool_] | None]]:
        """Yield (full-resolution region, its logits, what could not be read there), tile by tile.

        Tiles of which `wanted` (given the full-resolution region) says no are not looked at.
        """
        for row, column in self.grid.blocks():
            tile = self.grid.block(row, column)
            region = self.region_of(tile)
            if not wanted(region):
                continue
            at = self.grid.tile_input(tile)
            rgb, missing = self.reader.read(at)
            with torch.inference_mode():
                logits = self._segmenter.logits(torch.from_numpy(rgb[None]).to(self._device)).float()[0]
            rows = max(1, STRIP_VALUES // (len(logits) * region.width))
            for top in range(region.y, region.bottom, rows):
                strip = Region(region.x, top, region.width, rows).intersect(region)
                with torch.inference_mode():
                    yield strip, self._upsample(logits, at, strip), self._unread(missing, at, strip)

    def region_of(self, tile: Region) -> Region:
        """Return the full-resolution pixels that a tile answers for."""
        level = self.slide.levels[0]
        factor_x, factor_y = self.frame.factor_l0
        x, right = (_first(place, factor_x, level.width_px) for place in (tile.x, tile.right))
        y, bottom = (_first(place, factor_y, level.height_px) for place in (tile.y, tile.bottom))
        return Region(x, y, right - x, bottom - y)

    def _upsample(self, logits: Tensor, at: Region, strip: Region) -> Tensor:
        factor_x, factor_y = self.frame.factor_l0
        if factor_x == factor_y == 1:
            rows, columns = strip.slices_in(at)
            return logits[:, rows, columns]
        low, high, share = self._taps(strip.y, strip.height, factor_y, self.frame.height_px, at.y)
        tall = torch.lerp(logits[:, low], logits[:, high], share[:, None])
        low, high, share = self._taps(strip.x, strip.width, factor_x, self.frame.width_px, at.x)
        return torch.lerp(tall[:, :, low], tall[:, :, high], share)

    def _taps(
        self, start: int, count: int, factor: float, length: int, origin: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the two neighbours of each pixel along one axis, and the second one's share.

        As `torch.nn.functional.interpolate` places them (align_corners=False), but from the whole frame's
        origin.
        """
        place = (np.arange(start, start + count) + 0.5) / factor - 0.5
        place = np.clip(place, 0, length - 1)
        low = np.minimum(np.floor(place).astype(np.int64), max(0, length - 2))
        high = np.minimum(low + 1, length - 1)
        share = (place - low).astype(np.float32)
        return tuple(
            torch.from_numpy(values).to(self._device) for values in (low - origin, high - origin, share)
        )  # type: ignore[return-value]

    def _unread(
        self, missing: NDArray[np.bool_] | None, at: Region, strip: Region
    ) -> NDArray[np.bool_] | None:
        """Return what of a strip is unread: pixels whose own place in the network's frame is."""
        if missing is None:
            return None
        factor_x, factor_y = self.frame.factor_l0
        rows = ((np.arange(strip.y, strip.bottom) + 0.5) / factor_y).astype(np.int64) - at.y
        columns = ((np.arange(strip.x, strip.right) + 0.5) / factor_x).astype(np.int64) - at.x
        return np.asarray(missing[np.ix_(rows, columns)])


def _first(place: int, factor: float, limit: int) -> int:
    """Return the first full-resolution pixel at or after a place of the frame."""
    return min(limit, math.ceil(place * factor - 1e-6))
