"""What may differ between two phantom slides, and the ranges that training and held-out ones take it from.

The two range tables are disjoint in every parameter of stain, scanner and layout, so a score on held-out
phantoms is never one on parameters that were trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType

import numpy as np

from wsiseg.errors import UsageError, choose

Ranges = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomParameters:
    """One phantom's stain, scanner and layout."""

    # Stain
    haematoxylin: float
    """Factor on the haematoxylin concentration."""
    eosin: float
    """Factor on the eosin concentration."""
    haematoxylin_hue: float
    """Added to the red part of haematoxylin's optical-density vector, taken from its blue part."""
    eosin_hue: float
    """Added to the blue part of eosin's optical-density vector, taken from its green part."""

    # Scanner
    blur_um: float
    """Standard deviation of the Gaussian point spread."""
    gamma: float
    """Exponent on the intensity."""
    noise: float
    """Standard deviation of the sensor noise, in grey levels."""
    warmth: float
    """White point: added to red and taken from blue, as a fraction."""
    jpeg_quality: float
    """Of the scanner's own compression."""

    # Layout
    duct_radius_um: float
    """Typical outer radius of a benign duct."""
    acinus_radius_um: float
    """Typical outer radius of an acinus in a lobule."""
    nest_radius_um: float
    """Typical radius of a malignant nest."""
    spacing_um: float
    """Least gap between two structures."""
    fibre_um: float
    """Thickness of a collagen fibre."""
    domain_um: float
    """Wavelength of the fields that say where tissue is benign, malignant, desmoplastic or fatty."""

    # The same for both
    fat: float
    """About the fraction of the area that is fat."""


TRAINING_RANGES: Ranges = MappingProxyType(
    {
        "haematoxylin": (0.85, 1.15),
        "eosin": (0.75, 1.15),
        "haematoxylin_hue": (-0.05, 0.05),
        "eosin_hue": (-0.06, 0.06),
        "blur_um": (0.35, 0.75),
        "gamma": (0.90, 1.08),
        "noise": (1.0, 3.0),
        "warmth": (-0.015, 0.015),
        "jpeg_quality": (78.0, 95.0),
        "duct_radius_um": (34.0, 52.0),
        "acinus_radius_um": (17.0, 22.0),
        "nest_radius_um": (45.0, 80.0),
        "spacing_um": (10.0, 24.0),
        "fibre_um": (3.4, 4.6),
        "domain_um": (500.0, 900.0),
        "fat": (0.04, 0.16),
    }
)
"""What the bundled network and the colour baseline are trained on."""

HELD_OUT_RANGES: Ranges = MappingProxyType(
    {
        "haematoxylin": (1.16, 1.30),
        "eosin": (0.60, 0.74),
        "haematoxylin_hue": (0.051, 0.08),
        "eosin_hue": (0.061, 0.10),
        "blur_um": (0.76, 0.95),
        "gamma": (1.09, 1.20),
        "noise": (3.1, 4.5),
        "warmth": (0.016, 0.03),
        "jpeg_quality": (66.0, 77.0),
        "duct_radius_um": (53.0, 66.0),
        "acinus_radius_um": (22.5, 25.0),
        "nest_radius_um": (81.0, 94.0),
        "spacing_um": (25.0, 32.0),
        "fibre_um": (4.7, 5.4),
        "domain_um": (950.0, 1200.0),
        "fat": (0.04, 0.16),
    }
)
"""Outside of TRAINING_RANGES in everything but the amount of fat."""

NAMED_RANGES: Mapping[str, Ranges] = MappingProxyType(
    {"training": TRAINING_RANGES, "held-out": HELD_OUT_RANGES}
)


def draw_parameters(rng: np.random.Generator, ranges: Ranges) -> PhantomParameters:
    """Draw every parameter uniformly from its range.

    Raises UsageError for a range table that lacks a parameter, has an unknown one, or a reversed range.
    """
    names = [field.name for field in fields(PhantomParameters)]
    for name in ranges:
        if name not in names:
            raise UsageError(choose("phantom parameter", name, names))
    values: dict[str, float] = {}
    for name in names:
        if name not in ranges:
            raise UsageError(f"phantom ranges lack {name!r}: give (low, high) for every parameter")
        low, high = ranges[name]
        if not low <= high:
            raise UsageError(f"phantom range of {name!r} is ({low}, {high}): the low end must come first")
        values[name] = float(rng.uniform(low, high))
    return PhantomParameters(**values)


def as_dict(parameters: PhantomParameters) -> dict[str, float]:
    """Return the parameters by name, for records."""
    return asdict(parameters)
