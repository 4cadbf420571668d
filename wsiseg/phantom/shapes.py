"""What each kind of structure looks like: paints labels through windows and places benign nuclei.

Benign epithelium is orderly: two cell layers around an open lumen, smooth outline, small even nuclei.
Malignant epithelium is not: solid, cribriform, comedo, cords and irregular glands with a ragged outline.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wsiseg.phantom.canvas import Canvas, Mask, Nuclei, Window
from wsiseg.phantom.layout import Structure
from wsiseg.phantom.noise import Field
from wsiseg.phantom.parameters import PhantomParameters

BACKGROUND, BENIGN, MALIGNANT, NORMAL, DESMOPLASTIC, SECRETION, BLOOD, NECROSIS = range(8)

_ORDERS = np.arange(2, 6)  # consecutive, from 2: Outline counts on it
_WALL_UM = 8.0
"""Least epithelium around a hole."""


class Outline:
    """A closed curve r(angle) about a centre, in um: a circle with a few harmonics."""

    def __init__(self, rng: np.random.Generator, radius_um: float, irregular: float) -> None:
        amplitude = irregular * rng.normal(0, 1, len(_ORDERS)) / _ORDERS
        phase = rng.uniform(0, 2 * np.pi, len(_ORDERS))
        self.radius_um = radius_um
        self._cos = (amplitude * np.cos(phase)).astype(np.float32)
        self._sin = (amplitude * np.sin(phase)).astype(np.float32)

    def at(self, angle: Field) -> Field:
        """Return the radius in um at each angle."""
        return self._radius(np.exp(1j * angle).astype(np.complex64))

    def depth(self, window: Window) -> Field:
        """Return how far inside the curve each pixel lies, in um (negative outside), about."""
        away = np.hypot(window.dx, window.dy)
        direction = (window.dx + np.complex64(1j) * window.dy) / np.maximum(away, np.float32(1e-6))
        return self._radius(direction.astype(np.complex64)) - away

    def _radius(self, direction: NDArray[np.complex64]) -> Field:
        # cos and sin of a multiple of an angle are the parts of a power of the unit vector.
        power, bump = direction, np.ones(direction.shape, np.float32)
        for cosine, sine in zip(self._cos, self._sin, strict=True):
            power = power * direction
            bump += cosine * power.real + sine * power.imag
        return np.asarray(self.radius_um * np.clip(bump, 0.5, 1.3), np.float32)


def paint(canvas: Canvas, structure: Structure, p: PhantomParameters, ragged: Field, ridged: Field) -> None:
    """Paint one structure. `ragged` and `ridged` are canvas-wide fields of unit variance."""
    rng = np.random.default_rng(structure.seed)
    window = canvas.window(structure.x_um, structure.y_um, structure.radius_um * 1.35)
    if window is None:
        return
    kind = structure.kind
    if kind in ("duct", "cyst"):
        _gland(canvas, rng, structure.x_um, structure.y_um, structure.radius_um / 1.15, kind == "cyst")
    elif kind == "lobule":
        _lobule(canvas, rng, structure, p)
    elif kind in ("vessel", "haemorrhage", "necrosis"):
        _fill(window, rng, structure, window.crop(ragged))
    else:
        _malignant(canvas, window, rng, structure, ragged, ridged)


def _gland(
    canvas: Canvas, rng: np.random.Generator, x: float, y: float, radius_um: float, cyst: bool
) -> None:
    """Two layers of epithelium around a lumen, empty or filled with secretion."""
    window = canvas.window(x, y, radius_um * 1.35)
    if window is None:
        return
    outline = Outline(rng, radius_um, 0.16)
    depth = outline.depth(window)
    thick = float(rng.uniform(11, 13)) if cyst else float(rng.uniform(14.5, 18))
    wave = 1.2 * np.sin(window.dx / 6.5 + rng.uniform(0, 6)) * np.sin(window.dy / 6.5 + rng.uniform(0, 6))
    lumen = depth > np.minimum(thick, 0.86 * radius_um) + wave
    epithelium = (depth > 0) & ~lumen
    window.labels[epithelium] = BENIGN
    _fill_lumen(window, rng, lumen, depth - thick, 0.65 if cyst else 0.45)
    canvas.nuclei.append(_layer(rng, outline, x, y, thick * 0.63, 7.3, (3.9, 3.0), radial=True))
    canvas.nuclei.append(_layer(rng, outline, x, y, 3.4, 9.0, (4.3, 2.2), radial=False))
    if thick > 16:
        canvas.nuclei.append(_layer(rng, outline, x, y, thick * 0.80, 12.0, (3.6, 2.9), radial=True))


def _fill_lumen(window: Window, rng: np.random.Generator, lumen: Mask, depth: Field, often: float) -> None:
    window.labels[lumen] = BACKGROUND
    if rng.uniform() < often:
        scallop = 2.6 * np.abs(np.sin(window.dx / 4.1 + rng.uniform(0, 6)) * np.sin(window.dy / 4.7))
        window.labels[lumen & (depth > rng.uniform(0.5, 3.5) + scallop)] = SECRETION


def _layer(
    rng: np.random.Generator,
    outline: Outline,
    x: float,
    y: float,
    inset_um: float,
    spacing_um: float,
    half_axes_um: tuple[float, float],
    *,
    radial: bool,
) -> Nuclei:
    """Nuclei in a row along the outline, evenly spaced."""
    mean_um = max(outline.radius_um - inset_um, 2.0)
    count = max(3, int(2 * np.pi * mean_um / spacing_um))
    step = 2 * np.pi / count
    angle = (np.arange(count) * step + rng.uniform(0, step) + rng.normal(0, 0.10 * step, count)).astype(
        np.float32
    )
    radius = np.maximum(outline.at(angle) - inset_um + rng.normal(0, 0.7, count), 1.0)
    size = np.exp(rng.normal(0, 0.05, count))
    return Nuclei(
        (x + radius * np.cos(angle)).astype(np.float32),
        (y + radius * np.sin(angle)).astype(np.float32),
        (half_axes_um[0] * size).astype(np.float32),
        (half_axes_um[1] * size).astype(np.float32),
        angle if radial else angle + np.float32(np.pi / 2),
        np.clip(rng.normal(0.86, 0.09, count), 0.6, 1.2).astype(np.float32),
        np.full(count, 0.15, np.float32),
    )


def _lobule(canvas: Canvas, rng: np.random.Generator, structure: Structure, p: PhantomParameters) -> None:
    """A bunch of small acini about a point."""
    step = 2 * p.acinus_radius_um + 3.0
    reach = int(structure.radius_um / step) + 1
    for row in range(-reach, reach + 1):
        for column in range(-reach, reach + 1):
            dx = (column + 0.5 * (row % 2)) * step + rng.normal(0, 4.0)
            dy = row * step * 0.87 + rng.normal(0, 4.0)
            radius = p.acinus_radius_um * float(rng.uniform(0.7, 1.12))
            if np.hypot(dx, dy) + radius < structure.radius_um and rng.uniform() < 0.93:
                _gland(canvas, rng, structure.x_um + dx, structure.y_um + dy, radius, False)


def _fill(window: Window, rng: np.random.Generator, structure: Structure, ragged: Field) -> None:
    """A vessel full of blood, a haemorrhage or geographic necrosis."""
    depth = Outline(rng, structure.radius_um, 0.25).depth(window)
    label = NECROSIS if structure.kind == "necrosis" else BLOOD
    rough_um = 1.0 if structure.kind == "vessel" else 14.0
    window.labels[depth > 4.0 + rough_um * ragged] = label


def _malignant(
    canvas: Canvas,
    window: Window,
    rng: np.random.Generator,
    structure: Structure,
    ragged: Field,
    ridged: Field,
) -> None:
    depth = Outline(rng, structure.radius_um / 1.1, 0.30).depth(window) + 6.0 * window.crop(ragged)
    inside = depth > 0
    if structure.kind == "cords":
        inside &= np.abs(window.crop(ridged)) < rng.uniform(0.36, 0.5)
        window.labels[inside] = MALIGNANT
        return
    if structure.kind == "glands":
        _ragged_glands(window, rng, inside, window.crop(ridged), window.crop(ragged))
        return
    window.labels[inside] = MALIGNANT
    if structure.kind == "comedo":
        centre = depth > rng.uniform(30, 42) + 5.0 * window.crop(ragged)
        window.labels[centre] = NECROSIS
    elif structure.kind == "cribriform":
        _punch(canvas, rng, structure)


def _ragged_glands(
    window: Window, rng: np.random.Generator, inside: Mask, ridged: Field, ragged: Field
) -> None:
    """Angulated infiltrating glands: islands of the ridged field, thick walls, lumina off centre."""
    level = np.abs(ridged) + 0.12 * ragged
    window.labels[inside & (level > 0.55)] = MALIGNANT
    lumen = inside & (level > rng.uniform(1.6, 1.9))
    window.labels[lumen] = BACKGROUND
    if rng.uniform() < 0.5:
        window.labels[inside & (level > 2.0)] = SECRETION


def _punch(canvas: Canvas, rng: np.random.Generator, structure: Structure) -> None:
    """Round rigid holes in a nest, some of them with secretion."""
    pitch = float(rng.uniform(36, 46))
    reach = int(structure.radius_um / pitch) + 1
    filled = rng.uniform() < 0.6
    for row in range(-reach, reach + 1):
        for column in range(-reach, reach + 1):
            x = structure.x_um + (column + 0.5 * (row % 2)) * pitch + rng.normal(0, 5)
            y = structure.y_um + row * pitch * 0.87 + rng.normal(0, 5)
            hole_um = float(rng.uniform(6, 14))
            around = canvas.window(x, y, hole_um + _WALL_UM)
            if around is None:
                continue
            away = np.hypot(around.dx, around.dy)
            if (around.labels[away < hole_um + _WALL_UM] != MALIGNANT).any():
                continue  # no hole opens to the outside
            around.labels[away < hole_um] = BACKGROUND
            if filled:
                around.labels[away < hole_um - 1.5] = SECRETION
