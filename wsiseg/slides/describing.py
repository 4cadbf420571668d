"""What a user should know about a slide before anything is computed from it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsiseg.geometry import Region
from wsiseg.slides.physical import plausible
from wsiseg.slides.slide import Slide

PLAIN_NAMES = frozenset({"label", "macro", "overview", "thumbnail"})
"""Names of associated images that say nothing about a patient."""

THUMBNAIL_PX = 2400
"""Longest side of the level that the colours are judged on; larger levels are sampled."""
SAMPLE_PX, SAMPLES_PER_SIDE = 256, 5

DARK_GREY = 150
"""Brightfield: the brightest tenth of the scanned area (glass, pale stroma) is brighter than this."""
BACKGROUND_GREY = 200
"""Brightfield scanners fill what they did not scan with white or nearly white."""
COLOURED = 30
"""Difference of a pixel's largest and smallest channel from which it has a hue."""
GREEN_SHARE = 0.2
"""Haematoxylin and eosin absorb green most: hardly a coloured pixel is greenest."""


def brightfield_warning(slide: Slide) -> str | None:
    """Return a line saying why the slide does not look like brightfield H&E, None where it does.

    Judged on a small level or 25 samples; unread pixels and those of exactly the background colour
    count for nothing.
    """
    if sum(slide.background) / 3 < BACKGROUND_GREY:
        return (
            f"the unscanned area has the colour {slide.background}, brightfield slides have white: "
            "fluorescence? the networks expect H&E"
        )
    pixels = _sample(slide)
    if len(pixels) < 100:
        return None
    # Channel by channel: along the axis of three NumPy takes several times as long.
    red, green, blue = (np.ascontiguousarray(pixels[:, index]) for index in range(3))
    grey = (red.astype(np.uint16) + green + blue) / 3
    bright = float(np.percentile(grey, 90))
    if bright < DARK_GREY:
        return (
            f"dark: nine tenths of the scanned pixels are below grey {bright:.0f}, glass is above "
            f"{DARK_GREY}: fluorescence? the networks expect brightfield H&E"
        )
    highest, lowest = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    coloured = highest - lowest > COLOURED
    greenest = coloured & (green > red) & (green > blue)
    share = greenest.sum() / max(1, coloured.sum())
    if coloured.mean() > 0.01 and share > GREEN_SHARE:
        return (
            f"{share:.0%} of the coloured pixels are green, hardly any are in H&E: another stain, "
            "or wrong colours in the file"
        )
    return None


def _sample(slide: Slide) -> NDArray[np.uint8]:
    """Return (n, 3) uint8 pixels, without unread ones and those of the background colour."""
    index = next(
        (i for i, item in enumerate(slide.levels) if max(item.width_px, item.height_px) <= THUMBNAIL_PX),
        len(slide.levels) - 1,
    )
    level = slide.levels[index]
    regions = [level.region]
    if max(level.width_px, level.height_px) > THUMBNAIL_PX:
        steps = [(2 * i + 1) / (2 * SAMPLES_PER_SIDE) for i in range(SAMPLES_PER_SIDE)]
        half = SAMPLE_PX // 2
        regions = [
            Region(int(fx * level.width_px) - half, int(fy * level.height_px) - half, SAMPLE_PX, SAMPLE_PX)
            for fy in steps
            for fx in steps
        ]
    kept = []
    for region in regions:
        pixels, unread = slide.read_region_masked(index, region)
        empty = (pixels == np.array(slide.background, dtype=np.uint8)).all(axis=2)
        kept.append(pixels[~unread & ~empty])
    return np.concatenate(kept)


def describe(slide: Slide, *, redact: bool = False) -> dict[str, Any]:
    """Return what `wsiseg info` shows, of JSON types.

    `redact` leaves out the name and the path. Associated images are named with their sizes, never read:
    labels carry patient names.
    """
    warnings = list(slide.warnings)
    if slide.mpp is None:
        warnings.append("the file has no pixel size: give --slide-mpp X")
    elif not plausible(slide.mpp):
        warnings.append(f"the file's pixel size of {slide.mpp[0]:.4g} um is implausible: give --slide-mpp X")
    colours = brightfield_warning(slide)
    if colours:
        warnings.append(colours)
    if redact and slide.name:
        warnings = [line.replace(slide.source, "(slide)").replace(slide.name, "(slide)") for line in warnings]
    return {
        "name": None if redact else slide.name,
        "source": None if redact else slide.source,
        "backend": slide.backend,
        "vendor": slide.vendor,
        "width_px": slide.levels[0].width_px,
        "height_px": slide.levels[0].height_px,
        "mpp": list(slide.mpp) if slide.mpp else None,
        "objective_power": slide.objective_power,
        "background": list(slide.background),
        "levels": [
            {
                "level": index,
                "width_px": level.width_px,
                "height_px": level.height_px,
                "downsample": level.downsample,
                "mpp": [value * level.downsample for value in slide.mpp] if slide.mpp else None,
            }
            for index, level in enumerate(slide.levels)
        ],
        "associated_images": {
            name if not redact or name in PLAIN_NAMES else f"image {index}": list(size)
            for index, (name, size) in enumerate(slide.associated_images().items())
        },
        "warnings": warnings,
    }
