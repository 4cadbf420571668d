"""What each label is made of: concentrations of haematoxylin, eosin and blood's red, per pixel."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from wsiseg.phantom.canvas import Canvas
from wsiseg.phantom.cells import jittered_grid
from wsiseg.phantom.noise import Field, periodic_noise, sample_periodic, smooth_noise, tiled
from wsiseg.phantom.parameters import PhantomParameters
from wsiseg.phantom.shapes import (
    BENIGN,
    BLOOD,
    DESMOPLASTIC,
    MALIGNANT,
    NECROSIS,
    NORMAL,
    SECRETION,
)

FAT, GLASS = 8, 9
"""Labels while painting; both end as background."""

_TEXTURE_SIDE = 512
_FIBRE_SEED, _GRAIN_SEED = 11, 12


def fibres_across(
    canvas: Canvas, rng: np.random.Generator, malignant_near: bool = True
) -> dict[int, tuple[Field, Field]]:
    """Return for each stroma (across, along): coordinates in um at right angles to and along its fibres.

    Normal: parallel bundles with slow waves. Desmoplastic: whorls, as distance from scattered points and
    from malignant nests, so that fibres run round those.
    """
    shape, mpp = canvas.shape, canvas.mpp
    x = ((np.arange(shape[1]) + 0.5) * mpp).astype(np.float32)[None]
    y = ((np.arange(shape[0]) + 0.5) * mpp).astype(np.float32)[:, None]
    turn = float(rng.uniform(0, np.pi))
    cosine, sine = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    wave = 44 * smooth_noise(rng, shape, mpp, 330.0) + 3.5 * smooth_noise(rng, shape, mpp, 80.0)
    normal = (y * cosine - x * sine + wave, x * cosine + y * sine)

    coarse_um = 2.0
    step = max(1, round(coarse_um / mpp))
    labels = canvas.labels[::step, ::step]
    seeds = (labels == MALIGNANT) if malignant_near else np.zeros(labels.shape, bool)
    dot_x, dot_y = jittered_grid(rng, shape[1] * mpp, shape[0] * mpp, 120.0, 0.4)
    rows, columns = (dot_y / (mpp * step)).astype(np.intp), (dot_x / (mpp * step)).astype(np.intp)
    inside = (rows >= 0) & (rows < labels.shape[0]) & (columns >= 0) & (columns < labels.shape[1])
    seeds[rows[inside], columns[inside]] = True
    distance = ndimage.distance_transform_edt(~seeds).astype(np.float32) * np.float32(mpp * step)
    whorl = enlarge(distance, shape, step) + 7.0 * smooth_noise(rng, shape, mpp, 46.0)
    whorl += 2.6 * smooth_noise(rng, shape, mpp, 19.0)
    desmoplastic = (whorl, (x + y) * np.float32(0.7) + 9 * smooth_noise(rng, shape, mpp, 60.0))
    return {NORMAL: normal, DESMOPLASTIC: desmoplastic}


def enlarge(coarse: Field, shape: tuple[int, int], step: int) -> Field:
    """Return a field enlarged `step` times, linearly, to `shape`."""
    if step == 1:
        return coarse
    result = coarse
    for axis, side in enumerate(shape):
        position = np.clip((np.arange(side) - (step - 1) / 2) / step, 0, coarse.shape[axis] - 1)
        low = np.minimum(position.astype(np.intp), coarse.shape[axis] - 1)
        high = np.minimum(low + 1, coarse.shape[axis] - 1)
        part = (position - low).astype(np.float32)
        part = part[:, None] if axis == 0 else part[None]
        below = np.take(result, low, axis)
        result = below + part * (np.take(result, high, axis) - below)
    return result


def adipocytes(canvas: Canvas, rng: np.random.Generator) -> Field:
    """Return the eosin of fat: thin walls between large empty cells, where the label is FAT."""
    step = max(1, round(2.0 / canvas.mpp))
    labels = canvas.labels[::step, ::step]
    height_um, width_um = (side * canvas.mpp for side in canvas.shape)
    x, y = jittered_grid(rng, width_um, height_um, 62.0, 0.16)
    wall = np.full(labels.shape, 99.0, np.float32)
    rows, columns = np.nonzero(labels == FAT)
    if len(rows):
        unit = canvas.mpp * step
        points = np.stack([(columns + 0.5) * unit, (rows + 0.5) * unit], axis=1)
        distance, _ = cKDTree(np.stack([x, y], axis=1)).query(points, k=2)
        wall[rows, columns] = (distance[:, 1] - distance[:, 0]) / 2
    return np.asarray(0.42 * np.clip(1.9 - enlarge(wall, canvas.shape, step), 0, 1), np.float32)


def concentrations(
    canvas: Canvas,
    rng: np.random.Generator,
    p: PhantomParameters,
    fibres: dict[int, tuple[Field, Field]],
    nuclei: Field,
) -> tuple[Field, Field, Field]:
    """Return (haematoxylin, eosin, red), each (rows, columns)."""
    shape, mpp, labels = canvas.shape, canvas.mpp, canvas.labels
    fibre = np.zeros(shape, np.float32)
    texture = periodic_noise(_FIBRE_SEED, _TEXTURE_SIDE, (1.3, 1.3))
    for label, along_um in ((NORMAL, 24.0), (DESMOPLASTIC, 3.0)):
        here = labels == label
        across, along = (part[here] for part in fibres[label])
        fibre[here] = sample_periodic(
            texture, across * np.float32(3.2 / p.fibre_um), along / np.float32(along_um)
        )
    slow = smooth_noise(rng, shape, mpp, 160.0)
    grain = _grain(rng, shape, mpp, 2.2)
    rough = _grain(rng, shape, mpp, 6.0)

    eosin = np.zeros(shape, np.float32)
    haematoxylin = np.zeros(shape, np.float32)
    red = np.zeros(shape, np.float32)

    stroma = (labels == NORMAL) | (labels == DESMOPLASTIC)
    cleft = np.clip((fibre + 1.15) * 2.2, 0.08, 1)  # pale slits between bundles
    np.copyto(eosin, (0.52 + 0.15 * fibre + 0.05 * slow + 0.03 * grain) * cleft, where=stroma)
    np.copyto(haematoxylin, 0.05 + 0.02 * rough, where=stroma)

    epithelium = (labels == BENIGN) | (labels == MALIGNANT)
    np.copyto(eosin, 0.40 + 0.05 * rough + 0.04 * grain, where=epithelium)
    np.copyto(haematoxylin, 0.24 + 0.05 * rough + 0.03 * slow, where=epithelium)

    here = labels == SECRETION
    np.copyto(eosin, 0.40 + 0.04 * slow + 0.015 * rough, where=here)
    np.copyto(haematoxylin, 0.03, where=here)

    here = labels == NECROSIS
    np.copyto(eosin, 0.60 + 0.13 * rough + 0.08 * grain, where=here)
    np.copyto(haematoxylin, np.clip(0.12 + 0.07 * rough + 0.04 * slow, 0, None), where=here)

    here = labels == BLOOD
    if here.any():
        np.copyto(red, _red_cells(shape, mpp) * (0.55 + 0.06 * slow), where=here)
        np.copyto(eosin, 0.10, where=here)

    np.copyto(eosin, adipocytes(canvas, rng), where=labels == FAT)
    empty = (labels == 0) | (labels == GLASS) | (labels == FAT)
    inside = ~empty & (labels != SECRETION)
    haematoxylin += np.where(inside, nuclei * (1 + 0.13 * grain), 0)
    return np.maximum(haematoxylin, 0), np.maximum(eosin, 0.0), red


def _grain(rng: np.random.Generator, shape: tuple[int, int], mpp: float, size_um: float) -> Field:
    """Fine noise: a periodic texture at a random offset."""
    sigma = max(0.35, 0.42 * size_um / mpp)
    texture = periodic_noise(_GRAIN_SEED, _TEXTURE_SIDE, (sigma, sigma))
    offset = rng.integers(0, _TEXTURE_SIDE, 2)
    return tiled(texture, shape, (int(offset[0]), int(offset[1])))


def _red_cells(shape: tuple[int, int], mpp: float) -> Field:
    """Packed red cells, 7 um across, from one periodic drawing of 512 px."""
    rng = np.random.default_rng(_GRAIN_SEED)
    side_um = _TEXTURE_SIDE * mpp
    x, y = jittered_grid(rng, side_um, side_um, 6.6, 0.14)
    inside = (x < side_um) & (y < side_um) & (x > 0) & (y > 0)
    tree = cKDTree(np.stack([x[inside], y[inside]], axis=1), boxsize=side_um)
    centre = (np.arange(_TEXTURE_SIDE) + 0.5) * mpp
    grid = np.stack(np.meshgrid(centre, centre), axis=-1).reshape(-1, 2)
    distance = tree.query(grid)[0].reshape(_TEXTURE_SIDE, _TEXTURE_SIDE).astype(np.float32)
    cell = np.clip((3.5 - distance) / 0.9, 0, 1) * (0.8 + 0.07 * np.minimum(distance, 3))
    return tiled(np.asarray(cell + 0.12, np.float32), shape, (0, 0))
