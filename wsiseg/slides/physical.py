"""Physical pixel size: known, or asked for; never guessed."""

from __future__ import annotations

import math

from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.slides.slide import Slide

MIN_MPP, MAX_MPP = 0.05, 10.0
"""Plausible micrometres per level-0 pixel."""

UNIT_UM = {
    "angstrom": 1e-4,
    "Å": 1e-4,
    "nanometer": 1e-3,
    "nm": 1e-3,
    "micrometer": 1.0,
    "micron": 1.0,
    "um": 1.0,
    "µm": 1.0,  # micro sign, U+00B5
    "μm": 1.0,  # Greek mu, U+03BC
    "millimeter": 1e3,
    "mm": 1e3,
    "centimeter": 1e4,
    "cm": 1e4,
    "meter": 1e6,
    "m": 1e6,
}
"""Micrometres per unit, by the names of NGFF and OME-XML."""


def plausible(mpp: tuple[float, float]) -> bool:
    """Tell whether both values lie from `MIN_MPP` to `MAX_MPP`."""
    return all(math.isfinite(value) and MIN_MPP <= value <= MAX_MPP for value in mpp)


def parse_mpp(text: str) -> tuple[float, float]:
    """Return (x, y) um/px from "0.25" or "0.25,0.26"; UsageError for anything else."""
    parts = text.split(",")
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = []
    if len(values) not in (1, 2):
        raise UsageError(f"--slide-mpp {text!r}: expected micrometres per pixel, X or X,Y: 0.25 or 0.25,0.26")
    mpp = (values[0], values[-1])
    if not plausible(mpp):
        raise UsageError(f"--slide-mpp {text}: expected {MIN_MPP} to {MAX_MPP:g} um/px")
    return mpp


def resolve_mpp(slide: Slide, override: tuple[float, float] | None = None) -> tuple[float, float]:
    """Return (x, y) um per level-0 pixel: the override, else the file's own.

    Raises UsageError for an implausible override, InputRefusedError where the file has no plausible one.
    """
    if override is not None:
        if not plausible(override):
            raise UsageError(
                f"--slide-mpp {override[0]:g},{override[1]:g}: expected {MIN_MPP} to {MAX_MPP:g} um/px"
            )
        return override
    if slide.mpp is None:
        raise InputRefusedError(
            f"{slide.name}: the file has no pixel size: give it as --slide-mpp X (um/px at full resolution)"
        )
    if not plausible(slide.mpp):
        raise InputRefusedError(
            f"{slide.name}: the file says {slide.mpp[0]:.4g} x {slide.mpp[1]:.4g} um/px, expected "
            f"{MIN_MPP} to {MAX_MPP:g}: give the true size as --slide-mpp X"
        )
    return slide.mpp
