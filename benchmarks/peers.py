"""Against MONAI and LazySlide, same weights, same pixels: python benchmarks/peers.py [SLIDE]

The peers get an environment of their own (made here by pip on the first call, kept in --environment).
Each program predicts the same slide (a real one's tiles, repeated) in a process of its own, several times
in turn; the fastest of each counts. MONAI's SlidingWindowInferer reads through OpenSlide, at its
documented settings (512 px, overlap 0.25, gaussian) and at our tile and halo (1,280 px of which 256
overlap, constant); LazySlide's semantic segmentation at the settings of its documentation (512 px,
overlap 0.25, gaussian). Agreement is of class labels, over all pixels that both predicted; LazySlide keeps
polygons, so its labels are taken from the middle of each of its tiles.

The child of this script in the peers' environment is this file with `--child`. LazySlide pulls
torchvision, whose import fails beside a CPU build of torch; fake kernels for torchvision's operators,
which it never calls, are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import numpy as np

PACKAGES = ["monai==1.5.*", "lazyslide==0.13.*", "openslide-python", "openslide-bin"]
TILE, OVERLAP = 512, 0.25
OUR_TILE, OUR_OVERLAP = 1280, 0.2


def child(kind: str, slide: str, traced: str, out: str, mpp: float) -> None:
    """Predict as a peer does; runs in the peers' environment. Prints JSON with seconds."""
    import torch

    network = torch.jit.load(traced).eval()
    started = time.perf_counter()
    labels = {"monai": _monai, "monai-equal": _monai_equal, "lazyslide": _lazyslide}[kind](
        network, slide, mpp
    )
    lasted = time.perf_counter() - started
    np.save(out, labels)
    print(json.dumps({"seconds": lasted}))


