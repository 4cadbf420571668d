"""From stain concentrations to the colours that a scanner writes."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from wsiseg.phantom.noise import Field
from wsiseg.phantom.parameters import PhantomParameters

_HAEMATOXYLIN = (0.63, 0.69, 0.36)
_EOSIN = (0.14, 0.86, 0.48)
_RED = (0.16, 0.75, 0.64)
_STRIP_ROWS = 512


def stain_matrix(p: PhantomParameters) -> NDArray[np.float32]:
    """Return (3 stains, RGB) optical densities per unit concentration, with this phantom's hues.

    About the vectors of Ruifrok and Johnston (2001), moved towards what scanners show.
    """
    matrix = np.array([_HAEMATOXYLIN, _EOSIN, _RED], np.float32)
    matrix[0] += np.array([p.haematoxylin_hue, 0, -p.haematoxylin_hue], np.float32)
    matrix[1] += np.array([0, -p.eosin_hue, p.eosin_hue], np.float32)
    matrix[0] *= 1.30 * p.haematoxylin
    matrix[1] *= 1.10 * p.eosin
    matrix[2] *= 2.0
    return matrix


def scan(
    rng: np.random.Generator, stains: tuple[Field, Field, Field], p: PhantomParameters, mpp: float
) -> NDArray[np.uint8]:
    """Return (rows, columns, 3) uint8 RGB: absorption, blur, white point, gamma, sensor noise, JPEG."""
    height, width = stains[0].shape
    matrix = stain_matrix(p)
    rgb = np.empty((height, width, 3), np.uint8)
    margin = int(np.ceil(4 * p.blur_um / mpp))
    white = np.array([1 + p.warmth, 1, 1 - p.warmth], np.float32) * np.float32(243.0)
    for top in range(0, height, _STRIP_ROWS):
        bottom = min(height, top + _STRIP_ROWS)
        low, high = max(0, top - margin), min(height, bottom + margin)
        noise = rng.normal(0, p.noise, (bottom - top, width)).astype(np.float32)
        for channel in range(3):
            density = sum(
                stain[low:high] * weight for stain, weight in zip(stains, matrix[:, channel], strict=True)
            )
            light = np.exp(-np.asarray(density, np.float32))
            light = ndimage.gaussian_filter(light, p.blur_um / mpp, truncate=3)[top - low : bottom - low]
            grey = white[channel] * light ** np.float32(p.gamma) + noise
            # Each channel has noise of its own too; rolling the strip's noise is quicker than drawing it.
            grey += np.float32(0.6) * np.roll(noise, (17 * channel + 5, 31 * channel + 9), (0, 1))
            rgb[top:bottom, :, channel] = np.clip(grey + np.float32(0.5), 0, 255)
    return compress(rgb, round(p.jpeg_quality))


def compress(rgb: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return the picture as it comes back from JPEG with 4:2:0 chroma, as scanners write it."""
    parts = []
    for top in range(0, rgb.shape[0], 8192):  # JPEG ends at 65,535 rows
        stream = io.BytesIO()
        Image.fromarray(rgb[top : top + 8192]).save(stream, "JPEG", quality=quality, subsampling=2)
        parts.append(np.asarray(Image.open(stream)))
    return np.concatenate(parts)
