"""The result store: an RGB image pyramid and, under `labels/tissue`, the label pyramid (OME-Zarr).

Every shard (or chunk, in NGFF 0.4) is written whole by one task, so there are no locks. A store holds
no dates and no timings: the same run gives the same bytes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

from wsiseg.class_map import NOT_ANALYSED, ClassMap
from wsiseg.geometry import Region, ceil_div
from wsiseg.pyramid import metadata
from wsiseg.pyramid.levels import level_shapes
from wsiseg.pyramid.metadata import LABEL_NAME, NgffVersion

CHUNK_PX = 512
IMAGE_SHARD_PX = 1024
TISSUE_MASK = "tissue_mask"

Kind = Literal["label", "image"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLayout:
    """Everything that fixes the shape of a store."""

    version: NgffVersion
    name: str
    """Of the slide; shown by viewers."""
    unit: str | None
    """"micrometer"; None for a photo, whose pixels are 1."""
    label_shape: tuple[int, int]
    label_pixel: tuple[float, float]
    """(x, y) `unit` per pixel."""
    image_shape: tuple[int, int]
    image_pixel: tuple[float, float]
    block_px: int
    """Side of a label shard: one block."""

    @property
    def label_levels(self) -> list[tuple[int, int]]:
        """(rows, columns) of every label level."""
        return level_shapes(*self.label_shape)

    @property
    def image_levels(self) -> list[tuple[int, int]]:
        """(rows, columns) of every image level: as many as the labels have."""
        shapes = [self.image_shape]
        while len(shapes) < len(self.label_levels):
            shapes.append((ceil_div(shapes[-1][0], 2), ceil_div(shapes[-1][1], 2)))
        return shapes

    def levels(self, kind: Kind) -> list[tuple[int, int]]:
        """(rows, columns) of every level of one pyramid."""
        return self.label_levels if kind == "label" else self.image_levels

    def cell_px(self, kind: Kind) -> int:
        """Side of what one task writes at every level of one pyramid."""
        return self.block_px if kind == "label" else IMAGE_SHARD_PX

    def cell(self, kind: Kind, level: int, row: int, column: int) -> Region:
        """Return the pixels of one task's cell, clipped to its level."""
        side = self.cell_px(kind)
        rows, columns = self.levels(kind)[level]
        return Region(column * side, row * side, side, side).intersect(Region(0, 0, columns, rows))


class ResultStore:
    """A store that is open for writing and reading by cells. Create it with `create`, open it with `open`."""

    def __init__(self, path: Path, layout: StoreLayout) -> None:
        self.path = path
        self.layout = layout
        root = zarr.open_group(str(path), mode="r+")
        self._arrays: dict[tuple[Kind, int], Any] = {}
        for level in range(len(layout.label_levels)):
            self._arrays["label", level] = root[f"labels/{LABEL_NAME}/{level}"]
            self._arrays["image", level] = root[str(level)]

    def write(self, kind: Kind, level: int, row: int, column: int, pixels: NDArray[np.uint8]) -> int:
        """Write one whole cell and bring it to the disk; return the bytes that its files take.

        Labels are (rows, columns), images (3, rows, columns). Files left by an interrupted write of the
        same cell are removed first: zarr reads an old shard before it replaces it, and fails on a torn one.
        """
        for file in self.files(kind, level, row, column):
            file.unlink()
        at = self.layout.cell(kind, level, row, column)
        rows, columns = at.slices_in(Region(0, 0, 0, 0))
        self._arrays[kind, level][(..., rows, columns)] = pixels
        written = list(self.files(kind, level, row, column))
        for file in written:
            _sync(file)
        return sum(file.stat().st_size for file in written)

    def read(self, kind: Kind, level: int, region: Region) -> NDArray[np.uint8]:
        """Read a rectangle of one level: (rows, columns) labels or (3, rows, columns) image."""
        rows, columns = region.slices_in(Region(0, 0, 0, 0))
        pixels: NDArray[np.uint8] = self._arrays[kind, level][(..., rows, columns)]
        return pixels

    def files(self, kind: Kind, level: int, row: int, column: int) -> Iterator[Path]:
        """Yield the existing files of one cell. A cell that is all fill value has none."""
        folder = self.path / (f"labels/{LABEL_NAME}/{level}" if kind == "label" else str(level))
        lead = () if kind == "label" else ("0",)
        if self.layout.version == "0.5":
            names = [("c", *lead, str(row), str(column))]
        else:
            chunks = self.layout.cell_px(kind) // CHUNK_PX
            names = [
                (*lead, str(row * chunks + y), str(column * chunks + x))
                for y in range(chunks)
                for x in range(chunks)
            ]
        for parts in names:
            file = folder.joinpath(*parts)
            if file.is_file():
                yield file

    def size_of(self, task: str) -> int:
        """Return the bytes that the files of a task `kind/level/row/column` take."""
        kind, level, row, column = task.split("/")
        if kind not in ("label", "image"):
            return -1
        files = self.files("label" if kind == "label" else "image", int(level), int(row), int(column))
        return sum(file.stat().st_size for file in files)

    def sweep(self) -> None:
        """Remove the temporary files that killed writers left behind."""
        for file in self.path.rglob("*.partial"):
            file.unlink()


