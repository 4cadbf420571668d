"""Regions in two PNGs of any size, decoded once to raw files from which any rectangle is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsiseg.class_map import NOT_ANALYSED
from wsiseg.datasets.breast_regions import RegionList
from wsiseg.datasets.pictures import Values, apply_values
from wsiseg.errors import InputRefusedError
from wsiseg.geometry import Region
from wsiseg.slides.array import ArraySlide
from wsiseg.slides.png_rows import PngHeader, ScratchRows, as_rgb, decode_to_scratch, read_png_header
from wsiseg.slides.slide import Slide
from wsiseg.whole_files import appears_whole

Convert = Callable[[PngHeader, NDArray[np.uint8]], NDArray[np.uint8]]


@dataclass(frozen=True, eq=False)
class TrainingRegion:
    """A region whose two PNGs were decoded to raw files, so that any patch is read without the rest."""

    name: str
    group: str
    rgb: ScratchRows
    truth: ScratchRows
    """(rows, columns, 1) label ids; 255 is ignored."""

    def open(self) -> Slide:
        """Return the picture as a slide of one level, without mpp."""
        return ArraySlide(self.rgb, name=self.name)

    def labels(self, region: Region, factor_l0: tuple[float, float]) -> NDArray[np.uint8]:
        """Return label ids (rows, columns) of a rectangle of a frame, from the nearest pixels; 255 beyond.

        `factor_l0` is (x, y) pixels of the label image per pixel of that frame.
        """
        out = np.full(region.shape, NOT_ANALYSED, np.uint8)
        columns = np.floor((region.x + np.arange(region.width) + 0.5) * factor_l0[0]).astype(np.int64)
        rows = np.floor((region.y + np.arange(region.height) + 0.5) * factor_l0[1]).astype(np.int64)
        height, width, _ = self.truth.shape
        across, down = (columns >= 0) & (columns < width), (rows >= 0) & (rows < height)
        if across.any() and down.any():
            columns, rows = columns[across], rows[down]
            under = self.truth[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1, 0]
            out[np.ix_(down, across)] = under[np.ix_(rows - rows[0], columns - columns[0])]
        return out


def decode_regions(regions: RegionList, folder: Path) -> tuple[TrainingRegion, ...]:
    """Decode the regions of a list into raw files in a folder; what is there already is used.

    Takes 4 bytes of disk per pixel. Raises InputRefusedError as `decode_region` does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return tuple(
        TrainingRegion(pair.name, pair.group, *decode_region(pair.image, pair.labels, regions.values, folder))
        for pair in regions.pairs
    )


def decode_region(image: Path, labels: Path, values: Values, folder: Path) -> tuple[ScratchRows, ScratchRows]:
    """Return RGB (rows, columns, 3) and label ids (rows, columns, 1) of two PNGs, decoded into `folder`.

    `values` says what the values of the label image mean. Raises InputRefusedError for files that are
    damaged, differ in size or hold other values.
    """
    sizes = [(header.width_px, header.height_px) for header in map(read_png_header, (image, labels))]
    if sizes[0] != sizes[1]:
        raise InputRefusedError(
            f"{image}: is {sizes[0][0]} x {sizes[0][1]} px, its labels are {sizes[1][0]} x {sizes[1][1]}: "
            "expected one size"
        )

    def as_labels(header: PngHeader, samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if header.channels not in (1, 3) or (samples != samples[..., :1]).any():
            raise InputRefusedError(f"{labels}: is a colour picture: expected label ids, in equal channels")
        return apply_values(samples[..., :1], values, labels)

    return (
        _once(image, folder, as_rgb, (sizes[0][1], sizes[0][0], 3)),
        _once(labels, folder, as_labels, (sizes[0][1], sizes[0][0], 1)),
    )


def _once(path: Path, folder: Path, convert: Convert, shape: tuple[int, int, int]) -> ScratchRows:
    """Decode a PNG unless its raw file is there; another file, or another version of it, has another name."""
    known = path.stat()
    mark = sha256(f"{path.resolve()} {known.st_size} {known.st_mtime_ns} {shape}".encode()).hexdigest()[:16]
    raw = folder / f"{mark}.raw"
    if not raw.is_file():
        with appears_whole(raw) as partial:
            decode_to_scratch(path, partial, convert)
    return ScratchRows(raw, shape)
