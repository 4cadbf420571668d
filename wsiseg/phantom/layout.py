"""Where the structures of a phantom lie: circles in micrometres, thrown without overlap, largest first.

Each structure carries its own seed, so what it looks like does not depend on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsiseg.phantom.parameters import PhantomParameters

BENIGN_KINDS = ("lobule", "duct", "cyst")
MALIGNANT_KINDS = ("solid", "cribriform", "comedo", "cords", "glands")
OTHER_KINDS = ("vessel", "haemorrhage", "necrosis")

# How often each kind is thrown in benign and in malignant domains. Each kind occurs in both, so the
# surroundings hint at a class but never give it away.
_WEIGHTS = {
    "lobule": (0.13, 0.02),
    "duct": (0.74, 0.14),
    "cyst": (0.07, 0.01),
    "solid": (0.02, 0.20),
    "cribriform": (0.02, 0.18),
    "comedo": (0.02, 0.13),
    "cords": (0.01, 0.07),
    "glands": (0.01, 0.05),
    "vessel": (0.06, 0.06),
    "haemorrhage": (0.012, 0.015),
    "necrosis": (0.00, 0.012),
}

DomainAt = Callable[[float, float], float]


@dataclass(frozen=True, slots=True)
class Structure:
    """One duct, nest, vessel...: its bounding circle and the seed of its details."""

    kind: str
    x_um: float
    y_um: float
    radius_um: float
    seed: int


def _radius(kind: str, rng: np.random.Generator, p: PhantomParameters) -> float:
    spread = float(np.clip(np.exp(rng.normal(0, 0.28)), 0.55, 1.6))
    size = {
        "lobule": 3.6 * p.acinus_radius_um + 25,
        "duct": p.duct_radius_um,
        "cyst": 1.8 * p.duct_radius_um,
        "solid": p.nest_radius_um,
        "cribriform": 1.15 * p.nest_radius_um,
        "comedo": 1.15 * p.nest_radius_um,
        "cords": 1.45 * p.nest_radius_um,
        "glands": 1.45 * p.nest_radius_um,
        "vessel": 24.0,
        "haemorrhage": 95.0,
        "necrosis": 90.0,
    }[kind]
    return size * spread


def lay_out(
    rng: np.random.Generator,
    width_um: float,
    height_um: float,
    parameters: PhantomParameters,
    malignant_at: DomainAt,
    without: Container[str] = (),
) -> list[Structure]:
    """Return the structures of a scene, none of the kinds `without`.

    `malignant_at(x_um, y_um)` > 0 says which domain a point is in.
    """
    tries = int(np.ceil(width_um * height_um / 1e6 * 700)) + 20
    kinds = list(_WEIGHTS)
    weights = np.array([(0.0, 0.0) if kind in without else _WEIGHTS[kind] for kind in kinds])
    cumulative = np.cumsum(weights / weights.sum(axis=0), axis=0)
    candidates: list[Structure] = []
    for _ in range(tries):
        x, y = float(rng.uniform(0, width_um)), float(rng.uniform(0, height_um))
        domain = int(malignant_at(x, y) > 0)
        kind = kinds[min(int(np.searchsorted(cumulative[:, domain], rng.uniform())), len(kinds) - 1)]
        candidates.append(Structure(kind, x, y, _radius(kind, rng, parameters), int(rng.integers(2**63))))
    # Mostly the largest first, or they would never fit; not strictly, or nothing small would.
    order = [-item.radius_um * float(np.exp(rng.normal(0, 0.45))) for item in candidates]
    candidates = [candidates[index] for index in np.argsort(order)]
    return _without_overlap(candidates, parameters.spacing_um)


def _without_overlap(candidates: list[Structure], gap_um: float) -> list[Structure]:
    placed: list[Structure] = []
    taken: NDArray[np.float64] = np.zeros((len(candidates), 3))
    for item in candidates:
        near = taken[: len(placed)]
        distance = np.hypot(near[:, 0] - item.x_um, near[:, 1] - item.y_um)
        if (distance < near[:, 2] + item.radius_um + gap_um).any():
            continue
        taken[len(placed)] = item.x_um, item.y_um, item.radius_um
        placed.append(item)
    return placed
