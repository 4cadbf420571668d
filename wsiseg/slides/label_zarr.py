"""Labels in OME-Zarr 0.4 and 0.5, as other programs write them, read by rectangles. Folders only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import InputRefusedError, SlideRefusedError
from wsiseg.geometry import Region
from wsiseg.shortage import blame_no_input
from wsiseg.slides.base import one_line
from wsiseg.slides.ngff import multiscale_of, safe_path

MAX_CHUNK_BYTES = 2**28


@dataclass(frozen=True, slots=True)
class LabelZarr:
    """A label image that is open for reading."""

    name: str
    group: Path
    """Folder of the label image."""
    levels: tuple[Any, ...]
    """Arrays of integers, finest first; axes besides y and x have one plane."""
    mpp: tuple[float, float] | None
    """(x, y) um per pixel of the finest level; None where the metadata do not say."""
    names: Mapping[int, str]
    """Names of label values, where the metadata have them."""

    def shape(self, level: int) -> tuple[int, int]:
        """Return (rows, columns) of a level."""
        rows, columns = self.levels[level].shape[-2:]
        return int(rows), int(columns)

    def read(self, level: int, region: Region) -> NDArray[Any]:
        """Read a rectangle inside of a level; (rows, columns) integers. InputRefusedError where damaged."""
        array = self.levels[level]
        rows, columns = region.slices_in(Region(0, 0, 0, 0))
        try:
            return np.asarray(array[(*([0] * (array.ndim - 2)), rows, columns)])
        except Exception as error:  # stores and codecs have their own
            blame_no_input(error)
            raise InputRefusedError(
                f"labels {self.name}: level {level} at column {region.x}, row {region.y} cannot be read: "
                f"{one_line(error)}"
            ) from error

    def sha256(self) -> str:
        """Return a digest of every file of the label image, its names included."""
        digest = hashlib.sha256()
        for file in sorted(item for item in self.group.rglob("*") if item.is_file()):
            digest.update(file.relative_to(self.group).as_posix().encode() + b"\0")
            with file.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
        return digest.hexdigest()


def is_zarr(path: Path) -> bool:
    """Return whether a path is a folder that Zarr would open as a group."""
    return path.is_dir() and any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zattrs"))


def open_label_zarr(path: Path) -> LabelZarr:
    """Open a label image: its own group, or an image group that has one label image.

    Raises InputRefusedError, in one line: several label images (they are named), no whole numbers, codecs
    that run code, labels that are shifted against their image.
    """
    import zarr
    from zarr.storage import LocalStore

    from wsiseg.slides.zarr_codecs import CheckedStore

    try:
        store = CheckedStore(LocalStore(str(path), read_only=True))
        group: Any = zarr.open_group(store, mode="r", use_consolidated=False)
        below = ""
        ome = _ome(group)
        if "image-label" not in ome:
            below = _only_label(path.name, group)
            group = group[below]
            ome = _ome(group)
        axes, paths, mpp = multiscale_of(path.name, ome)
        levels = tuple(_level(path.name, group, item, axes) for item in paths)
        return LabelZarr(path.name, path / below, levels, mpp, _names(ome))
    except SlideRefusedError as error:
        raise InputRefusedError(str(error)) from error
    except InputRefusedError:
        raise
    except Exception as error:  # stores, codecs and parsers have their own
        blame_no_input(error)
        raise InputRefusedError(f"{path}: cannot be opened as OME-Zarr labels: {one_line(error)}") from error


def _ome(group: Any) -> Mapping[str, Any]:
    attributes: dict[str, Any] = dict(group.attrs)
    nested = attributes.get("ome")
    return nested if isinstance(nested, Mapping) else attributes


def _only_label(name: str, group: Any) -> str:
    """Return the path of the one label image below an image group."""
    if "labels" not in group:
        raise InputRefusedError(f"{name}: OME-Zarr without labels: expected a label image")
    listed = _ome(group["labels"]).get("labels")
    paths = [safe_path(name, item) for item in listed] if isinstance(listed, list) else []
    if len(paths) != 1:
        raise InputRefusedError(
            f"{name}: has the label images {', '.join(paths)[:200] or 'none'}: give one, {name}/labels/NAME"
        )
    return f"labels/{paths[0]}"


def _level(name: str, group: Any, path: str, axes: tuple[str, ...]) -> Any:
    import zarr

    from wsiseg.slides.zarr_codecs import codec_names, refused_codecs

    array = group.get(path)
    if not isinstance(array, zarr.Array):
        raise InputRefusedError(f"{name}: the metadata name an array {path!r} that is not there")
    if array.dtype.kind not in "ui" or axes[-2:] != ("y", "x") or any(n != 1 for n in array.shape[:-2]):
        raise InputRefusedError(
            f"{name}: labels {path} of shape {array.shape}, {array.dtype}, axes {','.join(axes)}: expected "
            "whole numbers in one plane, y before x"
        )
    if array.ndim != len(axes) or 0 in array.shape:
        raise InputRefusedError(f"{name}: labels {path} of {array.ndim} axes: expected {','.join(axes)}")
    if int(np.prod(array.chunks)) * array.dtype.itemsize > MAX_CHUNK_BYTES:
        raise InputRefusedError(f"{name}: labels {path} in chunks of {array.chunks}: expected smaller ones")
    names = codec_names(array)
    refused = refused_codecs(names)
    if refused:
        raise InputRefusedError(f"{name}: labels {path} {refused}")
    if "blosc" in names:
        checked: Any = array.store
        checked.arrays[array.path] = getattr(array, "shards", None) is not None
    return array


def _names(ome: Mapping[str, Any]) -> dict[int, str]:
    """Return the `name` (or `class`) of each label value in `properties`, where there are any."""
    about = ome.get("image-label")
    rows = about.get("properties") if isinstance(about, Mapping) else None
    found = {}
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, Mapping) and isinstance(row.get("label-value"), int):
            name = row.get("name", row.get("class"))
            if isinstance(name, str):
                found[int(row["label-value"])] = name
    return found
