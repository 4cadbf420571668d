"""The result store: an RGB image pyramid, its labels in `labels/tissue`, and confidences (OME-Zarr).

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

from wsiseg import confidence
from wsiseg.class_map import NOT_ANALYSED, ClassMap
from wsiseg.confidence import Calibration
from wsiseg.geometry import Region, ceil_div
from wsiseg.pyramid import metadata
from wsiseg.pyramid.levels import level_shapes
from wsiseg.pyramid.metadata import LABEL_NAME, NgffVersion
from wsiseg.pyramid.plain_cells import PlainCells

CHUNK_PX = 512
IMAGE_SHARD_PX = 1024
TISSUE_MASK = "tissue_mask"

Kind = Literal["label", "image", "confidence"]
KINDS: tuple[Kind, ...] = ("label", "image", "confidence")
ZSTD_LEVEL = {"label": 3, "image": 1, "confidence": 3}
"""3 takes twice as long for an image, and saves 3 % of its bytes."""
FILL = {"label": NOT_ANALYSED, "image": 255, "confidence": confidence.NOT_ANALYSED}


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
    confidence: Calibration | None = None
    """Of the confidence pyramid, which has the label pyramid's shape; None: there is none."""

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
        return self.image_levels if kind == "image" else self.label_levels

    def cell_px(self, kind: Kind) -> int:
        """Side of what one task writes at every level of one pyramid."""
        return IMAGE_SHARD_PX if kind == "image" else self.block_px

    def path(self, kind: Kind, level: int) -> str:
        """Return where the array of a level is in the store."""
        if kind == "image":
            return str(level)
        if kind == "label":
            return f"labels/{LABEL_NAME}/{level}"
        return f"{'' if self.confidence is None else self.confidence.group}/{level}"

    def kinds_of(self, task_kind: Kind) -> tuple[Kind, ...]:
        """Return what a task of this kind writes: labels come with their confidences."""
        return (task_kind, "confidence") if task_kind == "label" and self.confidence else (task_kind,)

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
        self._plain = PlainCells()
        # To look for empty chunks takes zarr three times as long as to write: `write` knows of empty cells.
        # Where chunks are files, each that is empty would be one more.
        with zarr.config.set({"array.write_empty_chunks": layout.version == "0.5"}):
            for kind in (*layout.kinds_of("label"), *layout.kinds_of("image")):
                for level in range(len(layout.label_levels)):
                    self._arrays[kind, level] = root[layout.path(kind, level)]

    def write(self, kind: Kind, level: int, row: int, column: int, pixels: NDArray[np.uint8]) -> int:
        """Write one whole cell and bring it to the disk; return the bytes that its files take.

        Labels and confidences are (rows, columns), images (3, rows, columns). Files left by an interrupted
        write of the same cell are removed first: zarr reads an old shard before it replaces it, and fails on
        a torn one.
        """
        for file in self.files(kind, level, row, column):
            file.unlink()
        value = self._plain.note((kind, level, row, column), pixels)
        if value == FILL[kind]:
            return 0
        # A cell in one file is the same bytes wherever it stands.
        content = None if value is None or self.layout.version != "0.5" else (kind, pixels.shape, value)
        if content is not None and self._plain.write(content, self._shard(kind, level, row, column)):
            return self._shard(kind, level, row, column).stat().st_size
        at = self.layout.cell(kind, level, row, column)
        rows, columns = at.slices_in(Region(0, 0, 0, 0))
        self._arrays[kind, level][(..., rows, columns)] = pixels
        written = list(self.files(kind, level, row, column))
        for file in written:
            _sync(file)
        if content is not None:
            self._plain.keep(content, self._shard(kind, level, row, column))
        return sum(file.stat().st_size for file in written)

    def read(self, kind: Kind, level: int, region: Region) -> NDArray[np.uint8]:
        """Read a rectangle of one level: (rows, columns), of the image (3, rows, columns)."""
        rows, columns = region.slices_in(Region(0, 0, 0, 0))
        pixels: NDArray[np.uint8] = self._arrays[kind, level][(..., rows, columns)]
        return pixels

    def plain_value(self, kind: Kind, level: int, region: Region) -> int | None:
        """Return the only value in the cells under a rectangle, where this process wrote them so."""
        side = self.layout.cell_px(kind)
        return self._plain.value_of(
            [
                (kind, level, row, column)
                for row in range(region.y // side, ceil_div(region.bottom, side))
                for column in range(region.x // side, ceil_div(region.right, side))
            ]
        )

    def files(self, kind: Kind, level: int, row: int, column: int) -> Iterator[Path]:
        """Yield the existing files of one cell. A cell that is all fill value has none."""
        if self.layout.version == "0.5":
            files = [self._shard(kind, level, row, column)]
        else:
            folder = self.path / self.layout.path(kind, level) / ("0" if kind == "image" else "")
            chunks = self.layout.cell_px(kind) // CHUNK_PX
            files = [
                folder / str(row * chunks + y) / str(column * chunks + x)
                for y in range(chunks)
                for x in range(chunks)
            ]
        for file in files:
            if file.is_file():
                yield file

    def _shard(self, kind: Kind, level: int, row: int, column: int) -> Path:
        """Return the one file of a cell in NGFF 0.5."""
        lead = ("0",) if kind == "image" else ()
        return self.path.joinpath(self.layout.path(kind, level), "c", *lead, str(row), str(column))

    def size_of(self, task: str) -> int:
        """Return the bytes that the files of a task `kind/level/row/column` take."""
        name, level, row, column = task.split("/")
        if name not in KINDS:
            return -1
        return sum(
            file.stat().st_size
            for kind in self.layout.kinds_of(name)
            for file in self.files(kind, int(level), int(row), int(column))
        )

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
    """Write the metadata of an empty store; what is not computed yet reads as its fill value.

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
    groups: dict[Kind, Any] = {"label": tissue_label, "image": root}
    if layout.confidence is not None:
        groups["confidence"] = root.create_group(
            layout.confidence.group,
            attributes=metadata.confidence_attributes(
                layout.version, layout.confidence, layout.label_pixel, layout.unit, levels
            ),
        )
    for kind, group in groups.items():
        for level in range(levels):
            _create_array(group, str(level), layout, kind, level)
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
    lead = (3,) if kind == "image" else ()
    shape = (*lead, rows, columns)
    chunks = (*lead, CHUNK_PX, CHUNK_PX)
    fill = FILL[kind]
    if layout.version == "0.5":
        side = layout.cell_px(kind)
        group.create_array(
            name,
            shape=shape,
            dtype="uint8",
            chunks=chunks,
            shards=(*lead, side, side),
            compressors=ZstdCodec(level=ZSTD_LEVEL[kind]),
            fill_value=fill,
            dimension_names=("c", "y", "x") if kind == "image" else ("y", "x"),
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
