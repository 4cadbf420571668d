"""The paper's Fig. 2, gridding with and without HFF: python benchmarks/gridding.py [-o FOLDER] [--epochs N].

Three parts. (a) One active pixel under a 3x3 convolution of dilation 2: exact. (b) Of each branch of one ESP
module (K = 5), the pixels of its effective field that its output depends on: counted, for any weights.
(c) Two networks, trained alike on generated tissue but for `hff`, and the maps of their last module: shown,
and measured as the mean step between neighbours over the mean step between pixels as far apart as the widest
dilation. In a smooth map neighbours differ less; a map that falls apart into grids has them differ more.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from torch import nn

from wsiseg import load_model
from wsiseg.config import load_config
from wsiseg.models.blocks import ESP
from wsiseg.models.normalise import Normalise
from wsiseg.phantom.generate import generate_phantom
from wsiseg.training.config import TrainConfig
from wsiseg.training.run import train

SMOKE = Path(__file__).parents[1] / "configs" / "smoke.yaml"
K = 5
SIDE_PX = 512
PHANTOM_SEED = 6_000_000


class Quiet:
    """Watches a training without a word."""

    def say(self, line: str) -> None:
        """Nothing."""

    def step(self, report: object) -> None:
        """Nothing."""

    def epoch(self, row: object) -> None:
        """Nothing."""


def dilated_pixel() -> np.ndarray:
    """Return (9, 9): what one active pixel comes to under a 3x3 kernel of ones, dilation 2."""
    image = torch.zeros(1, 1, 9, 9)
    image[..., 4, 4] = 1
    return torch.nn.functional.conv2d(image, torch.ones(1, 1, 3, 3), padding=2, dilation=2)[0, 0].numpy()


def used_pixels(hff: bool) -> list[np.ndarray]:
    """Return, per branch, (65, 65) bool: the pixels that the branch's middle output depends on."""
    module = ESP(K, K, k=K, hff=hff, residual=False).double().eval()
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Conv2d):
                part.weight.fill_(1.0)
    side = 2 << K
    image = torch.zeros(1, K, side + 1, side + 1, dtype=torch.float64, requires_grad=True)
    middle = module(image)[0, :, side // 2, side // 2]
    used = []
    for branch in range(K):
        (gradient,) = torch.autograd.grad(middle[branch], image, retain_graph=True)
        used.append(gradient[0, 0].numpy() != 0)
    return used


def density(used: np.ndarray, branch: int) -> tuple[int, float]:
    """Return the pixels in use, and their share of the square that they span."""
    side = (2 << branch) + 1
    return int(used.sum()), float(used.sum() / side**2)


def last_maps(folder: Path, hff: bool, epochs: int) -> np.ndarray:
    """Train a network and return the maps of its last module's widest branch, (channels, rows, columns)."""
    settings = [f"model.options.hff={str(hff).lower()}", "device=cpu", "tensorboard=false"]
    settings += [f"encoder.epochs={epochs}", f"whole.epochs={epochs}"]
    run = folder / f"hff-{hff}"
    train(load_config(SMOKE, settings, TrainConfig), run, Quiet())
    model = load_model(run / "best.safetensors")
    kept: list[torch.Tensor] = []
    module = [part for part in model.network.modules() if isinstance(part, ESP) and part.residual][-1]
    module.norm.register_forward_pre_hook(lambda _, given: kept.append(given[0]))
    seen = module.register_forward_pre_hook(lambda _, given: kept.append(given[0]))
    rgb = generate_phantom(PHANTOM_SEED, SIDE_PX, SIDE_PX, 2.0).rgb
    with torch.no_grad():
        model.network(Normalise(model.card)(torch.from_numpy(rgb)[None]))
    seen.remove()
    before, merged = kept
    width = module.reduce.out_channels
    return (merged - before)[0, -width:].numpy()  # what the branches say, without the residual


def roughness(maps: np.ndarray, apart: int) -> float:
    """Return the mean step between neighbours, over the mean step between pixels `apart` px apart."""
    near = np.abs(np.diff(maps, axis=2)).mean() + np.abs(np.diff(maps, axis=1)).mean()
    far = np.abs(maps[:, :, apart:] - maps[:, :, :-apart]).mean()
    far += np.abs(maps[:, apart:] - maps[:, :-apart]).mean()
    return float(near / far)


def draw(
    path: Path, pixel: np.ndarray, used: dict[bool, list[np.ndarray]], maps: dict[bool, np.ndarray]
) -> None:
    """Draw all three parts."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(3, 4, figsize=(11, 8.6), layout="constrained")
    active = np.zeros((9, 9))
    active[4, 4] = 1
    tiles = [(active, "(a) one active pixel"), (pixel, "(a) 3x3, dilation 2")]
    tiles += [(used[hff][2][22:43, 22:43], f"(b) 3rd branch, {_said(hff)}") for hff in (False, True)]
    tiles += [(used[hff][at], f"(b) branch {at + 1}, {_said(hff)}") for hff in (False, True) for at in (3, 4)]
    for hff in (False, True):
        strongest = maps[hff][np.argsort(maps[hff].std(axis=(1, 2)))[-2:]]
        tiles += [(one, f"(c) widest branch, {_said(hff)}") for one in strongest]
    for axis, (picture, title) in zip(axes.flat, tiles, strict=True):
        axis.imshow(picture, cmap="viridis", interpolation="nearest")
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _said(hff: bool) -> str:
    return "with HFF" if hff else "without HFF"


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--epochs", type=int, default=3, help="of each of the two stages of each network")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    used = {hff: used_pixels(hff) for hff in (False, True)}
    with tempfile.TemporaryDirectory() as folder:
        maps = {hff: last_maps(Path(folder), hff, given.epochs) for hff in (False, True)}
    widest = 2 ** (K - 1)
    found = {
        "pixels_under_dilation_2": int(dilated_pixel().astype(bool).sum()),
        "branches": [
            {
                "dilation": 2**branch,
                "field_px": (2 << branch) + 1,
                **{_said(hff): density(used[hff][branch], branch) for hff in (False, True)},
            }
            for branch in range(K)
        ],
        "roughness": {_said(hff): round(roughness(maps[hff], widest), 3) for hff in (False, True)},
        "trained_epochs": given.epochs,
    }
    print(f"{'dilation':>8}{'field':>7}{'without HFF':>22}{'with HFF':>22}")
    for row in found["branches"]:
        cells = "".join(
            f"{row[_said(hff)][0]:>14} px {100 * row[_said(hff)][1]:>3.0f} %" for hff in (False, True)
        )
        print(f"{row['dilation']:>8}{row['field_px']:>5}^2{cells}")
    print(f"neighbours' step over the step {widest} px apart:", found["roughness"])
    (given.output / "gridding.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    draw(given.output / "gridding.png", dilated_pixel(), used, maps)


if __name__ == "__main__":
    main()
