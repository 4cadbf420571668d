"""Logits of a picture of any size, tile by tile, at its full resolution or at the network's own.

The picture is averaged down by `factor`, the network sees tiles with a halo, and its logits are up-sampled
bilinearly to the picture's own pixels. Weights depend on a pixel's place in the whole picture alone: where
the halo holds all that the network looks at, the tiling does not show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsiseg.geometry import Region
from wsiseg.models.card import shrink_of
from wsiseg.models.model import Model
from wsiseg.models.normalise import Segmenter
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
    """Tiles of logits that cover a picture exactly once.

    The network sees `frame`; the logits are those of the picture's finest level, or of `frame` itself where
    `upsampled` is false.
    """

    def __init__(
        self,
        model: Model,
        device: torch.device,
        slide: Slide,
        frame: Frame,
        *,
        tile_px: int,
        halo_px: int,
        upsampled: bool = True,
    ) -> None:
        self.frame = frame
        level = slide.levels[0]
        size = (level.width_px, level.height_px) if upsampled else (frame.width_px, frame.height_px)
        self.region = Region(0, 0, *size)
        """All that there are logits of."""
        self.factor = frame.factor_l0 if upsampled else (1.0, 1.0)
        """(x, y) pixels of the result per pixel of the frame."""
        self.reader = FrameReader(slide, frame, slide.background)
        phase = model.input_multiple * shrink_of(model.card)
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

    def tiles(self, wanted: Callable[[Region], bool]) -> Iterator[TileLogits]:
        """Yield the tiles whose region of the result is `wanted`; the others are not looked at."""
        for row, column in self.grid.blocks():
            tile = self.grid.block(row, column)
            region = self.region_of(tile)
            if not wanted(region):
                continue
            at = self.grid.tile_input(tile)
            rgb, missing = self.reader.read(at)
            with torch.inference_mode():
                logits = self._segmenter.logits(torch.from_numpy(rgb[None]).to(self._device)).float()[0]
            yield TileLogits(self, region, at, logits, missing)

    def region_of(self, tile: Region) -> Region:
        """Return the pixels of the result that a tile answers for."""
        x, right = (_first(place, self.factor[0], self.region.width) for place in (tile.x, tile.right))
        y, bottom = (_first(place, self.factor[1], self.region.height) for place in (tile.y, tile.bottom))
        return Region(x, y, right - x, bottom - y)


class Strip(NamedTuple):
    """Some rows of a tile of the result."""

    region: Region
    logits: Tensor
    """(channels, rows, columns) float32."""
    unread: NDArray[np.bool_] | None
    """(rows, columns); None where all could be read."""


@dataclass(frozen=True, slots=True, eq=False)
class TileLogits:
    """What the network says about a tile, before it is up-sampled."""

    whole: TiledLogits
    region: Region
    """The pixels of the result that the tile answers for."""
    at: Region
    """Where `logits` lie in the network's frame: the tile and its halo."""
    logits: Tensor
    """(channels, rows, columns) float32."""
    missing: NDArray[np.bool_] | None

    def strips(self) -> Iterator[Strip]:
        """Yield the tile from the top down, up-sampled, as many rows at once as memory is given."""
        region = self.region
        rows = max(1, STRIP_VALUES // (len(self.logits) * region.width))
        for top in range(region.y, region.bottom, rows):
            strip = Region(region.x, top, region.width, rows).intersect(region)
            with torch.inference_mode():
                logits = self._upsample(strip)
            yield Strip(strip, logits, self._unread(strip))

    def _upsample(self, strip: Region) -> Tensor:
        frame, logits, at = self.whole.frame, self.logits, self.at
        factor_x, factor_y = self.whole.factor
        if factor_x == factor_y == 1:
            rows, columns = strip.slices_in(at)
            return logits[:, rows, columns]
        low, high, share = _taps(strip.y, strip.height, factor_y, frame.height_px, at.y, logits.device)
        tall = torch.lerp(logits[:, low], logits[:, high], share[:, None])
        low, high, share = _taps(strip.x, strip.width, factor_x, frame.width_px, at.x, logits.device)
        return torch.lerp(tall[:, :, low], tall[:, :, high], share)

    def _unread(self, strip: Region) -> NDArray[np.bool_] | None:
        """Return what of a strip is unread: pixels whose own place in the network's frame is."""
        if self.missing is None:
            return None
        factor_x, factor_y = self.whole.factor
        rows = ((np.arange(strip.y, strip.bottom) + 0.5) / factor_y).astype(np.int64) - self.at.y
        columns = ((np.arange(strip.x, strip.right) + 0.5) / factor_x).astype(np.int64) - self.at.x
        return np.asarray(self.missing[np.ix_(rows, columns)])


def _taps(
    start: int, count: int, factor: float, length: int, origin: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the two neighbours of each pixel along one axis, and the second one's share.

    As `torch.nn.functional.interpolate` has them (align_corners=False), from the whole frame's origin.
    """
    place = np.clip((np.arange(start, start + count) + 0.5) / factor - 0.5, 0, length - 1)
    low = np.minimum(np.floor(place).astype(np.int64), max(0, length - 2))
    high = np.minimum(low + 1, length - 1)
    share = torch.from_numpy((place - low).astype(np.float32)).to(device)
    return torch.from_numpy(low - origin).to(device), torch.from_numpy(high - origin).to(device), share


def _first(place: int, factor: float, limit: int) -> int:
    """Return the first full-resolution pixel at or after a place of the frame."""
    return min(limit, math.ceil(place * factor - 1e-6))
