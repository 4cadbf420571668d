"""Agreement of bfloat16 labels with fp32 labels: python benchmarks/precision.py SLIDE[@MPP]...

Each slide is predicted twice by the default runtime, once in each precision, all else being equal.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import zarr
from tables import finished, parser, report

from wsiseg import PredictOptions, load_model, segment_slide

WANTED = 99.5


def main() -> None:
    """Predict, compare and report."""
    options = parser(__doc__, "precision")
    options.add_argument("slides", nargs="+", metavar="SLIDE[@MPP]")
    options.add_argument("-m", "--model", default="tissue8-demo")
    given = options.parse_args()
    if finished(given):
        return
    model = load_model(given.model)
    rows = []
    for source in given.slides:
        path, _, mpp = source.partition("@")
        labels: dict[str, np.ndarray] = {}
        for precision in ("fp32", "bf16"):
            with tempfile.TemporaryDirectory() as folder:
                chosen = PredictOptions(
                    model=model, slide_mpp=(float(mpp), float(mpp)) if mpp else None, precision=precision
                )
                store = segment_slide(path, folder, chosen).store
                labels[precision] = zarr.open_group(str(store), mode="r")["labels/tissue/0"][:]
        same = labels["fp32"] == labels["bf16"]
        tissue = labels["fp32"] != 0
        rows.append(
            {
                "slide": Path(path).name + (f", {mpp} um/px assumed" if mpp else ""),
                "labels equal, all pixels, %": 100 * float(same.mean()),
                "labels equal, tissue, %": 100 * float(same[tissue].mean()),
            }
        )
    least = min(row["labels equal, all pixels, %"] for row in rows)
    note = f"Least {least:.2f} %; wanted {WANTED} %: {'met' if least >= WANTED else 'MISSED'}."
    report(given, rows, note)


if __name__ == "__main__":
    main()