def _read(slide: str, mpp: float):
    import openslide
    import torch

    with openslide.OpenSlide(slide) as opened:
        rgb = np.asarray(opened.read_region((0, 0), 0, opened.dimensions))[..., :3]
        step = round(mpp / float(opened.properties["openslide.mpp-x"]))
    rows, columns = rgb.shape[0] // step, rgb.shape[1] // step
    whole = rgb[: rows * step, : columns * step].reshape(rows, step, columns, step, 3)
    small = (whole.sum((1, 3), dtype=np.uint32) + step * step // 2) // (step * step)
    return torch.from_numpy(small.astype(np.float32).transpose(2, 0, 1)[None])


def _monai(network, slide: str, mpp: float):
    return _sliding(network, slide, mpp, TILE, OVERLAP, "gaussian")


def _monai_equal(network, slide: str, mpp: float):
    return _sliding(network, slide, mpp, OUR_TILE, OUR_OVERLAP, "constant")


def _sliding(network, slide: str, mpp: float, side: int, overlap: float, mode: str):
    import torch
    from monai.inferers import SlidingWindowInferer

    inferer = SlidingWindowInferer((side, side), sw_batch_size=4, overlap=overlap, mode=mode)
    with torch.inference_mode():
        return inferer(_read(slide, mpp), network)[0].argmax(0).to(torch.uint8).numpy()


def _lazyslide(network, slide: str, mpp: float):
    """Predict the whole slide; return the labels of the middle of each tile, 255 where there is none."""
    import torch

    register = torch.library.register_fake

    def lenient(name, *rest, **more):
        if str(name).startswith("torchvision::"):
            return lambda function: function
        return register(name, *rest, **more)

    torch.library.register_fake = lenient
    import lazyslide as zs
    from lazyslide_models.base import SegmentationModel, SegmentationOutput
    from wsidata import open_wsi

    maps = []

    class Ours(SegmentationModel):
        def __init__(self):
            self.model = network

        def get_transform(self):
            return lambda image: torch.from_numpy(np.asarray(image, np.float32).transpose(2, 0, 1))

        def segment(self, image):
            probabilities = torch.softmax(self.model(image), 1)
            maps.extend(probabilities.argmax(1).to(torch.uint8).numpy())
            return SegmentationOutput(probability_map=probabilities)

    wsi = open_wsi(slide)
    # Without tissue contours the tiles cover the whole slide, as `--tissue none` does.
    zs.pp.tile_tissues(wsi, TILE, mpp=mpp, overlap=OVERLAP, edge=True)
    # Classes and polygons as documented; class 0 counts here, as it does elsewhere.
    zs.seg.semantic(wsi, Ours(), batch_size=4, num_workers=0, ignore_index=None)
    step = wsi.tile_spec("tiles").base_downsample
    rows, columns = (round(side / step) for side in wsi.properties.shape)
    labels = np.full((rows, columns), 255, np.uint8)
    margin = int(TILE * OVERLAP / 2)
    for found, (x, y) in zip(maps, wsi["tiles"].bounds[["minx", "miny"]].to_numpy(), strict=True):
        column, row = round(x / step), round(y / step)
        left, top = margin if column else 0, margin if row else 0
        place = labels[row + top : row + TILE, column + left : column + TILE]
        place[...] = found[top:, left:][: place.shape[0], : place.shape[1]]
    return labels


def environment(folder: Path) -> Path:
    """Make the peers' environment where there is none; return its Python."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / "installed"
    if not done.exists():
        venv.create(folder, with_pip=True, clear=True)
        # The same torch as ours: an open range may bring another one.
        same = ["-c", str(Path(__file__).resolve().parents[1] / "constraints.txt")]
        subprocess.run([python, "-m", "pip", "install", "-q", *same, *PACKAGES], check=True)
        done.touch()
    return python


def main() -> None:
    """Measure and report."""
    from tables import finished, parser, report

    options = parser(__doc__, "peers")
    options.add_argument("slide", type=Path, nargs="?", help="JPEG-tiled slide to repeat")
    options.add_argument("-m", "--model", default="tissue8-demo")
    options.add_argument("--megapixels", type=float, default=16, help="of label map")
    options.add_argument("--repeats", type=int, default=2)
    options.add_argument("--environment", type=Path, default=Path("out/peers-venv"))
    options.add_argument("--peers", nargs="+", default=["monai", "monai-equal", "lazyslide"])
    given = options.parse_args()
    if finished(given):
        return

    import zarr
    from source import Source

    from wsiseg import load_model

    failed: dict[str, str] = {}
    try:
        python = environment(given.environment.absolute())
    except subprocess.CalledProcessError:
        failed = dict.fromkeys(given.peers, "its environment could not be made by pip (see above)")
    model = load_model(given.model)
    runs: dict[str, list[dict[str, float]]] = {}
    labels: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        source = Source(given.slide, folder)
        slide = source.repeated(source.side_px(given.megapixels, model.card.mpp))
        mpp = source.mpp * source.step(model.card.mpp)
        traced = folder / "network.pt"
        trace(model, traced)
        for _ in range(given.repeats):
            for precision in ("fp32", "auto"):
                name, out = f"wsiseg {precision}", folder / precision
                command = [sys.executable, "-m", "wsiseg", "predict", str(slide), "-o", str(out)]
                command += ["--tissue", "none", "--precision", precision, "--model", given.model]
                runs.setdefault(name, []).append(_timed([*command, "--overwrite", "-q"]))
                store = zarr.open_group(str(out / "repeated.wsiseg.ome.zarr"), mode="r")
                labels[name] = store["labels/tissue/0"][:]
            for kind in given.peers:
                if kind in failed:
                    continue
                arrays = folder / f"{kind}.npy"
                command = [str(python), __file__, "--child", kind, str(slide), str(traced), str(arrays)]
                try:
                    runs.setdefault(kind, []).append(_timed([*command, str(mpp)]))
                    labels[kind] = np.load(arrays)
                except subprocess.CalledProcessError as error:
                    failed[kind] = (error.stderr or "killed").strip().splitlines()[-1][:200]
    reference = labels["wsiseg fp32"]
    best = {name: min(run["whole"] for run in all_of) for name, all_of in runs.items() if all_of}
    rows = []
    for name, seconds in best.items():
        rows.append(
            {
                "program": name,
                "MP/s, from start to end": reference.size / 1e6 / seconds,
                "wsiseg auto is faster by": seconds / best["wsiseg auto"],
                "wsiseg fp32 is faster by": seconds / best["wsiseg fp32"],
                "peak, GiB": max(run["peak"] for run in runs[name]),
                "labels as wsiseg fp32, %": agreement(labels[name], reference),
            }
        )
    for name in failed:
        rows.append({"program": f"{name}: did not finish"})
    note = (
        f"{reference.shape[1]:,} x {reference.shape[0]:,} label px of {source.path.name}, repeated. "
        f"Times of the whole process, best of {given.repeats}."
    )
    note += "".join(f" {name} did not finish: {why}." for name, why in failed.items())
    report(given, rows, note)


def trace(model, path: Path) -> None:
    """Write the network as TorchScript: float RGB 0..255 (N, 3, H, W) -> logits."""
    import torch

    from wsiseg.models.normalise import Segmenter
    from wsiseg.models.quiet import quiet_torchscript

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.segmenter = Segmenter(model).eval()

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.segmenter.logits(image.permute(0, 2, 3, 1))

    with quiet_torchscript(), torch.no_grad():
        torch.jit.trace(Logits(), torch.zeros(1, 3, 256, 256), check_trace=False).save(str(path))


def agreement(found: np.ndarray, reference: np.ndarray) -> float:
    """Return the share of equal labels, in %, where both have one; a rounded edge may lack a pixel."""
    rows, columns = (min(sides) for sides in zip(found.shape, reference.shape, strict=True))
    found, reference = found[:rows, :columns], reference[:rows, :columns]
    both = (found < 254) & (reference < 254)
    return 100 * float((found == reference)[both].mean())


def _timed(command: list[str]) -> dict[str, float]:
    """Run a command; return its seconds and its peak memory in GiB."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            stderr.seek(0)
            raise subprocess.CalledProcessError(process.returncode, command, stderr=stderr.read())
    unit = 1 if sys.platform == "darwin" else 1024
    return {"whole": time.perf_counter() - started, "peak": usage.ru_maxrss * unit / 2**30}


if __name__ == "__main__":
    if len(sys.argv) == 7 and sys.argv[1] == "--child":
        child(*sys.argv[2:6], float(sys.argv[6]))
    else:
        main()
