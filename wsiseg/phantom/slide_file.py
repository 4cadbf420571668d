"""A phantom as a slide file: a JPEG-tiled pyramid that OpenSlide opens, and its truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from wsiseg.class_map import TISSUE8
from wsiseg.errors import UsageError
from wsiseg.phantom.generate import generate_phantom
from wsiseg.phantom.parameters import TRAINING_RANGES, Ranges
from wsiseg.whole_files import appears_whole

TILE_PX = 256
_QUALITY = 88
_LEAST_LEVEL_PX = 512
SLIDE_SUFFIXES = (".tif", ".tiff")
TRUTH_SUFFIXES = (".png", ".tif", ".tiff")
DESCRIPTION = "Generated tissue (a phantom), drawn by wsiseg: no patient, no scanner"


def write_phantom_slide(
    path: Path,
    *,
    seed: int,
    width_px: int,
    height_px: int,
    mpp: float = 0.5,
    ranges: Ranges = TRAINING_RANGES,
    truth: Path | None = None,
) -> None:
    """Draw a phantom with glass around it and write it as a pyramidal TIFF; whole or not at all.

    Each level is half of the one before. `truth` (.png or .tiff) gets the label ids at full size, with the
    class colours as its palette. Raises UsageError for a size, mpp or file name that cannot be written.
    """
    _check_suffix(path, SLIDE_SUFFIXES, "slide")
    if truth is not None:
        _check_suffix(truth, TRUTH_SUFFIXES, "truth")
        if truth.resolve() == path.resolve():
            raise UsageError(f"{path}: the slide and its truth have one name; give the truth another")
    phantom = generate_phantom(seed, width_px, height_px, mpp, ranges=ranges, outline="island")
    _write_pyramid(path, phantom.rgb, mpp, f"{DESCRIPTION}; seed {seed}")
    if truth is not None:
        _write_truth(truth, phantom.labels, mpp)


def halved(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture (rows, columns, 3) averaged 2 x 2; an odd last row or column is repeated."""
    rows, columns = rgb.shape[:2]
    even = np.pad(rgb, ((0, rows % 2), (0, columns % 2), (0, 0)), mode="edge").astype(np.uint16)
    total = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
    return ((total + 2) // 4).astype(np.uint8)


def _write_pyramid(path: Path, rgb: NDArray[np.uint8], mpp: float, description: str) -> None:
    with appears_whole(path) as partial, tifffile.TiffWriter(partial) as tiff:
        level, level_mpp = rgb, mpp
        while True:
            # Top-level pages with NewSubfileType 1 and centimetres: what OpenSlide reads as levels and mpp.
            tiff.write(
                level,
                tile=(TILE_PX, TILE_PX),
                photometric="rgb",  # of the array; in the file it becomes YCbCr
                subsampling=(2, 2),
                compression="jpeg",
                compressionargs={"level": _QUALITY},
                subfiletype=0 if level is rgb else 1,
                resolution=(1e4 / level_mpp, 1e4 / level_mpp),
                resolutionunit="CENTIMETER",
                description=description if level is rgb else None,
                metadata=None,
                software="wsiseg",
            )
            if max(level.shape[:2]) <= _LEAST_LEVEL_PX:
                return
            level, level_mpp = halved(level), 2 * level_mpp


def _write_truth(path: Path, labels: NDArray[np.uint8], mpp: float) -> None:
    palette = np.zeros((256, 3), np.uint8)
    for label, rgba in TISSUE8.colour_table():
        palette[label] = rgba[:3]
    with appears_whole(path) as partial:
        if path.suffix.lower() == ".png":
            image = Image.frombytes("P", (labels.shape[1], labels.shape[0]), labels.tobytes())
            image.putpalette(palette.ravel().tolist())
            image.save(partial, format="PNG")
            return
        tifffile.imwrite(
            partial,
            labels,
            tile=(TILE_PX, TILE_PX),
            photometric="palette",
            colormap=(palette.T.astype(np.uint16) * 257),
            compression="zlib",
            resolution=(1e4 / mpp, 1e4 / mpp),
            resolutionunit="CENTIMETER",
            metadata=None,
            software="wsiseg",
        )


def _check_suffix(path: Path, allowed: tuple[str, ...], what: str) -> None:
    if path.suffix.lower() not in allowed:
        raise UsageError(f"{path}: the {what}'s name must end in {' or '.join(allowed)}")
    if not path.parent.is_dir():
        raise UsageError(f"{path}: its folder does not exist; create it first")
