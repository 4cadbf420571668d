"""Generated regions with labels and a diagnosis, in lists as breast biopsy data have them.

python -m wsiseg.datasets.phantom_regions FOLDER
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from wsiseg.datasets.breast_regions import PHANTOMS
from wsiseg.errors import UsageError
from wsiseg.phantom.diagnosis import DIAGNOSES, diagnosis_of, kinds_against
from wsiseg.phantom.generate import generate_phantom

TRAIN_SEED, VALIDATION_SEED = 4_000_000, 5_000_000
MOST = 100_000


def write_phantom_regions(
    root: Path, name: str, *, first_seed: int, count: int, side_px: int = 384, mpp: float = 2.0
) -> Path:
    """Write `count` regions, each diagnosis in turn, and `NAME.txt` that lists them; return the list.

    The diagnosis in the list is that of what was drawn, which by chance may be another than the turn's.
    Raises UsageError for a count or size that cannot be drawn.
    """
    if not 1 <= count <= MOST:
        raise UsageError(f"{count} regions: expected 1 to {MOST:,}")
    lines = [PHANTOMS]
    for folder in ("rgb", "labels"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        seed = first_seed + index
        without = kinds_against(index % len(DIAGNOSES) + 1)
        phantom = generate_phantom(seed, side_px, side_px, mpp, without=without)
        picture, labels = f"rgb/{name}{index}.png", f"labels/{name}{index}.png"
        Image.fromarray(phantom.rgb).save(root / picture)
        Image.fromarray(phantom.labels).save(root / labels)
        lines.append(f"{picture}, {labels}, {diagnosis_of(phantom.kinds)}")
    path = root / f"{name}.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    """Write train.txt and val.txt with their regions into a folder."""
    parser = argparse.ArgumentParser(
        prog="python -m wsiseg.datasets.phantom_regions", description=main.__doc__
    )
    parser.add_argument("root", type=Path)
    parser.add_argument("--train", type=int, default=32, help="regions to train on")
    parser.add_argument("--val", type=int, default=16, help="regions to validate on")
    parser.add_argument("--side-px", type=int, default=384)
    given = parser.parse_args(arguments)
    for name, seed, count in (("train", TRAIN_SEED, given.train), ("val", VALIDATION_SEED, given.val)):
        write_phantom_regions(given.root, name, first_seed=seed, count=count, side_px=given.side_px)


if __name__ == "__main__":
    main()
