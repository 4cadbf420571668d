"""OME-Zarr 0.4 and 0.5 images, from a folder or any URL that fsspec knows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import SlideRefusedError
from wsiseg.geometry import Region
from wsiseg.shortage import blame_no_input
from wsiseg.slides.base import SlideBase, build_levels, one_line
from wsiseg.slides.names import is_url
from wsiseg.slides.ngff import ImageMetadata, ome_attributes, read_image, safe_path
from wsiseg.slides.slide import RGB, Level
from wsiseg.slides.tiles import TileCache, read_tiles

MAX_SIDE_PX = 2**31
MAX_CHUNK_BYTES = 2**28
MAX_SERIES = 20

RETRY_AFTER_S = (0.2, 1.0)
"""Waits before a URL's chunk is asked for again."""


@dataclass(frozen=True, slots=True)
class _ZarrLevel:
    array: Any
    axes: tuple[str, ...]
    tile_width_px: int
    tile_height_px: int

    def read(self, region: Region) -> RGB:
        """Read a rectangle; (rows, columns, 3)."""
        rows, columns = slice(region.y, region.bottom), slice(region.x, region.right)
        picked = {"y": rows, "x": columns, "c": slice(None), "t": 0, "z": 0}
        data = np.asarray(self.array[tuple(picked[axis] for axis in self.axes)])
        left = [axis for axis in self.axes if axis in "yxc"]
        pixels: RGB = data.transpose([left.index(axis) for axis in "yxc"])
        return pixels

    def missing(self, region: Region, pixels: RGB) -> str:
        """Return the key of a stored object that the rectangle needs and that does not exist, "" if all do.

        Zarr reads such an object as the fill value, so only what is all fill value is asked for.
        """
        from zarr.core.sync import sync

        stored = dict(zip(self.axes, self.array.shards or self.array.chunks, strict=True))
        fill = self.array.fill_value
        for channel in range(0, 3, stored["c"]):
            if not (pixels[..., channel : channel + stored["c"]] == fill).all():
                continue
            at = {"y": region.y, "x": region.x, "c": channel, "t": 0, "z": 0}
            coordinates = tuple(at[axis] // stored[axis] for axis in self.axes)
            key = self.array.metadata.encode_chunk_key(coordinates)
            if not sync((self.array.store_path / key).exists()):
                return str(key)
        return ""


class OmeZarrSlide(SlideBase):
    """A brightfield image: three channels of uint8, at t = z = 0. `source` is a folder or a URL.

    A chunk (or shard) whose object is absent is unread, unless the array's fill value is 255: then
    absent means white, as its writer asked for. Zarr's default of 0 would be black tissue.
    """

    backend = "ome-zarr"

    def __init__(self, source: str | Path) -> None:
        text = str(source)
        super().__init__(text, text.rstrip("/").rsplit("/", 1)[-1].split("?")[0])
        self._remote = is_url(text)
        if not self._remote:
            self.name = Path(text).name or Path(text).resolve().name
        self.vendor = "ome-zarr"
        try:
            self._open()
        except SlideRefusedError:
            raise
        except ImportError as error:
            raise SlideRefusedError(
                f"{text}: this URL needs a package that is not installed ({one_line(error)}): "
                "pip install 'wsiseg[remote]' for http(s)"
            ) from error
        except Exception as error:  # stores, codecs and parsers have their own
            blame_no_input(error)
            raise SlideRefusedError(f"{text}: cannot be opened as OME-Zarr: {one_line(error)}") from error
        self._cache = TileCache()

    def associated_images(self) -> Mapping[str, tuple[int, int]]:
        """See `Slide.associated_images`."""
        return dict(self._associated)

    def reopen(self) -> OmeZarrSlide:
        """See `Slide.reopen`."""
        return type(self)(self.source)

    def close(self) -> None:
        """See `Slide.close`."""
        super().close()
        self._cache.clear()

    def _open(self) -> None:
        import zarr
        from zarr.storage import FsspecStore, LocalStore

        from wsiseg.slides.zarr_codecs import CheckedStore

        store: Any
        if self._remote:
            store = FsspecStore.from_url(self.source, read_only=True)
        else:
            store = LocalStore(self.source, read_only=True)
        # Consolidated metadata are a second truth; the first is small enough.
        group: Any = zarr.open_group(CheckedStore(store), mode="r", use_consolidated=False)
        attributes: dict[str, Any] = dict(group.attrs)
        ome = ome_attributes(self.name, attributes)
        self._associated: dict[str, tuple[int, int]] = {}
        if "multiscales" not in ome and "bioformats2raw.layout" in ome:
            first, *others = _series(self.name, group)
            self._associated = _sizes(self.name, group, others)
            group = group[first]
            ome = ome_attributes(self.name, dict(group.attrs))
        image = read_image(self.name, ome)
        self._zarr_levels = tuple(_level(self.name, group, path, image) for path in image.paths)
        sizes = [_size(item.array, item.axes) for item in self._zarr_levels]
        if any(b[0] > a[0] or b[1] > a[1] or a == b for a, b in pairwise(sizes)):
            raise SlideRefusedError(
                f"{self.name}: levels of {sizes} px: expected each smaller than the one before"
            )
        self.levels = build_levels(sizes)
        self.mpp = image.mpp
        self.warnings = (
            image.warnings + _plane_warnings(self._zarr_levels[0]) + _scale_warnings(self.levels, image)
        )

    def _read_inside(self, level: int, inside: Region) -> RGB:
        pixels, _, reason = self._read(level, inside)
        if reason:
            raise self._unreadable(level, inside, reason)
        return pixels

    def _read_inside_masked(self, level: int, inside: Region) -> tuple[RGB, NDArray[np.bool_]]:
        pixels, unread, _ = self._read(level, inside)
        return pixels, unread

    def _read(self, level: int, inside: Region) -> tuple[RGB, NDArray[np.bool_], str]:
        item = self._zarr_levels[level]

        def load(column: int, row: int) -> RGB | str:
            return self._cache.get((level, column, row), lambda: self._chunk(level, column, row))

        return read_tiles(inside, item.tile_width_px, item.tile_height_px, load, self.background)

    def _chunk(self, level: int, column: int, row: int) -> RGB | str:
        item = self._zarr_levels[level]
        width, height = item.tile_width_px, item.tile_height_px
        region = Region(column * width, row * height, width, height).intersect(self.levels[level].region)
        waits = RETRY_AFTER_S if self._remote else ()
        for wait in (*waits, None):
            try:
                pixels = item.read(region)
                absent = item.missing(region, pixels) if item.array.fill_value != 255 else ""
            except Exception as error:  # stores and codecs have their own
                blame_no_input(error)
                if wait is None:
                    return f"chunk at column {column}, row {row}: {one_line(error)}"
                time.sleep(wait)
            else:
                return f"chunk {absent} is missing" if absent else np.ascontiguousarray(pixels)
        raise AssertionError("unreachable")


def _series(name: str, group: Any) -> list[str]:
    """Return the paths of a bioformats2raw layout's images: as `OME` lists them, else numbered."""
    listed: Any = None
    if "OME" in group:
        attributes = dict(group["OME"].attrs)
        nested = attributes.get("ome")
        listed = (nested if isinstance(nested, Mapping) else attributes).get("series")
    if listed is None:
        listed = [str(index) for index in range(MAX_SERIES) if str(index) in group]
    if not isinstance(listed, list) or not listed:
        raise SlideRefusedError(f"{name}: a bioformats2raw store without any image: expected one named 0")
    return [safe_path(name, item) for item in listed[:MAX_SERIES]]


def _sizes(name: str, group: Any, paths: list[str]) -> dict[str, tuple[int, int]]:
    found = {}
    for path in paths:
        image = read_image(name, ome_attributes(name, dict(group[path].attrs)))
        found[f"series {path}"] = _size(group[path][image.paths[0]], image.axes)
    return found


def _size(array: Any, axes: tuple[str, ...]) -> tuple[int, int]:
    return int(array.shape[axes.index("x")]), int(array.shape[axes.index("y")])


def _level(name: str, group: Any, path: str, image: ImageMetadata) -> _ZarrLevel:
    import zarr

    from wsiseg.slides.zarr_codecs import codec_names, refused_codecs

    array = group.get(path)
    if not isinstance(array, zarr.Array):
        raise SlideRefusedError(f"{name}: the metadata name an array {path!r} that is not there")
    if array.ndim != len(image.axes):
        raise SlideRefusedError(f"{name}: array {path} has {array.ndim} axes, the metadata {len(image.axes)}")
    extent = dict(zip(image.axes, array.shape, strict=True))
    if array.dtype != np.uint8 or extent.get("c", 1) != 3:
        raise SlideRefusedError(
            f"{name}: array {path} has {extent.get('c', 1)} channels of {array.dtype}: expected three "
            "of uint8, RGB (brightfield)"
        )
    if not all(0 < side <= MAX_SIDE_PX for side in array.shape):
        raise SlideRefusedError(
            f"{name}: array {path} of shape {array.shape}: expected sides of 1 to {MAX_SIDE_PX}"
        )
    if int(np.prod([min(a, b) for a, b in zip(array.chunks, array.shape, strict=True)])) > MAX_CHUNK_BYTES:
        raise SlideRefusedError(
            f"{name}: array {path} in chunks of {array.chunks}: expected at most "
            f"{MAX_CHUNK_BYTES // 2**20} MiB each"
        )
    names = codec_names(array)
    wrong = refused_codecs(names)
    if wrong:
        raise SlideRefusedError(f"{name}: array {path} is {wrong}")
    if "blosc" in names:
        checked: Any = array.store
        checked.arrays[array.path] = array.shards is not None
    chunk = dict(zip(image.axes, array.chunks, strict=True))
    return _ZarrLevel(array, image.axes, int(chunk["x"]), int(chunk["y"]))


def _plane_warnings(level: _ZarrLevel) -> tuple[str, ...]:
    extent = dict(zip(level.axes, level.array.shape, strict=True))
    return tuple(
        f"axis {axis} has {extent[axis]} planes: only the first is read"
        for axis in "tz"
        if extent.get(axis, 1) > 1
    )


def _scale_warnings(levels: tuple[Level, ...], image: ImageMetadata) -> tuple[str, ...]:
    return tuple(
        f"level {index} says downsample {said:.4g}, its size {level.downsample:.4g}: the size is believed"
        for index, (level, said) in enumerate(zip(levels, image.downsamples, strict=True))
        if said is not None
        and min(level.width_px, level.height_px) > 64
        and not 0.98 < said / level.downsample < 1.02
    )
