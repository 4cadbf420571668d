"""The paper's comparison of modules (figure 3g): parameters, memory of the convolutions, receptive field.

A RECONSTRUCTION for all but ESP: the widths of the other papers' modules stand only in the figure's drawing,
so they are those of wsiseg.models.swapped, d = N / K. All are measured on networks that are built and run.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wsiseg.models.blocks import ESP
from wsiseg.models.network import count_parameters
from wsiseg.models.swapped import SWAPPED

CHANNELS = 128
"""In and out: level 3 of ESPNet."""
K = 5
WIDTH_PX, HEIGHT_PX = 128, 64
"""Level 3 for an image of 1024x512 px."""
BYTES = 4
_PROBE_PX = 129


@dataclass(frozen=True)
class ModuleFigures:
    """What one module costs and sees."""

    name: str
    parameters: int
    convolution_bytes: int
    """Activations that convolutions write, 4 bytes each, as the figure's caption counts."""
    field_px: int
    """Side of the square of inputs that an output depends on."""
    reconstruction: bool


def compare_modules() -> list[ModuleFigures]:
    """Return the figures of ESP and of the other papers' modules."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        modules: dict[str, nn.Module] = {"esp": ESP(CHANNELS, CHANNELS, k=K)}
        modules |= {name: make(CHANNELS, K, "prelu") for name, make in SWAPPED.items()}
    found: list[ModuleFigures] = []
    for name, module in modules.items():
        module.eval()
        found.append(
            ModuleFigures(
                name, count_parameters(module), _convolution_bytes(module), _field(module), name != "esp"
            )
        )
    return found


def _convolution_bytes(module: nn.Module) -> int:
    written = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal written
        written += output.numel() * BYTES

    hooks = [layer.register_forward_hook(count) for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    with torch.no_grad():
        module(torch.zeros(1, CHANNELS, HEIGHT_PX, WIDTH_PX))
    for hook in hooks:
        hook.remove()
    return written


def _field(module: nn.Module) -> int:
    """Return the side of the receptive field: a NaN reaches every output that depends on it."""
    image = torch.zeros(1, CHANNELS, 3, _PROBE_PX, dtype=torch.float64)
    image[:, :, 1, _PROBE_PX // 2] = torch.nan
    with torch.no_grad():
        touched = module.double()(image).isnan().any(dim=1)[0].any(dim=0).nonzero()
    return int(touched.max() - touched.min()) + 1
