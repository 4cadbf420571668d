"""Label images: a picture over the whole slide, or over its full size, whose values are labels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsiseg.annotations.annotation import Annotation, Collector, Warn, log_warning
from wsiseg.annotations.contours import trace_outlines
from wsiseg.class_map import NOT_ANALYSED, UNREAD
from wsiseg.errors import InputRefusedError

LARGEST_PX = 170_000_000
"""Decoded whole, as such files have to be; twice a published breast region of 10,000 x 12,000 px."""
WIDE_MODES = ("I", "I;16", "I;16B")
"""Pillow's kinds of pixels with more than 8 bits, as napari saves labels; the values still have to fit."""
STRIP_PX = 16_000_000


def read_label_image(
    path: Path, warn: Warn = log_warning, size_l0: tuple[int, int] | None = None
) -> list[Annotation]:
    """Read a grey, palette or three-equal-channel image; each connected area becomes an annotation.

    `size_l0` is the slide's (width, height): a smaller image of the same aspect is stretched over it. By
    default a pixel is a level-0 pixel. Values are 0 to 255, whatever the bits; 254 and 255 are no labels.
    Raises InputRefusedError, in one line.
    """
    labels = _decode(path)
    height, width = labels.shape
    factor = np.array([1.0, 1.0])
    if size_l0 is not None:
        factor = _factor(path, (width, height), size_l0)
    wanted = np.ones(256, bool)
    wanted[[UNREAD, NOT_ANALYSED]] = False
    found = Collector(path, warn)
    for order, shape in enumerate(trace_outlines(_strips(labels), wanted)):
        holes = [hole * factor for hole in shape.holes]
        found.add(f"label {shape.label}", shape.exterior * factor, holes, order=order, label=shape.label)
    return found.finish()


def _strips(labels: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    rows = max(1, STRIP_PX // labels.shape[1])
    for top in range(0, len(labels), rows):
        yield labels[top : top + rows]


def _factor(path: Path, size: tuple[int, int], size_l0: tuple[int, int]) -> NDArray[np.float64]:
    """Return level-0 pixels per image pixel, (x, y).

    Labels at a coarser resolution have their last row and column rounded up; so the factor is one that
    brings both sides to the slide's, a whole number where there is one.
    """
    ratio = (size_l0[0] / size[0], size_l0[1] / size[1])
    for whole in sorted({max(1, round(value)) for value in ratio}):
        if all(-(-full // whole) == side for side, full in zip(size, size_l0, strict=True)):
            return np.array([whole, whole], np.float64)
    # Each side of the image is the slide's, within a pixel of rounding.
    low = max(full / (side + 1) for side, full in zip(size, size_l0, strict=True))
    high = min(full / (side - 1) if side > 1 else np.inf for side, full in zip(size, size_l0, strict=True))
    if low > high:
        raise InputRefusedError(
            f"label image {path.name}: {size[0]} x {size[1]} px does not have the aspect of the slide's "
            f"{size_l0[0]} x {size_l0[1]} px: give labels of the whole slide"
        )
    return np.array(ratio)


def _decode(path: Path) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                width, height = image.size
                wide = image.mode in WIDE_MODES
                most = LARGEST_PX // 4 if wide else LARGEST_PX
                if width * height > most:
                    raise InputRefusedError(
                        f"label image {path.name}: {width} x {height} px: expected at most "
                        f"{most // 10**6} megapixels{' of more than 8 bits' if wide else ''}: "
                        "give it at a coarser resolution"
                    )
                if not wide and image.mode not in ("L", "P", "RGB", "1"):
                    raise InputRefusedError(
                        f"label image {path.name}: pixels of kind {image.mode}: expected labels from 0 to 255"
                    )
                pixels = np.asarray(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputRefusedError(f"label image {path.name}: cannot be read: {error}") from error
    if wide and not 0 <= pixels.min() <= pixels.max() <= NOT_ANALYSED:
        raise InputRefusedError(
            f"label image {path.name}: values {pixels.min()} to {pixels.max()}: expected labels from 0 to 255"
        )
    if pixels.ndim == 3:
        if (pixels != pixels[..., :1]).any():
            raise InputRefusedError(
                f"label image {path.name}: its colours are no labels: expected grey, or three equal channels"
            )
        pixels = pixels[..., 0]
    return np.ascontiguousarray(pixels.astype(np.uint8))
