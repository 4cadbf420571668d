"""The label pyramid as a tiled TIFF: ids as OME-TIFF for programs that measure, or a palette for viewers.

Tiles go from the store to the file one row of chunks at a time. OME-TIFF: coarser levels are SubIFDs of
the first (OME-TIFF specification 6.0). Palette TIFF: every level is an IFD of the main chain, which is
where OpenSlide's generic TIFF reader looks; the palette has the class colours.
"""

from __future__ import annotations

import json
import uuid
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from wsiseg import __version__
from wsiseg.class_map import NOT_ANALYSED, RESERVED_NAMES
from wsiseg.exports.ahead import ahead
from wsiseg.exports.files import NAMESPACE, whole_file
from wsiseg.exports.label_store import LabelStore
from wsiseg.geometry import Region

TILE_PX = 512
"""As the store's chunks, so that each is unpacked once. TIFF wants a multiple of 16."""
CLASSIC_LIMIT = 2**32 - 2**26
"""Bytes that a classic TIFF addresses, less room for metadata. Packed labels take no more than raw ones."""

TiffKind = Literal["ome-tiff", "tiff"]


def write_label_tiff(store: LabelStore, path: Path, kind: TiffKind, *, overwrite: bool = False) -> bool:
    """Write every level, lossless; return whether the file had to be a BigTIFF.

    Pixel values are label ids, 254 (unread) and 255 (not analysed) included; no tile is left out, because
    a reader would take it for class 0. Each level carries um per pixel; a photo has none. The same store
    gives the same bytes.
    """
    import tifffile

    shapes = [store.shape(level) for level in range(len(store.levels))]
    tiles = sum(-(-rows // TILE_PX) * -(-columns // TILE_PX) for rows, columns in shapes)
    big = tiles * (TILE_PX**2 + 64) > CLASSIC_LIMIT
    is_ome = kind == "ome-tiff"
    with (
        whole_file(path, overwrite=overwrite) as file,
        tifffile.TiffWriter(file, bigtiff=big, ome=is_ome, shaped=False) as tiff,
    ):
        for level, shape in enumerate(shapes):
            how: dict[str, Any] = {
                "shape": shape,
                "dtype": np.uint8,
                "tile": (TILE_PX, TILE_PX),
                "compression": "adobe_deflate",
                "metadata": None,
                "software": f"wsiseg {__version__}",
                **_resolution(store, level),
            }
            if is_ome:
                how |= {"photometric": "minisblack"}
                how |= (
                    {"subifds": len(shapes) - 1, "metadata": _ome(store)}
                    if level == 0
                    else {"subfiletype": 1}
                )
            else:
                how |= {"photometric": "palette", "colormap": _colormap(store)}
                how |= {"description": _classes_text(store)} if level == 0 else {"subfiletype": 1}
            tiff.write(_packed_tiles(store, level), **how)
    return big


def _packed_tiles(store: LabelStore, level: int) -> Iterator[bytes]:
    """Yield the packed tiles of a level in reading order; beyond the level they have 255."""
    of_one_label = cache(lambda label: _pack(np.full((TILE_PX, TILE_PX), label, np.uint8)))

    def packed(tile: NDArray[np.uint8]) -> bytes:
        if tile.shape == (TILE_PX, TILE_PX):
            return of_one_label(int(tile[0, 0])) if (tile == tile[0, 0]).all() else _pack(tile)
        whole: NDArray[np.uint8] = np.full((TILE_PX, TILE_PX), NOT_ANALYSED, np.uint8)
        whole[: tile.shape[0], : tile.shape[1]] = tile
        return _pack(whole)

    return ahead(packed, _tiles(store, level))


def _tiles(store: LabelStore, level: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the tiles of a level in reading order, cut at its edges."""
    rows, columns = store.shape(level)
    for top in range(0, rows, TILE_PX):
        slab = store.read(level, Region(0, top, columns, min(TILE_PX, rows - top)))
        for left in range(0, columns, TILE_PX):
            yield slab[:, left : left + TILE_PX]


def _pack(tile: NDArray[np.uint8]) -> bytes:
    return zlib.compress(tile.tobytes())


def _resolution(store: LabelStore, level: int) -> dict[str, Any]:
    """Return pixels per centimetre of a level, the unit that OpenSlide understands."""
    if store.mpp is None:
        return {}
    per_cm = tuple(10_000 / (value * 2**level) for value in store.mpp)
    return {"resolution": per_cm, "resolutionunit": "CENTIMETER"}


def _ome(store: LabelStore) -> dict[str, Any]:
    """Return what tifffile makes OME-XML of; class names stand in a map annotation."""
    sizes: dict[str, Any] = {}
    if store.mpp is not None:
        for name, value in zip("XY", store.mpp, strict=True):
            sizes |= {f"PhysicalSize{name}": value, f"PhysicalSize{name}Unit": "µm"}
    return {
        "axes": "YX",
        "UUID": str(uuid.uuid5(NAMESPACE, f"{store.identity}/ome-tiff")),
        "Creator": f"wsiseg {__version__}",
        "Name": store.path.name.removesuffix(".wsiseg.ome.zarr"),
        "Channel": {"Name": ["tissue label"]},
        "MapAnnotation": {
            "Namespace": "wsiseg/classes",
            "Value": {str(label): name for label, name in _names(store).items()},
        },
        **sizes,
    }


def _names(store: LabelStore) -> dict[int, str]:
    return {item.id: item.name for item in store.classes.classes} | RESERVED_NAMES


def _classes_text(store: LabelStore) -> str:
    """Return id, name and colour of each class as JSON; TIFF descriptions are ASCII."""
    return json.dumps(
        {
            "wsiseg": __version__,
            "classes": [
                {"id": label, "name": _names(store)[label], "rgb": list(rgba[:3])}
                for label, rgba in _shown_colours(store)
            ],
        }
    )


def _colormap(store: LabelStore) -> NDArray[np.uint16]:
    """Return (3, 256) uint16: the palette as TIFF has it."""
    table = np.zeros((3, 256), np.uint16)
    for label, rgba in _shown_colours(store):
        table[:, label] = np.array(rgba[:3], np.uint16) * 257
    return table


def _shown_colours(store: LabelStore) -> list[tuple[int, tuple[int, int, int, int]]]:
    """A palette has no transparency: what was not analysed is shown grey."""
    grey = (128, 128, 128, 255)
    return [(label, grey if label == NOT_ANALYSED else rgba) for label, rgba in store.classes.colour_table()]
