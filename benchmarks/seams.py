"""What tile and halo cost, and what they change: python benchmarks/seams.py [SLIDE[@MPP]...] [-o FOLDER].

The network's field is larger than any halo worth paying for, so tiled labels differ a little from those
of one pass over the whole region. For every tile and halo this measures the share of pixels whose label
differs, over all pixels that are not background in one pass, and the cost: network input pixels per
useful pixel. The one pass is over the region extended by REFERENCE_HALO_PX of slide background.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np

from wsiseg import load_model, open_slide
from wsiseg.geometry import Region, ceil_div
from wsiseg.inference.runtime import build_runtime, choose_runtime
from wsiseg.models import Model
from wsiseg.phantom.slide_file import write_phantom_slide
from wsiseg.slides import resolve_mpp
from wsiseg.tiling.frame import FrameReader, frame_at

TILES_PX = (256, 512, 1024)
HALOS_PX = (0, 8, 16, 32, 48, 64, 96, 128, 192)
REFERENCE_HALO_PX = 256
REGION_PX = 1536
"""A larger slide is measured on this much of its middle."""


class WholeRegion:
    """One region of a slide at the model's mpp, with slide background around it."""

    def __init__(self, source: str, model: Model) -> None:
        path, _, mpp = source.partition("@")
        override = (float(mpp), float(mpp)) if mpp else None
        with open_slide(path) as slide:
            self.name = slide.name
            frame = frame_at(slide.levels[0], resolve_mpp(slide, override), model.card.mpp or 1.0)
            self.width, self.height = min(frame.width_px, REGION_PX), min(frame.height_px, REGION_PX)
            x, y = (frame.width_px - self.width) // 16 * 8, (frame.height_px - self.height) // 16 * 8
            whole = Region(x, y, ceil_div(self.width, 8) * 8, ceil_div(self.height, 8) * 8)
            self.at = whole.grow(max(REFERENCE_HALO_PX, *HALOS_PX) + max(TILES_PX))
            self.rgb, _ = FrameReader(slide, frame, slide.background).read(self.at)
        self.whole = whole

    def pixels(self, region: Region) -> np.ndarray:
        """(1, rows, columns, 3) uint8."""
        return np.ascontiguousarray(self.rgb[region.slices_in(self.at)])[None]


class Network:
    """The network in fp32, so that what differs is the tiling; built anew for each shape of input."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.choice = choose_runtime(precision="fp32", device="cpu")
        self.shape: tuple[int, int] = (0, 0)

    def labels(self, pixels: np.ndarray) -> np.ndarray:
        """Labels (rows, columns) uint8 of (1, rows, columns, 3) uint8."""
        if pixels.shape[1:3] != self.shape:
            self.shape = (pixels.shape[1], pixels.shape[2])
            self.runtime = build_runtime(self.choice, self.model, self.shape)
        return self.runtime.predict(pixels).labels[0]


def tiled(network: Network, region: WholeRegion, tile_px: int, halo_px: int) -> np.ndarray:
    """Labels of the region from tiles with a halo, as `predict` makes them."""
    labels = np.zeros((region.height, region.width), np.uint8)
    for y in range(0, region.height, tile_px):
        for x in range(0, region.width, tile_px):
            tile = Region(region.whole.x + x, region.whole.y + y, tile_px, tile_px)
            made = network.labels(region.pixels(tile.grow(halo_px)))
            part = made[halo_px : halo_px + tile_px, halo_px : halo_px + tile_px]
            inside = labels[y : y + tile_px, x : x + tile_px]
            inside[:] = part[: inside.shape[0], : inside.shape[1]]
    return labels


def main() -> None:
    """Measure, print a table, and write seams.json and seams.png."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slides", nargs="*", metavar="SLIDE[@MPP]", help="default: a phantom slide")
    parser.add_argument("-m", "--model", default="tissue8-demo")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/benchmarks"))
    given = parser.parse_args()
    model = load_model(given.model)
    network = Network(model)
    rows: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as scratch:
        sources = given.slides
        if not sources:
            phantom = Path(scratch) / "phantom.tiff"
            write_phantom_slide(phantom, seed=1, width_px=3000, height_px=3000, mpp=0.5)
            sources = [str(phantom)]
        regions = [WholeRegion(source, model) for source in sources]
    references = [
        network.labels(region.pixels(region.whole.grow(REFERENCE_HALO_PX)))[
            REFERENCE_HALO_PX : REFERENCE_HALO_PX + region.height,
            REFERENCE_HALO_PX : REFERENCE_HALO_PX + region.width,
        ]
        for region in regions
    ]
    print(
        f"model {model.card.name}; regions "
        + ", ".join(f"{r.name} {r.width} x {r.height} px" for r in regions)
    )
    print(f"{'tile px':>8} {'halo px':>8} {'cost':>6} {'differs %':>10}")
    for tile_px in TILES_PX:
        for halo_px in HALOS_PX:
            different = counted = 0
            for region, reference in zip(regions, references, strict=True):
                tissue = reference != 0
                different += int(((tiled(network, region, tile_px, halo_px) != reference) & tissue).sum())
                counted += int(tissue.sum())
            cost = (1 + 2 * halo_px / tile_px) ** 2
            rows.append(
                {"tile_px": tile_px, "halo_px": halo_px, "cost": cost, "differs": different / counted}
            )
            print(f"{tile_px:>8} {halo_px:>8} {cost:>6.2f} {100 * different / counted:>10.3f}", flush=True)
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "seams.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    draw(rows, given.output / "seams.png", model.card.name)


def draw(rows: list[dict[str, float]], path: Path, name: str) -> None:
    """Plot disagreement against cost, one line per tile side."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for tile_px in TILES_PX:
        mine = [row for row in rows if row["tile_px"] == tile_px]
        axes.plot(
            [row["cost"] for row in mine],
            [100 * row["differs"] for row in mine],
            "o-",
            label=f"tile {tile_px} px",
        )
        for row in mine:
            axes.annotate(
                f"{row['halo_px']:.0f}",
                (row["cost"], 100 * row["differs"]),
                fontsize=7,
                xytext=(3, 4),
                textcoords="offset points",
            )
    axes.set(
        xlabel="network input pixels per useful pixel",
        ylabel="tissue labels that differ from one pass, %",
        yscale="log",
        xlim=(0.95, 3),
        title=f"Seams of {name}; numbers are the halo in px",
    )
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
