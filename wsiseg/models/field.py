"""How far a network looks: the theoretical field, and the one that its weights really use.

Theoretical: a NaN in one input pixel reaches every output that depends on the pixel, whatever the weights.
Effective: the squared gradient of one output, over the input (Luo et al., NeurIPS 2016).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from wsiseg.errors import UsageError
from wsiseg.models.model import Model
from wsiseg.models.network import SegmentationNetwork
from wsiseg.models.normalise import Normalise

SHARES = (0.5, 0.9, 0.95, 0.99)
HALO_SHARE = 0.99
MAX_WIDTH_PX = 32768


@dataclass(frozen=True)
class Field:
    """How far a network looks, in pixels of its input."""

    theoretical_reach_px: int
    """An output never depends on a pixel further away than this, along a side."""
    window_px: int
    """Side of the input over which the gradient was measured; energy beyond it is not seen."""
    extents_px: dict[float, int]
    """Share of the gradient's energy -> side of the centred square that holds it."""
    repeats: int
    """Outputs that were averaged over."""

    @property
    def theoretical_px(self) -> int:
        """Side of the square that an output can depend on."""
        return 2 * self.theoretical_reach_px + 1

    @property
    def window_is_filled(self) -> bool:
        """Whether a larger window would probably find more energy outside of this one."""
        return self.window_px < self.theoretical_px and self.extents_px[HALO_SHARE] > 0.8 * self.window_px

    def reach_px(self, share: float) -> int:
        """Distance from an output, along a side, within which this share of the energy lies."""
        return (self.extents_px[share] - 1) // 2

    def suggested_halo_px(self, multiple: int) -> int:
        """Return the halo that holds 99 % of the energy, rounded up to the network's multiple."""
        return -(-self.reach_px(HALO_SHARE) // multiple) * multiple


def measure_field(
    model: Model,
    *,
    image: NDArray[np.uint8] | None = None,
    window_px: int = 512,
    repeats: int = 8,
    seed: int = 0,
) -> Field:
    """Measure a model's field on an image, uint8 (H, W, 3) RGB, no smaller than the window, or on noise."""
    network = model.network
    if window_px % network.input_multiple or window_px < 64:
        raise UsageError(
            f"window {window_px} px: expected a multiple of {network.input_multiple}, 64 or more"
        )
    if repeats < 1:
        raise UsageError(f"repeats {repeats}: expected 1 or more")
    random = np.random.default_rng(seed)
    energy = np.zeros(window_px, np.float64)
    for _ in range(repeats):
        energy += _energy_by_distance(model, _window(model, image, window_px, random), random)
    cumulative = np.cumsum(energy) / energy.sum()
    extents = {share: 2 * int(np.searchsorted(cumulative, share)) + 1 for share in SHARES}
    return Field(theoretical_reach(network), window_px, extents, repeats)


def theoretical_reach(network: SegmentationNetwork) -> int:
    """Return the largest distance, along x, at which an input pixel can change an output.

    For an answer at lower resolution, the bilinear up-sampling to the input's size is included.
    """
    # float64: its convolutions are plain sums; faster ones may spread a NaN to neighbouring outputs.
    # Few rows are enough, as the reach along x needs the middle row only.
    probe = copy.deepcopy(network).double().eval()
    step = network.input_multiple
    width = 64 * step
    while width <= MAX_WIDTH_PX:
        reach = 0
        centre = width // 2 // step * step
        for phase in range(step):
            image = torch.zeros(1, 3, 2 * step, width, dtype=torch.float64)
            image[:, :, step, centre + phase] = torch.nan
            with torch.no_grad():
                touched = _full_size(probe, image).isnan().any(dim=1)[0].any(dim=0).nonzero()
            distance = (touched - (centre + phase)).abs()
            reach = max(reach, int(distance.max()) if len(distance) else 0)
        if reach < width // 2 - 2 * step:
            return reach
        width *= 2
    raise UsageError(
        f"the network looks further than {MAX_WIDTH_PX // 2} px: its theoretical field is not measured"
    )


def _full_size(network: SegmentationNetwork, image: Tensor) -> Tensor:
    logits: Tensor = network(image)
    if network.output_stride > 1:
        logits = F.interpolate(
            logits, scale_factor=float(network.output_stride), mode="bilinear", align_corners=False
        )
    return logits


def _energy_by_distance(
    model: Model, pixels: NDArray[np.uint8], random: np.random.Generator
) -> NDArray[np.float64]:
    """Return the squared gradient of one output near the centre, summed by max(|dx|, |dy|); (window,)."""
    side = pixels.shape[0]
    step = model.input_multiple
    row, column = side // 2 + random.integers(0, step, 2)
    image = Normalise(model.card)(torch.from_numpy(pixels)[None]).detach().requires_grad_()
    logits = _full_size(model.network, image)[0, :, row, column]
    signs = torch.from_numpy(random.choice([-1.0, 1.0], logits.shape[0])).to(logits.dtype)
    (gradient,) = torch.autograd.grad((logits * signs).sum(), image)
    squared = gradient[0].square().sum(dim=0).double().numpy()
    rows, columns = np.abs(np.arange(side) - row), np.abs(np.arange(side) - column)
    distance = np.maximum(rows[:, None], columns[None, :])
    return np.bincount(distance.ravel(), squared.ravel(), minlength=side).astype(np.float64)[:side]


def _window(
    model: Model, image: NDArray[np.uint8] | None, side: int, random: np.random.Generator
) -> NDArray[np.uint8]:
    if image is not None:
        if image.shape[0] < side or image.shape[1] < side:
            raise UsageError(
                f"image is {image.shape[1]} x {image.shape[0]} px, but the window has {side}: "
                "give a larger image or a smaller window"
            )
        y = int(random.integers(0, image.shape[0] - side + 1))
        x = int(random.integers(0, image.shape[1] - side + 1))
        return np.ascontiguousarray(image[y : y + side, x : x + side, :3])
    order = [0, 1, 2] if model.card.channel_order == "rgb" else [2, 1, 0]
    mean, std = np.asarray(model.card.mean)[order], np.asarray(model.card.std)[order]
    noise: NDArray[np.uint8] = np.clip(random.normal(mean, std, (side, side, 3)), 0, 255).astype(np.uint8)
    return noise


def describe_cost(halo_px: int, tile_px: int) -> float:
    """Return the pixels computed per pixel kept, for tiles of `tile_px` kept with this halo around each."""
    return ((tile_px + 2 * halo_px) / tile_px) ** 2
