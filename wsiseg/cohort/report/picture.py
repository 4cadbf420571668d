"""A finished result as a picture of a size that a page can hold: RGB and labels over the same area."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsiseg.class_map import ClassMap
from wsiseg.cohort.text import one_line
from wsiseg.errors import InputRefusedError, WsisegError
from wsiseg.exports.label_store import open_label_store
from wsiseg.exports.overlay import blend
from wsiseg.geometry import Region

PICTURE_PX = 1600
"""Longer side that a page's pictures have at most."""
LARGEST_PX = 8192
"""A store whose coarsest level is longer was not written by wsiseg."""
THUMBNAIL_PX = (192, 144)


@dataclass(frozen=True, slots=True)
class Picture:
    """What a page shows of one slide."""

    rgb: NDArray[np.uint8]
    """(rows, columns, 3)"""
    labels: NDArray[np.uint8]
    """(rows, columns) ids, over the same area in another resolution."""
    um_per_px: float | None
    """Of `rgb`; None for a photo."""
    classes: ClassMap


def read_picture(store: Path, run: dict[str, Any], source: str | None = None) -> Picture:
    """Return the stored levels nearest to PICTURE_PX; of a small slide the pixels come from `source`.

    `run` is the store's run record. Raises InputRefusedError where the store is damaged. A source that
    cannot be read is left alone: the stored image then serves, coarser.
    """
    found = open_label_store(store)
    level = _nearest([found.shape(number) for number in range(len(found.levels))], store)
    rows, columns = found.shape(level)
    labels = found.read(level, Region(0, 0, columns, rows))
    rgb, level = _stored_image(store)
    um_per_px = None if found.mpp is None else float(run["image_mpp"][0]) * 2**level
    if max(rgb.shape[:2]) < min(PICTURE_PX, max(labels.shape)) // 2 and source and um_per_px is not None:
        finer = _from_slide(source, run, um_per_px * max(rgb.shape) / min(PICTURE_PX, max(labels.shape)))
        rgb, um_per_px = finer or (rgb, um_per_px)
    return Picture(rgb, labels, um_per_px, found.classes)


def thumbnail(picture: Picture) -> bytes:
    """Return the labels laid over the slide, small, as JPEG."""
    height, width = picture.rgb.shape[:2]
    zoom = min(THUMBNAIL_PX[0] / width, THUMBNAIL_PX[1] / height)
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    rgb = np.asarray(Image.fromarray(picture.rgb).resize(size, Image.Resampling.BOX))
    labels = np.asarray(Image.fromarray(picture.labels).resize(size, Image.Resampling.NEAREST))
    return jpeg(blend(rgb, labels, picture.classes), quality=75)


def jpeg(rgb: NDArray[np.uint8], quality: int) -> bytes:
    """Return RGB (rows, columns, 3) as JPEG."""
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, format="JPEG", quality=quality)
    return file.getvalue()


def png(labels: NDArray[np.uint8]) -> bytes:
    """Return ids (rows, columns) as a grey PNG: a grey of 7 is the label 7."""
    file = io.BytesIO()
    Image.fromarray(labels).save(file, format="PNG", optimize=True)
    return file.getvalue()


def _nearest(shapes: list[tuple[int, int]], store: Path) -> int:
    """Return the finest level of at most PICTURE_PX, else the coarsest there is."""
    level = next((number for number, shape in enumerate(shapes) if max(shape) <= PICTURE_PX), len(shapes) - 1)
    if not 0 < max(shapes[level]) <= LARGEST_PX:
        raise InputRefusedError(f"{store}: its coarsest level has {shapes[level]} px: the store is damaged")
    return level


def _stored_image(store: Path) -> tuple[NDArray[np.uint8], int]:
    """Return a level of the store's image, (rows, columns, 3), and which."""
    import zarr
    from zarr.storage import LocalStore

    from wsiseg.slides.zarr_codecs import CheckedStore, codec_names, refused_codecs

    checked = CheckedStore(LocalStore(str(store), read_only=True))
    try:
        root: Any = zarr.open_group(checked, mode="r", use_consolidated=False)
        arrays: list[Any] = [root[str(level)] for level in range(len(root["labels/tissue"]))]
        level = _nearest([array.shape[1:] for array in arrays], store)
        array = arrays[level]
        refused = refused_codecs(codec_names(array))
        if array.ndim != 3 or array.shape[0] != 3 or array.dtype != np.uint8 or refused:
            raise ValueError(refused or f"an image of shape {array.shape}, {array.dtype}")
        pixels = np.asarray(array[:], np.uint8)
    except InputRefusedError:
        raise
    except Exception as error:  # zarr, its codecs and what may stand in damaged metadata
        raise InputRefusedError(
            f"{store}: its image cannot be read ({type(error).__name__}: {one_line(str(error))}): "
            f"predict again with --overwrite"
        ) from error
    return np.ascontiguousarray(pixels.transpose(1, 2, 0)), level


def _from_slide(source: str, run: dict[str, Any], mpp: float) -> tuple[NDArray[np.uint8], float] | None:
    """Return the slide at `mpp` and the um per pixel that came of it; None where it cannot be read."""
    from wsiseg.slides import open_slide
    from wsiseg.tiling.frame import FrameReader, frame_at

    slide_mpp = float(run["slide"]["mpp"][0]), float(run["slide"]["mpp"][1])
    try:
        with open_slide(source) as slide:
            frame = frame_at(slide.levels[0], slide_mpp, mpp)
            if max(frame.width_px, frame.height_px) > LARGEST_PX:
                return None
            whole = Region(0, 0, frame.width_px, frame.height_px)
            return FrameReader(slide, frame, slide.background).read(whole)[0], frame.mpp[0]
    except (WsisegError, OSError):
        return None