def create_store(
    path: Path,
    layout: StoreLayout,
    classes: ClassMap,
    own: dict[str, Any],
    tissue: NDArray[np.bool_],
    cell_px: int,
) -> ResultStore:
    """Write the metadata of an empty store; what is not computed yet reads as 255 (labels) or white (image).

    `own` goes into the root's attribute `wsiseg`. Whatever lies at `path` is removed.
    """
    if path.exists():
        shutil.rmtree(path)
    version: Literal[2, 3] = 3 if layout.version == "0.5" else 2
    levels = len(layout.label_levels)
    root = zarr.create_group(
        str(path),
        zarr_format=version,
        attributes={
            **metadata.image_attributes(layout.version, layout.name, layout.image_pixel, layout.unit, levels),
            "wsiseg": own,
        },
    )
    labels = root.create_group("labels", attributes=metadata.labels_attributes(layout.version))
    tissue_label = labels.create_group(
        LABEL_NAME,
        attributes=metadata.label_attributes(
            layout.version, classes, layout.label_pixel, layout.unit, levels
        ),
    )
    for level in range(levels):
        _create_array(tissue_label, str(level), layout, "label", level)
        _create_array(root, str(level), layout, "image", level)
    scale = [layout.label_pixel[1] * cell_px, layout.label_pixel[0] * cell_px]
    root.create_array(
        TISSUE_MASK,
        data=tissue.astype(np.uint8),
        chunks=tissue.shape,
        dimension_names=("y", "x") if version == 3 else None,
        attributes={
            "scale": scale,
            "unit": layout.unit or "pixel",
            "values": {"0": "no tissue", "1": "tissue"},
        },
    )
    for file in path.rglob("*"):
        if file.is_file():
            _sync(file)
    return ResultStore(path, layout)


def _create_array(group: Any, name: str, layout: StoreLayout, kind: Kind, level: int) -> None:
    rows, columns = layout.levels(kind)[level]
    lead = () if kind == "label" else (3,)
    shape = (*lead, rows, columns)
    chunks = (*lead, CHUNK_PX, CHUNK_PX)
    fill = NOT_ANALYSED if kind == "label" else 255
    if layout.version == "0.5":
        side = layout.cell_px(kind)
        group.create_array(
            name,
            shape=shape,
            dtype="uint8",
            chunks=chunks,
            shards=(*lead, side, side),
            compressors=ZstdCodec(level=3),
            fill_value=fill,
            dimension_names=("y", "x") if kind == "label" else ("c", "y", "x"),
        )
    else:
        group.create_array(
            name,
            shape=shape,
            dtype="uint8",
            chunks=chunks,
            compressors={"id": "zlib", "level": 3},  # NGFF 0.4 is for Bio-Formats and QuPath: both read zlib
            fill_value=fill,
            chunk_key_encoding={"name": "v2", "separator": "/"},
        )


def _sync(file: Path) -> None:
    """Force a file to the disk: the journal must never know of bytes that a power cut can take back."""
    with file.open("r+b") as handle:
        os.fsync(handle.fileno())
