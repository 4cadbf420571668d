"""Slides that OpenSlide opens: MIRAX, NDPI, SCN, BIF, DICOM, Aperio, generic tiled TIFF..."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openslide

from wsiseg.errors import SlideRefusedError
from wsiseg.geometry import Region
from wsiseg.shortage import blame_no_input
from wsiseg.slides.base import WHITE, SlideBase, build_levels, one_line
from wsiseg.slides.handles import HandlePool
from wsiseg.slides.slide import RGB

READ_ERRORS = (openslide.OpenSlideError,)


class OpenSlideSlide(SlideBase):
    """A slide read through OpenSlide, in its whole frame: `openslide.bounds-*` do not move the origin."""

    backend = "openslide"

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        super().__init__(str(path), self._path.name)
        handle = self._open()
        try:
            self._describe(handle)
        except (KeyError, ValueError, ZeroDivisionError) as error:
            handle.close()
            raise SlideRefusedError(
                f"{self.name}: OpenSlide reports no usable size: {one_line(error)}"
            ) from error
        self._pool = HandlePool(self._open)
        self._pool._offer(handle)

    def associated_images(self) -> Mapping[str, tuple[int, int]]:
        """See `Slide.associated_images`."""
        return dict(self._associated)

    def reopen(self) -> OpenSlideSlide:
        """See `Slide.reopen`."""
        return type(self)(self._path)

    def close(self) -> None:
        """See `Slide.close`."""
        super().close()
        self._pool.close()

    def _open(self) -> Any:
        try:
            return openslide.OpenSlide(self._path)
        except (*READ_ERRORS, OSError) as error:
            blame_no_input(error)
            raise SlideRefusedError(
                f"{self.name}: OpenSlide cannot open it: {one_line(error)}: expected an undamaged slide"
            ) from error

    def _describe(self, handle: Any) -> None:
        properties: Mapping[str, str] = handle.properties
        self.vendor = properties.get(openslide.PROPERTY_NAME_VENDOR, "unknown")
        self.levels = build_levels([(int(w), int(h)) for w, h in handle.level_dimensions])
        # OpenSlide places a read by these; ours may be the whole number that they stand for.
        self._factors = tuple(float(item) for item in handle.level_downsamples)
        mpp = (
            _positive(properties.get(openslide.PROPERTY_NAME_MPP_X)),
            _positive(properties.get(openslide.PROPERTY_NAME_MPP_Y)),
        )
        self.mpp = (mpp[0], mpp[1]) if mpp[0] is not None and mpp[1] is not None else None
        self.objective_power = _positive(properties.get(openslide.PROPERTY_NAME_OBJECTIVE_POWER))
        self.background = _colour(properties.get(openslide.PROPERTY_NAME_BACKGROUND_COLOR))
        self._associated = {
            name: (
                int(properties.get(f"openslide.associated.{name}.width", 0)),
                int(properties.get(f"openslide.associated.{name}.height", 0)),
            )
            for name in sorted(handle.associated_images.keys())
        }

    def _read_inside(self, level: int, inside: Region) -> RGB:
        self._check_open()
        factor = self._factors[level]
        # OpenSlide interpolates where x / factor is no whole number; the nearest level-0 pixel keeps
        # that below half a level-0 pixel.
        corner_l0 = (round(inside.x * factor), round(inside.y * factor))
        try:
            image = self._pool.call(
                lambda handle: handle.read_region(corner_l0, level, (inside.width, inside.height)),
                READ_ERRORS,
            )
        except (*READ_ERRORS, SlideRefusedError) as error:
            raise self._unreadable(level, inside, error) from error
        rgba = np.asarray(image)
        return self._over_background(level, rgba)

    def _over_background(self, level: int, rgba: np.ndarray[Any, np.dtype[np.uint8]]) -> RGB:
        alpha = rgba[..., 3]
        rgb: RGB = rgba[..., :3].copy()
        rgb = self._true_colours(level, rgb)
        if alpha.min() == 255:
            return rgb
        empty = alpha == 0
        rgb[empty] = self.background
        partly = ~empty & (alpha != 255)
        if partly.any():
            weight = alpha[partly][:, None].astype(np.uint32)
            over = rgb[partly] * weight + np.array(self.background, dtype=np.uint32) * (255 - weight)
            rgb[partly] = (over + 127) // 255
        return rgb

    def _true_colours(self, level: int, rgb: RGB) -> RGB:
        """Return what the file means by the pixels that OpenSlide returns; see `dicom.py`."""
        return rgb


def _positive(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else 0.0
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None


def _colour(text: str | None) -> tuple[int, int, int]:
    try:
        red, green, blue = bytes.fromhex(text or "")[:3]
    except ValueError:
        return WHITE
    return red, green, blue
