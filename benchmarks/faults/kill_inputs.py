"""What the killed commands work on: a slide and its truth, a cohort, a result, a training's config."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import yaml

TRAIN = {
    "name": "killed",
    "summary": "A training to be killed. Not for any use.",
    "licence": "Apache-2.0",
    "model": {"network": "espnet", "options": {"alpha2": 1, "alpha3": 1, "decoder": "v2"}, "mpp": 4.0},
    "data": {
        "dataset": "phantoms", "train_count": 2, "validation_count": 1, "side_px": 96, "patch_px": 64,
        "patches_per_epoch": 24,
    },
    "encoder": {"epochs": 2, "learning_rate": 2e-3},
    "whole": {"epochs": 3, "learning_rate": 2e-3, "schedule": "cosine"},
    "batch": 4,
    "threads": 1,
    "workers": 0,
    "device": "cpu",
    "save_every_steps": 2,
    "tensorboard": False,
}  # fmt: skip


def make_inputs(folder: Path) -> Path:
    """Write them, once, in another process: this one has to stay without threads. Return the folder."""
    if not (folder / "done").is_dir():
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "cohort").mkdir(parents=True)
        (folder / "train.yaml").write_text(yaml.safe_dump(TRAIN), encoding="utf-8")
        subprocess.run([sys.executable, __file__, str(folder)], check=True, timeout=600)
    return folder


def _write_slides(folder: Path) -> None:
    from wsiseg import segment_slide
    from wsiseg.phantom.slide_file import write_phantom_slide

    slide = folder / "slide.tif"
    write_phantom_slide(slide, seed=3, width_px=1300, height_px=1100, truth=folder / "truth.png")
    for number in range(2):
        cohort = folder / "cohort" / f"slide-{number}.tif"
        write_phantom_slide(cohort, seed=number, width_px=1200, height_px=800)
    segment_slide(slide, folder / "done.new")
    (folder / "done.new").rename(folder / "done")


if __name__ == "__main__":
    _write_slides(Path(sys.argv[1]))
