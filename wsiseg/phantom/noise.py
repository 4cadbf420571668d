"""Random fields and textures, defined in micrometres so that the resolution only samples them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Field = NDArray[np.float32]
"""(rows, columns) float32."""

_SPLINE_STD = 0.479  # root of the mean of the squared cubic B-spline weights' sum


def spline_basis(length_px: int, mpp: float, knot_um: float) -> Field:
    """Return the (length_px, knots) matrix of uniform cubic B-spline weights at the pixel centres."""
    position = (np.arange(length_px) + 0.5) * (mpp / knot_um)
    left = np.floor(position).astype(np.intp)
    t = position - left
    weights = (
        (1 - t) ** 3 / 6,
        (3 * t**3 - 6 * t**2 + 4) / 6,
        (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
        t**3 / 6,
    )
    basis = np.zeros((length_px, knot_count(length_px, mpp, knot_um)), np.float32)
    for shift, weight in enumerate(weights):
        basis[np.arange(length_px), left + shift] = weight
    return basis


def knot_count(length_px: int, mpp: float, knot_um: float) -> int:
    """Return how many spline coefficients cover `length_px` pixels."""
    return int(np.floor((length_px - 0.5) * (mpp / knot_um))) + 4


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], mpp: float, wavelength_um: float) -> Field:
    """Return a smooth Gaussian field of about unit variance whose features are `wavelength_um` apart."""
    knot_um = wavelength_um / 2
    rows, columns = (knot_count(side, mpp, knot_um) for side in shape)
    # One row of coefficients after the other, so that a slide drawn at another mpp keeps its fields.
    coefficients = rng.standard_normal((rows, columns), dtype=np.float32) / np.float32(_SPLINE_STD)
    return spline_basis(shape[0], mpp, knot_um) @ coefficients @ spline_basis(shape[1], mpp, knot_um).T


@lru_cache(maxsize=8)
def periodic_noise(seed: int, side: int, sigma: tuple[float, float]) -> Field:
    """Return a periodic (side, side) texture of unit variance: white noise smoothed by `sigma` px."""
    white = np.random.default_rng(seed).standard_normal((side, side), dtype=np.float32)
    smooth = ndimage.gaussian_filter(white, sigma, mode="wrap")
    return np.asarray((smooth - smooth.mean()) / smooth.std(), np.float32)


def sample_periodic(texture: Field, rows: Field, columns: Field) -> Field:
    """Look up a periodic texture at fractional positions, linearly. The side must be a power of two."""
    side = texture.shape[0]
    row, column = np.floor(rows), np.floor(columns)
    down, right = rows - row, columns - column
    mask = np.int32(side - 1)
    top, left = row.astype(np.int32) & mask, column.astype(np.int32) & mask
    bottom, next_right = ((top + 1) & mask) * side, (left + 1) & mask
    top = top * side
    flat = texture.ravel()
    above = flat[top + left]
    above += right * (flat[top + next_right] - above)
    below = flat[bottom + left]
    below += right * (flat[bottom + next_right] - below)
    return np.asarray(above + down * (below - above), np.float32)


def tiled(texture: Field, shape: tuple[int, int], offset: tuple[int, int]) -> Field:
    """Repeat a periodic texture over `shape`, starting at `offset`."""
    side = texture.shape[0]
    rows = (np.arange(shape[0]) + offset[0]) % side
    columns = (np.arange(shape[1]) + offset[1]) % side
    return np.asarray(texture[rows[:, None], columns[None, :]], np.float32)
