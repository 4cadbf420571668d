"""Agreement of bfloat16 labels with fp32 labels: python benchmarks/precision.py SLIDE[@MPP]...

Each slide is predicted twice by the default runtime, once in each precision, all else being equal.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import zarr

from wsiseg import PredictOptions, load_model, segment_slide


def main() -> None:
    """Predict, compare and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slides", nargs="+", metavar="SLIDE[@MPP]")
    parser.add_argument("-m", "--model", default="tissue8-demo")
    given = parser.parse_args()
    model = load_model(given.model)
    print(f"{'slide':<34} {'all pixels %':>12} {'tissue %':>9}")
    for source in given.slides:
        path, _, mpp = source.partition("@")
        labels: dict[str, np.ndarray] = {}
        for precision in ("fp32", "bf16"):
            with tempfile.TemporaryDirectory() as folder:
                options = PredictOptions(
                    model=model, slide_mpp=(float(mpp), float(mpp)) if mpp else None, precision=precision
                )
                store = segment_slide(path, folder, options).store
                labels[precision] = zarr.open_group(str(store), mode="r")["labels/tissue/0"][:]
        same = labels["fp32"] == labels["bf16"]
        tissue = labels["fp32"] != 0
        print(
            f"{Path(path).name:<34} {100 * same.mean():>12.2f} {100 * same[tissue].mean():>9.2f}", flush=True
        )


if __name__ == "__main__":
    main()
