"""Slides to be scored: labels by the way of a prediction, or of a result that is there already.

`PredictedSlide` goes the way of `wsiseg predict` (plan, reader, runtime, stitching) and keeps nothing; only
tiles with truth in them are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsiseg.class_map import NOT_ANALYSED
from wsiseg.errors import InputRefusedError
from wsiseg.evaluation.by_case import Labels, Piece
from wsiseg.exports.label_store import LabelStore, open_label_store
from wsiseg.geometry import Region, ceil_div
from wsiseg.inference.runtime import Runtime
from wsiseg.models import ModelCard
from wsiseg.run.plan import RunPlan
from wsiseg.run.run_record import fingerprint
from wsiseg.slides import slide_id
from wsiseg.slides.slide import Slide
from wsiseg.stitching.kernel import Mask, SegmentedTile, crop_tile, stitch_block
from wsiseg.tiling.frame import Frame, FrameReader

Truth = Callable[[Region, tuple[float, float]], Labels]
"""Label ids of a rectangle of a frame that has so many level-0 pixels (x, y) per pixel; 255 unknown."""
BLOCK_PX = 2048


@dataclass(frozen=True, slots=True, eq=False)
class PredictedSlide:
    """See `wsiseg.evaluation.by_case.LabelledCase`; its labels are predicted block by block."""

    name: str
    group: str
    plan: RunPlan
    runtime: Runtime
    truth: Truth
    table: NDArray[np.uint8]
    """(256,): from the model's label ids to those of the data set; 254 and 255 stay."""

    def pieces(self) -> Iterator[Piece]:
        """Yield the blocks that have truth in them."""
        for at in self.plan.grid.blocks():
            block = self.plan.grid.block(*at)
            truth = self.truth(block, self.plan.frame.factor_l0)
            wanted = truth != NOT_ANALYSED
            if wanted.any():
                yield Piece(block, truth, self.table[self.predict(block, wanted)])

    def predict(self, block: Region, wanted: Mask) -> Labels:
        """Return the model's labels of a block; tiles in which nothing is `wanted` are not looked at."""
        grid = self.plan.grid
        tiles = [tile for tile in grid.tiles(block) if wanted[tile.slices_in(block)].any()]
        tissue = self.plan.tissue.pixels(block)
        return stitch_block(block, tiles, lambda all_of: map(self._segment_tile, all_of), tissue, None).labels

    def picture(self, region: Region) -> NDArray[np.uint8]:
        """Return RGB (rows, columns, 3)."""
        return self._reader().read(region)[0]

    def _segment_tile(self, tile: Region) -> SegmentedTile:
        halo_px = self.plan.grid.halo_px
        rgb, missing = self._reader().read(self.plan.grid.tile_input(tile))
        return SegmentedTile(
            labels=crop_tile(self.runtime.predict(rgb[None]).labels[0], tile, halo_px),
            unread=None if missing is None else crop_tile(missing, tile, halo_px),
        )

    def _reader(self) -> FrameReader:
        return FrameReader(self.plan.slide, self.plan.frame, self.plan.outside)


@dataclass(frozen=True, slots=True, eq=False)
class StoredSlide:
    """See `wsiseg.evaluation.by_case.LabelledCase`; its labels are those of a finished result."""

    name: str
    group: str
    slide: Slide
    store: LabelStore
    truth: Truth
    table: NDArray[np.uint8]
    """As in `PredictedSlide`."""

    def pieces(self) -> Iterator[Piece]:
        """Yield the blocks that have truth in them."""
        rows, columns = self.store.shape(0)
        whole = Region(0, 0, columns, rows)
        for row in range(ceil_div(rows, BLOCK_PX)):
            for column in range(ceil_div(columns, BLOCK_PX)):
                block = Region(column * BLOCK_PX, row * BLOCK_PX, BLOCK_PX, BLOCK_PX).intersect(whole)
                truth = self.truth(block, self.store.factor_l0)
                if (truth != NOT_ANALYSED).any():
                    yield Piece(block, truth, self.table[self.store.read(0, block)])

    def picture(self, region: Region) -> NDArray[np.uint8]:
        """Return RGB (rows, columns, 3)."""
        rows, columns = self.store.shape(0)
        frame = Frame(
            mpp=self.store.mpp or (1.0, 1.0),
            width_px=columns,
            height_px=rows,
            factor_l0=self.store.factor_l0,
        )
        return FrameReader(self.slide, frame, self.slide.background).read(region)[0]


def result_of(slide: Slide, folder: Path, card: ModelCard) -> LabelStore:
    """Open the result of a slide in a folder of results.

    Raises InputRefusedError where it is missing, of another file, or of another model.
    """
    path = folder / f"{slide_id(slide.source)}.wsiseg.ome.zarr"
    store = open_label_store(path)
    expected = f"{slide.name}/{fingerprint(slide)}/{card.weights_sha256}"
    if store.identity != expected:
        raise InputRefusedError(
            f"{path}: was made of another file or by another model than {slide.name} and {card.name}: "
            "predict it again, or leave predictions out"
        )
    if [item.name for item in store.classes.classes] != [item.name for item in card.classes]:
        raise InputRefusedError(f"{path}: has other classes than model {card.name}: predict it again")
    return store
