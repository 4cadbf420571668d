"""Against MONAI and LazySlide, same weights, same pixels: python benchmarks/peers.py [SLIDE]

The peers get an environment of their own (made here by pip on the first call, kept in --environment).
Each program predicts the same slide (a real one's tiles, repeated) in a process of its own, several times
in turn; the fastest of each counts. MONAI's SlidingWindowInferer reads through OpenSlide, at its
documented settings (512 px, overlap 0.25, gaussian) and at our tile and halo (1,280 px of which 256
overlap, constant); LazySlide's semantic segmentation at the settings of its documentation (512 px,
overlap 0.25). Agreement is of class labels, over all pixels.

The child of this script in the peers' environment is this file with `--child`. LazySlide pulls
torchvision, whose import fails beside a CPU build of torch; fake kernels for torchvision's operators,
which it never calls, are skipped.
"""

from __future__ import annotations

import argparse
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
    import torch

    register = torch.library.register_fake

    def lenient(name, *rest, **more):
        if str(name).startswith("torchvision::"):
            return lambda function: function
        return register(name, *rest, **more)

    torch.library.register_fake = lenient
    import lazyslide as zs
    from lazyslide_models.base import SegmentationModel
    from wsidata import open_wsi

    maps = []

    class Ours(SegmentationModel, abstract=True):
        def __init__(self):
            self.model = network

        def to(self, *_):
            return self

        def get_transform(self):
            return lambda image: torch.from_numpy(np.asarray(image, np.float32).transpose(2, 0, 1))

        def segment(self, image):
            probabilities = torch.softmax(self.model(image), 1)
            maps.append(probabilities.argmax(1).to(torch.uint8).numpy())
            return {"probability_map": probabilities}

        def supported_output(self):
            return ("probability_map",)

    wsi = open_wsi(slide)
    zs.pp.find_tissues(wsi)
    zs.pp.tile_tissues(wsi, TILE, mpp=mpp, overlap=OVERLAP)
    with torch.inference_mode():
        zs.seg.semantic(wsi, Ours(), batch_size=4, num_workers=0)
    return np.concatenate(maps)


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
    from tables import DOCS, report

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("slide", type=Path, nargs="?", help="JPEG-tiled slide to repeat")
    parser.add_argument("-m", "--model", default="tissue8-demo")
    parser.add_argument("--megapixels", type=float, default=16, help="of label map")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--environment", type=Path, default=Path("out/peers-venv"))
    parser.add_argument("--peers", nargs="+", default=["monai", "monai-equal", "lazyslide"])
    parser.add_argument("--no-docs", action="store_true", help="print only")
    given = parser.parse_args()

    import torch
    import zarr

    from wsiseg import load_model
    from wsiseg.models.normalise import Segmenter
    from wsiseg.models.quiet import quiet_torchscript
    from wsiseg.phantom.repeated import repeat_tiles
    from wsiseg.phantom.slide_file import write_phantom_slide
    from wsiseg.slides import open_slide

    python = environment(given.environment.absolute())
    model = load_model(given.model)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        source = given.slide
        if source is None:
            source = folder / "phantom.tiff"
            write_phantom_slide(source, seed=1, width_px=2048, height_px=2048, mpp=0.5)
        with open_slide(source) as opened:
            mpp = opened.mpp[0]
        step = round(model.card.mpp / mpp)
        side = round((given.megapixels * 1e6) ** 0.5) // 8 * 8 * step
        slide = folder / "repeated.tiff"
        repeat_tiles(source, slide, side, side)
        traced = folder / "network.pt"

        class Logits(torch.nn.Module):
            """float RGB 0..255 (N, 3, H, W) -> logits."""

            def __init__(self) -> None:
                super().__init__()
                self.segmenter = Segmenter(model).eval()

            def forward(self, image: torch.Tensor) -> torch.Tensor:
                return self.segmenter.logits(image.permute(0, 2, 3, 1))

        with quiet_torchscript(), torch.no_grad():
            torch.jit.trace(Logits(), torch.zeros(1, 3, 256, 256), check_trace=False).save(str(traced))
        runs: dict[str, list[dict[str, float]]] = {}
        labels: dict[str, np.ndarray] = {}
        failed: dict[str, str] = {}
        for _ in range(given.repeats):
            for precision in ("fp32", "auto"):
                out = folder / f"ours-{precision}"
                command = [sys.executable, "-m", "wsiseg.cli.main", "predict", str(slide), "-o", str(out)]
                command += [
                    "--tissue",
                    "none",
                    "--precision",
                    precision,
                    "--overwrite",
                    "-q",
                    "--model",
                    given.model,
                ]
                runs.setdefault(f"wsiseg {precision}", []).append(_timed(command))
                store = zarr.open_group(str(out / "repeated.wsiseg.ome.zarr"), mode="r")
                labels[f"wsiseg {precision}"] = store["labels/tissue/0"][:]
            for kind in given.peers:
                if kind in failed:
                    continue
                arrays = folder / f"{kind}.npy"
                command = [str(python), __file__, "--child", kind, str(slide), str(traced), str(arrays)]
                try:
                    runs.setdefault(kind, []).append(_timed([*command, str(step * mpp)]))
                    labels[kind] = np.load(arrays)
                except subprocess.CalledProcessError as error:
                    failed[kind] = (error.stderr or "").strip().splitlines()[-1][:200]
        reference = labels["wsiseg fp32"]
        rows = []
        for name, all_of in runs.items():
            if not all_of:
                continue
            seconds = min(run["whole"] for run in all_of)
            own = labels[name]
            same = own.shape == reference.shape
            rows.append(
                {
                    "program": name,
                    "MP/s, from start to end": reference.size / 1e6 / seconds,
                    "wsiseg auto is faster by": seconds / min(run["whole"] for run in runs["wsiseg auto"]),
                    "wsiseg fp32 is faster by": seconds / min(run["whole"] for run in runs["wsiseg fp32"]),
                    "peak, GiB": max(run["peak"] for run in all_of),
                    "labels as wsiseg fp32, %": 100 * float((own == reference).mean()) if same else None,
                }
            )
    note = (
        f"{reference.shape[1]:,} x {reference.shape[0]:,} label px of {source.name}, repeated. "
        f"Times of the whole process, best of {given.repeats}. LazySlide's labels are per tile: not compared."
    )
    note += "".join(f" {name} did not finish: {why}." for name, why in failed.items())
    report("peers", rows, note, docs=None if given.no_docs else DOCS)


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
