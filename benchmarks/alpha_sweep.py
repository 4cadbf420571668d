"""The paper's Fig. 9, parameters and size over the depths: python benchmarks/alpha_sweep.py [-o FOLDER].

Counts ESPNet-C and ESPNet with 20 classes, as the paper does. Size is what the weights take in a file: bytes
/ 1024 / 1000 as the paper's; activations are the outputs of all convolutions for a 1024x512 image, as fp32.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib as mpl
import torch
from torch import nn

from wsiseg.models import build_model
from wsiseg.models.checkpoint import stored_tensors
from wsiseg.models.network import count_parameters

ALPHA2, ALPHA3 = (1, 2, 3, 5, 8), (1, 3, 5, 8, 12)
CLASSES = 20
IMAGE = (512, 1024)
PAPER = {(2, 3): (".187", ".202"), (2, 5): (".252", ".267"), (2, 8): (".349", ".364")}
"""Table 2g, millions: ESPNet-C and ESPNet."""


def measured(alpha2: int, alpha3: int) -> dict[str, object]:
    """Return the counts of both networks for one pair."""
    row: dict[str, object] = {"alpha2": alpha2, "alpha3": alpha3, "paper": PAPER.get((alpha2, alpha3))}
    for name in ("espnet-c", "espnet"):
        network = build_model(name, num_classes=CLASSES, alpha2=alpha2, alpha3=alpha3).eval()
        stored = sum(tensor.numel() * 4 for tensor in stored_tensors(network).values())
        row[name] = {
            "parameters": count_parameters(network),
            "megabytes": round(stored / 1024 / 1000, 3),
            "activation_megabytes": round(activation_bytes(network) / 1e6, 1),
        }
    return row


def activation_bytes(network: nn.Module) -> int:
    """Return the bytes of all convolutions' outputs for one image; shapes only, nothing is computed."""
    total = 0

    def count(_: nn.Module, __: object, output: torch.Tensor) -> None:
        nonlocal total
        total += output.numel() * 4

    network.to("meta")
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(count)
    with torch.no_grad():
        network(torch.empty(1, 3, *IMAGE, device="meta"))
    return total


def draw(path: Path, rows: list[dict[str, object]]) -> None:
    """Draw parameters over both multipliers; a circle's area is the size in a file."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for alpha2 in ALPHA2:
        own = [row for row in rows if row["alpha2"] == alpha2]
        millions = [row["espnet"]["parameters"] / 1e6 for row in own]  # type: ignore[index]
        sizes = [220 * row["espnet"]["megabytes"] for row in own]  # type: ignore[index]
        axis.scatter([row["alpha3"] for row in own], millions, s=sizes, alpha=0.5, label=f"α2 = {alpha2}")
    axis.set_xlabel("α3")
    axis.set_ylabel("parameters of ESPNet, millions (20 classes)")
    for handle in axis.legend().legend_handles:
        handle.set_sizes([60])
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Count, print and draw."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/benchmarks"))
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    rows = [measured(alpha2, alpha3) for alpha2 in ALPHA2 for alpha3 in ALPHA3]
    print(f"{'a2':>3}{'a3':>3}{'ESPNet-C':>11}{'ESPNet':>11}{'MB':>7}{'act. MB':>9}  paper")
    for row in rows:
        small, whole = row["espnet-c"], row["espnet"]
        print(
            f"{row['alpha2']:>3}{row['alpha3']:>3}{small['parameters']:>11,}{whole['parameters']:>11,}"  # type: ignore[index]
            f"{whole['megabytes']:>7.2f}{whole['activation_megabytes']:>9.1f}  {row['paper'] or ''}"  # type: ignore[index]
        )
    (given.output / "alpha_sweep.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    draw(given.output / "alpha_sweep.png", rows)


if __name__ == "__main__":
    main()
