"""Nuclei of malignant nests and stroma, and drawing of all nuclei."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wsiseg.phantom.canvas import Canvas, Nuclei
from wsiseg.phantom.noise import Field
from wsiseg.phantom.shapes import BENIGN, DESMOPLASTIC, MALIGNANT, NECROSIS, NORMAL


def jittered_grid(
    rng: np.random.Generator, width_um: float, height_um: float, pitch_um: float, jitter: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return (x, y) in um of a hexagonal grid, each point moved by a normal of `jitter` pitches."""
    columns = int(width_um / pitch_um) + 2
    rows = int(height_um / (pitch_um * 0.87)) + 2
    x = np.arange(columns)[None, :] + 0.5 * (np.arange(rows)[:, None] % 2)
    y = np.broadcast_to(np.arange(rows)[:, None] * 0.87, (rows, columns))
    moved = rng.normal(0, jitter, (2, rows, columns))
    return (
        ((x + moved[0]) * pitch_um).astype(np.float32).ravel(),
        ((y + moved[1]) * pitch_um).astype(np.float32).ravel(),
    )


def _cells(
    rng: np.random.Generator,
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    *,
    long_um: tuple[float, float],
    short_um: tuple[float, float],
    angle: NDArray[np.float32] | None,
    density: tuple[float, float],
    vesicular: tuple[float, float],
) -> Nuclei:
    """Nuclei at given places; each range is (median, log spread), but `vesicular` is (low, high)."""
    count = len(x)

    def spread(median: float, log_sd: float) -> NDArray[np.float32]:
        return np.asarray(median * np.exp(log_sd * np.clip(rng.normal(0, 1, count), -2.2, 2.2)), np.float32)

    long = spread(*long_um)
    return Nuclei(
        x,
        y,
        long,
        np.minimum(spread(*short_um), long),
        rng.uniform(0, np.pi, count).astype(np.float32) if angle is None else angle,
        spread(*density),
        rng.uniform(*vesicular, count).astype(np.float32),
    )


def place_malignant(canvas: Canvas, rng: np.random.Generator) -> Nuclei:
    """Crowded, pleomorphic nuclei without order in everything labelled malignant."""
    height_um, width_um = (side * canvas.mpp for side in canvas.shape)
    x, y = jittered_grid(rng, width_um, height_um, 10.3, 0.22)
    keep = canvas.label_at(x, y) == MALIGNANT
    return _cells(
        rng,
        x[keep],
        y[keep],
        long_um=(5.4, 0.24),
        short_um=(4.2, 0.22),
        angle=None,
        density=(0.80, 0.20),
        vesicular=(0.1, 0.55),
    )


def place_stromal(canvas: Canvas, rng: np.random.Generator, across: dict[int, Field]) -> list[Nuclei]:
    """Spindle cells: thin ones along the fibres of normal stroma, plump disordered ones in desmoplastic.

    `across[label]` is the coordinate in um across the fibres of that stroma.
    """
    height_um, width_um = (side * canvas.mpp for side in canvas.shape)
    placed = []
    for label, pitch, long, short, jitter in (
        (NORMAL, 33.0, (8.6, 0.2), (1.6, 0.12), 0.35),
        (DESMOPLASTIC, 33.0, (5.8, 0.2), (3.3, 0.2), 0.35),
    ):
        x, y = jittered_grid(rng, width_um, height_um, pitch, jitter)
        keep = canvas.label_at(x, y) == label
        x, y = x[keep], y[keep]
        angle = _along(across[label], canvas.mpp, x, y)
        if label == DESMOPLASTIC:
            angle = angle + rng.normal(0, 0.6, len(x)).astype(np.float32)
        placed.append(
            _cells(
                rng, x, y, long_um=long, short_um=short, angle=angle, density=(0.85, 0.12), vesicular=(0, 0.3)
            )
        )
    return placed


def place_lymphocytes(canvas: Canvas, rng: np.random.Generator, infiltrate: Field) -> Nuclei:
    """Small round dark nuclei where `infiltrate` is high, in either stroma."""
    height_um, width_um = (side * canvas.mpp for side in canvas.shape)
    x, y = jittered_grid(rng, width_um, height_um, 10.0, 0.3)
    found = canvas.label_at(x, y)
    rows = np.clip((y / canvas.mpp).astype(np.intp), 0, canvas.shape[0] - 1)
    columns = np.clip((x / canvas.mpp).astype(np.intp), 0, canvas.shape[1] - 1)
    often = np.clip((infiltrate[rows, columns] - 1.35) * 0.7, 0.006, 0.6)
    keep = ((found == NORMAL) | (found == DESMOPLASTIC)) & (rng.uniform(size=len(x)) < often)
    return _cells(
        rng,
        x[keep],
        y[keep],
        long_um=(2.9, 0.08),
        short_um=(2.7, 0.08),
        angle=None,
        density=(1.15, 0.08),
        vesicular=(0, 0.1),
    )


