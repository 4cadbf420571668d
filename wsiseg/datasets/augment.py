"""What is done to a patch and its labels: flips, quarter turns, stain, gamma, blur and noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from scipy import ndimage
from skimage.color import hed_from_rgb, rgb_from_hed

_DENSITY = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)


class Augment(BaseModel):
    """How strong each change is. The picture alone gets the optical ones, labels turn with the picture."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stain_scale: float = Field(default=0.25, ge=0, le=0.9)
    """Each of the HED stains is multiplied by 1 +- this."""
    stain_shift: float = Field(default=0.02, ge=0, le=0.3)
    """And this much optical density is added or taken, in HED."""
    channel_scale: float = Field(default=0.08, ge=0, le=0.5)
    """Each of R, G, B is multiplied, in optical density, by 1 +- this."""
    gamma: float = Field(default=0.15, ge=0, le=0.8)
    """Exponent on the intensity, 1 +- this."""
    blur_px: float = Field(default=0.7, ge=0, le=5)
    """Greatest sigma of a Gaussian blur, given to half of the patches."""
    noise: float = Field(default=4.0, ge=0, le=50)
    """Greatest standard deviation of noise, in grey levels, given to half of the patches."""


def turn(
    rgb: NDArray[np.uint8], labels: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return both turned by a random multiple of 90 degrees, and mirrored or not: one of eight poses."""
    quarter, mirror = int(rng.integers(4)), bool(rng.integers(2))
    rgb, labels = np.rot90(rgb, quarter), np.rot90(labels, quarter)
    return (rgb[:, ::-1], labels[:, ::-1]) if mirror else (rgb, labels)


def recolour(rgb: NDArray[np.uint8], how: Augment, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a patch (rows, columns, 3) with another stain, gamma, blur and noise.

    The stain change is that of Tellez et al. (2018), folded into one matrix on optical density.
    """
    scale = 1 + rng.uniform(-how.stain_scale, how.stain_scale, 3)
    shift = rng.uniform(-how.stain_shift, how.stain_shift, 3)
    channel = 1 + rng.uniform(-how.channel_scale, how.channel_scale, 3)
    gamma = float(1 + rng.uniform(-how.gamma, how.gamma))
    matrix = (hed_from_rgb * scale) @ rgb_from_hed * channel * gamma
    offset = (shift @ rgb_from_hed) * channel * gamma
    density = _DENSITY[rgb] @ matrix.astype(np.float32) + offset.astype(np.float32)
    light = np.exp(-density) * np.float32(256) - np.float32(1)
    if how.blur_px and rng.integers(2):
        sigma = float(rng.uniform(0, how.blur_px))
        light = ndimage.gaussian_filter(light, (sigma, sigma, 0), truncate=2.5)
    if how.noise and rng.integers(2):
        light = light + rng.standard_normal(light.shape, np.float32) * np.float32(rng.uniform(0, how.noise))
    return np.asarray(np.clip(light + 0.5, 0, 255), np.uint8)


def resize_rgb(rgb: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Return a picture (rows, columns, 3) at another size: bilinear, over the area where it shrinks."""
    if rgb.shape[:2] == (height, width):
        return rgb
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BILINEAR))


def resize_labels(labels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Return labels (rows, columns) at another size: the nearest, never a mean."""
    if labels.shape == (height, width):
        return labels
    return np.asarray(Image.fromarray(labels).resize((width, height), Image.Resampling.NEAREST))


def augment(
    rgb: NDArray[np.uint8], labels: NDArray[np.uint8], how: Augment, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a turned and recoloured patch and its turned labels."""
    rgb, labels = turn(rgb, labels, rng)
    return recolour(rgb, how, rng), labels
