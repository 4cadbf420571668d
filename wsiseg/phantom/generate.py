"""generate_phantom(): the steps in order; read it first."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import UsageError
from wsiseg.phantom import cells, shapes, tissue
from wsiseg.phantom.canvas import Canvas, Nuclei
from wsiseg.phantom.equalise import equalise
from wsiseg.phantom.layout import lay_out
from wsiseg.phantom.noise import Field, smooth_noise
from wsiseg.phantom.optics import scan
from wsiseg.phantom.parameters import TRAINING_RANGES, PhantomParameters, Ranges, draw_parameters

Outline = Literal["full", "island"]
ARCHITECTURE_PAIRS = (
    (shapes.BENIGN, shapes.MALIGNANT),
    (shapes.NORMAL, shapes.DESMOPLASTIC),
)
"""Classes that share their colours and differ in architecture."""

LEAST_SIDE_UM = 64.0
MOST_PIXELS = 64_000_000
_LEAST_GLASS_UM = 8.0


@dataclass(frozen=True, slots=True)
class Phantom:
    """A drawn slide and its truth."""

    rgb: NDArray[np.uint8]
    """(rows, columns, 3) uint8."""
    labels: NDArray[np.uint8]
    """(rows, columns) uint8, ids of `TISSUE8`. Fat with its septa, empty lumina and glass are background."""
    mpp: float
    """um per pixel."""
    parameters: PhantomParameters
    kinds: frozenset[str]
    """Kinds of structures that were drawn."""


def generate_phantom(
    seed: int,
    width_px: int,
    height_px: int,
    mpp: float = 1.0,
    *,
    ranges: Ranges = TRAINING_RANGES,
    parameters: PhantomParameters | None = None,
    outline: Outline = "full",
    without: Container[str] = (),
) -> Phantom:
    """Draw an H&E-like slide with all eight labels; the same arguments give the same pixels.

    Everything is laid out in um, so another mpp draws the same scene at another resolution.
    `outline="island"` leaves glass around the tissue; `without` names kinds of structures that are not drawn
    (`wsiseg.phantom.layout`). Parameters are drawn from `ranges` unless given.
    Raises UsageError for a size or mpp that cannot be drawn.
    """
    _check(width_px, height_px, mpp)
    streams = [np.random.default_rng(part) for part in np.random.SeedSequence(seed).spawn(8)]
    p = parameters if parameters is not None else draw_parameters(streams[0], ranges)
    shape = (height_px, width_px)

    canvas, malignant = _ground(streams[1], shape, mpp, p)
    ragged = smooth_noise(streams[2], shape, mpp, 26.0)
    ridged = smooth_noise(streams[2], shape, mpp, 62.0)

    def malignant_at(x_um: float, y_um: float) -> float:
        row, column = min(int(y_um / mpp), height_px - 1), min(int(x_um / mpp), width_px - 1)
        return float(malignant[row, column])

    structures = lay_out(streams[3], width_px * mpp, height_px * mpp, p, malignant_at, without)
    for structure in structures:
        shapes.paint(canvas, structure, p, ragged, ridged)
    del ragged, ridged
    if outline == "island":
        _leave_glass(canvas, streams[4])

    fibres = tissue.fibres_across(canvas, streams[5])
    nuclei = _nuclei(canvas, streams[6], {label: part[0] for label, part in fibres.items()})
    stains = tissue.concentrations(canvas, streams[5], p, fibres, cells.draw(nuclei, shape, mpp))
    del fibres
    equalise(stains[0], stains[1], canvas.labels, ARCHITECTURE_PAIRS, mpp)
    rgb = scan(streams[7], stains, p, mpp)
    labels = canvas.labels
    labels[labels >= tissue.FAT] = shapes.BACKGROUND
    return Phantom(rgb, labels, mpp, p, frozenset(item.kind for item in structures))


def _check(width_px: int, height_px: int, mpp: float) -> None:
    if not 0.2 <= mpp <= 4.0:
        raise UsageError(f"phantom mpp is {mpp} um/px: expected 0.2 to 4, nuclei cannot be drawn otherwise")
    if min(width_px, height_px) * mpp < LEAST_SIDE_UM:
        raise UsageError(
            f"phantom of {width_px} x {height_px} px at {mpp} um/px: "
            f"each side must be {LEAST_SIDE_UM:g} um or more"
        )
    if width_px * height_px > MOST_PIXELS:
        raise UsageError(
            f"phantom of {width_px} x {height_px} px: at most {MOST_PIXELS:,} px are drawn in memory; "
            "repeat its tiles for a larger slide (wsiseg.phantom.repeated)"
        )


def _ground(
    rng: np.random.Generator, shape: tuple[int, int], mpp: float, p: PhantomParameters
) -> tuple[Canvas, Field]:
    """The two stromas and fat, before structures; and the field that says where tissue is malignant."""
    malignant = smooth_noise(rng, shape, mpp, p.domain_um)
    malignant -= np.median(malignant[::8, ::8])
    desmoplastic = 0.5 * malignant + 0.87 * smooth_noise(rng, shape, mpp, 0.6 * p.domain_um)
    fat = smooth_noise(rng, shape, mpp, 0.55 * p.domain_um)
    fat += 0.12 * smooth_noise(rng, shape, mpp, 45.0)
    ground = np.where(
        desmoplastic > np.median(desmoplastic[::8, ::8]), shapes.DESMOPLASTIC, shapes.NORMAL
    ).astype(np.uint8)
    ground[fat > np.quantile(fat[::8, ::8], 1 - 1.4 * p.fat)] = tissue.FAT
    return Canvas(*shape, mpp, ground), malignant


def _leave_glass(canvas: Canvas, rng: np.random.Generator) -> None:
    """Glass around a rounded piece of tissue with a ragged edge."""
    height, width = canvas.shape
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    ragged = smooth_noise(rng, canvas.shape, canvas.mpp, 0.35 * min(height, width) * canvas.mpp)
    fine = smooth_noise(rng, canvas.shape, canvas.mpp, 30.0)
    away = (x**4 + y**4) ** np.float32(0.25) + np.float32(0.10) * ragged + np.float32(0.006) * fine
    glass = away > 0.86
    margin_px = max(1, round(_LEAST_GLASS_UM / canvas.mpp))
    glass[:margin_px] = glass[-margin_px:] = True
    glass[:, :margin_px] = glass[:, -margin_px:] = True
    canvas.labels[glass] = tissue.GLASS


def _nuclei(canvas: Canvas, rng: np.random.Generator, across: dict[int, Field]) -> Nuclei:
    benign = cells.of_label(Nuclei.join(canvas.nuclei), canvas)
    infiltrate = smooth_noise(rng, canvas.shape, canvas.mpp, 180.0)
    return Nuclei.join(
        [
            benign,
            cells.place_malignant(canvas, rng),
            *cells.place_stromal(canvas, rng, across),
            cells.place_lymphocytes(canvas, rng, infiltrate),
            cells.place_debris(canvas, rng),
        ]
    )