def place_debris(canvas: Canvas, rng: np.random.Generator) -> Nuclei:
    """Fragments of nuclei (karyorrhexis) in necrosis."""
    height_um, width_um = (side * canvas.mpp for side in canvas.shape)
    x, y = jittered_grid(rng, width_um, height_um, 7.5, 0.45)
    keep = (canvas.label_at(x, y) == NECROSIS) & (rng.uniform(size=len(x)) < 0.4)
    return _cells(
        rng,
        x[keep],
        y[keep],
        long_um=(1.25, 0.45),
        short_um=(1.0, 0.4),
        angle=None,
        density=(0.85, 0.3),
        vesicular=(0, 0.1),
    )


def _along(across: Field, mpp: float, x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Angle of the fibres at each point: at right angles to the gradient of `across`."""
    rows = np.clip((y / mpp).astype(np.intp), 1, across.shape[0] - 2)
    columns = np.clip((x / mpp).astype(np.intp), 1, across.shape[1] - 2)
    down = across[rows + 1, columns] - across[rows - 1, columns]
    right = across[rows, columns + 1] - across[rows, columns - 1]
    return np.asarray(np.arctan2(right, -down), np.float32)


def draw(nuclei: Nuclei, shape: tuple[int, int], mpp: float) -> Field:
    """Return (rows, columns) the haematoxylin of all nuclei; where two overlap, the darker one counts."""
    height, width = shape
    margin = int(np.ceil(16 / mpp)) + 2
    padded_width = width + 2 * margin
    flat = np.zeros((height + 2 * margin) * padded_width, np.float32)
    reach_px = np.ceil(nuclei.long_um / mpp).astype(np.intp) + 1
    near = (nuclei.x_um > -16) & (nuclei.x_um < width * mpp + 16)
    near &= (nuclei.y_um > -16) & (nuclei.y_um < height * mpp + 16)
    for reach in np.unique(reach_px[near]):
        if reach >= margin:
            continue
        group = nuclei.subset(near & (reach_px == reach))
        for start in range(0, len(group), 20000):
            stop = np.zeros(len(group), bool)
            stop[start : start + 20000] = True
            index, value = _stamps(group.subset(stop), int(reach), mpp, margin, padded_width)
            np.maximum.at(flat, index, value)
    return flat.reshape(-1, padded_width)[margin : margin + height, margin : margin + width]


def _stamps(
    group: Nuclei, reach: int, mpp: float, margin: int, padded_width: int
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Flat indices into the padded image and values of a group of ellipses of one reach."""
    offset = np.arange(-reach, reach + 1)
    row = np.floor(group.y_um / mpp).astype(np.intp)
    column = np.floor(group.x_um / mpp).astype(np.intp)
    dy = ((row[:, None] + offset + 0.5) * mpp - group.y_um[:, None]).astype(np.float32)[:, :, None]
    dx = ((column[:, None] + offset + 0.5) * mpp - group.x_um[:, None]).astype(np.float32)[:, None, :]
    cosine, sine = (f(group.angle)[:, None, None] for f in (np.cos, np.sin))
    along = (dx * cosine + dy * sine) / group.long_um[:, None, None]
    across = (dy * cosine - dx * sine) / group.short_um[:, None, None]
    rho2 = along * along + across * across
    edge = np.clip(
        (1 - np.sqrt(rho2)) * group.short_um[:, None, None] / np.float32(max(1.0, mpp)) + 0.5, 0, 1
    )
    pale = 1 - group.vesicular[:, None, None] * np.clip(1 - rho2, 0, 1)
    value = edge * pale * group.density[:, None, None]
    index = (row[:, None, None] + offset[:, None] + margin) * padded_width
    index = index + (column[:, None, None] + offset[None, :] + margin)
    keep = value > 0.02
    return index[keep], value[keep].astype(np.float32)


def of_label(nuclei: Nuclei, canvas: Canvas, label: int = BENIGN) -> Nuclei:
    """Return those nuclei whose centre lies on a label."""
    return nuclei.subset(canvas.label_at(nuclei.x_um, nuclei.y_um) == label)
