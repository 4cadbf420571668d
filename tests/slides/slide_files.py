"""Write small slides of every kind, with known pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr

WIDTH, HEIGHT = 700, 460


def picture(width: int = WIDTH, height: int = HEIGHT, seed: int = 0) -> np.ndarray:
    """H&E-like colours in which no two places are alike; (rows, columns, 3) uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    wave = 0.5 + 0.25 * np.sin(x / 17 + seed) + 0.25 * np.cos(y / 23)
    colours = np.array([90.0, 50.0, 140.0]) + wave[..., None] * np.array([150.0, 180.0, 105.0])
    return np.clip(colours + rng.normal(0, 4, colours.shape), 0, 255).astype(np.uint8)


def halves(pixels: np.ndarray, count: int) -> list[np.ndarray]:
    """The picture and `count - 1` copies of half the size each."""
    found = [pixels]
    for _ in range(count - 1):
        last = found[-1][: found[-1].shape[0] // 2 * 2, : found[-1].shape[1] // 2 * 2].astype(np.uint16)
        total = last[::2, ::2] + last[1::2, ::2] + last[::2, 1::2] + last[1::2, 1::2]
        found.append(((total + 2) // 4).astype(np.uint8))
    return found


def write_tiff(
    path: Path, levels: list[np.ndarray], *, subifds: bool = False, mpp: float = 0.5, **options: Any
) -> Path:
    """A tiled pyramid: top-level directories, or SubIFDs of the first one."""
    options = {"tile": (128, 112), "photometric": "rgb", "compression": None, **options}
    resolution = {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    ome, bigtiff = options.pop("ome", False), options.pop("bigtiff", False)
    if ome:
        resolution["metadata"] = {"axes": "YXS", "PhysicalSizeX": mpp, "PhysicalSizeY": mpp}
    with tifffile.TiffWriter(path, ome=ome, bigtiff=bigtiff) as tiff:
        tiff.write(levels[0], subifds=len(levels) - 1 if subifds else 0, **resolution, **options)
        for level in levels[1:]:
            tiff.write(level, subfiletype=1, **options)
    return path


def write_ome_zarr(
    path: Path,
    levels: list[np.ndarray],
    *,
    version: str = "0.5",
    axes: str = "tczyx",
    unit: str | None = "micrometer",
    mpp: float = 0.5,
    chunk: int = 128,
    **array_options: Any,
) -> Path:
    """An image whose axes stand in any order."""
    group = zarr.open_group(path, mode="w", zarr_format=3 if version == "0.5" else 2)
    for index, level in enumerate(levels):
        extended = level.transpose(2, 0, 1)[None, :, None]  # t c z y x
        data = extended.transpose(["tczyx".index(axis) for axis in axes if axis in "tczyx"] + _left(axes))
        data = data.reshape([extended.shape["tczyx".index(axis)] for axis in axes])
        chunks = tuple(chunk if axis in "yx" else 1 for axis in axes)
        options = {"fill_value": 0, **array_options}
        if version == "0.4":
            options["chunk_key_encoding"] = {"name": "v2", "separator": "/"}
        group.create_array(str(index), data=data, chunks=chunks, **options)
    entries = [{"name": axis, "type": {"t": "time", "c": "channel"}.get(axis, "space")} for axis in axes]
    for entry in entries:
        if entry["name"] in "yx" and unit is not None:
            entry["unit"] = unit
    datasets = [
        {
            "path": str(index),
            "coordinateTransformations": [
                {"type": "scale", "scale": [mpp * 2**index if axis in "yx" else 1.0 for axis in axes]}
            ],
        }
        for index in range(len(levels))
    ]
    image = {"multiscales": [{"axes": entries, "datasets": datasets, "name": "image"}]}
    if version == "0.5":
        group.attrs["ome"] = {"version": version, **image}
    else:
        image["multiscales"][0]["version"] = version
        group.attrs.update(image)
    return path


def _left(axes: str) -> list[int]:
    return ["tczyx".index(axis) for axis in "tczyx" if axis not in axes]
