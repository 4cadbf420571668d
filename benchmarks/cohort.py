"""A cohort of 40 slides, three of them broken, on two workers of which one is killed on the way.

    python benchmarks/cohort.py                    generated slides only
    python benchmarks/cohort.py --real FOLDER      three of them from a folder of real ones

Prints the states, and whether every store has the bytes of an undisturbed run in one process.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import multiprocessing
import os
import signal
import tempfile
from pathlib import Path

from wsiseg.cohort.batch import BatchOptions, run_batch
from wsiseg.cohort.clusters import LocalWorkers
from wsiseg.phantom.slide_file import write_phantom_slide
from wsiseg.run.predict_options import PredictOptions

REAL = {
    "CMU-1-Small-Region.svs": "",
    "tcga-jpeg2000-no-mpp.svs": "0.5",
    "CMU-1-wrong-mpp.jpeg.tiff": "0.499",
}
"""Name: mpp where the file has none, or a wrong one."""


def make_cohort(folder: Path, count: int, side_px: int, real: Path | None) -> Path:
    """Write slides and their manifest; the last three are broken."""
    rows = []
    for name, mpp in REAL.items() if real is not None else ():
        rows.append([str(real / name), mpp, "real"])
    for seed in range(count - 3 - len(rows)):
        path = folder / f"phantom-{seed:02}.tiff"
        write_phantom_slide(path, seed=seed, width_px=side_px, height_px=side_px * 3 // 4, mpp=0.5)
        rows.append([str(path), "", "generated"])
    (folder / "text.svs").write_text("no slide")
    whole = (folder / "phantom-00.tiff").read_bytes()
    (folder / "cut.tiff").write_bytes(whole[: len(whole) // 100])
    for name in ("text.svs", "cut.tiff", "missing.svs"):
        rows.append([str(folder / name), "", "broken"])
    manifest = folder / "cohort.csv"
    with manifest.open("w", newline="") as file:
        csv.writer(file).writerows([["slide", "slide_mpp", "kind"], *rows])
    return manifest


def digests(output: Path) -> dict[str, str]:
    """Return one digest per store."""
    found = {}
    for store in sorted(output.glob("*/*.wsiseg.ome.zarr")):
        digest = hashlib.sha256()
        for path in sorted(item for item in store.rglob("*") if item.is_file()):
            digest.update(str(path.relative_to(store)).encode() + path.read_bytes())
        found[store.parent.name] = digest.hexdigest()
    return found


def main() -> None:
    """Run the cohort twice and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--real", type=Path, help="folder with real slides")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--side-px", type=int, default=900)
    parser.add_argument("--keep", type=Path, help="folder for the results, instead of a temporary one")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        manifest = make_cohort(folder, given.count, given.side_px, given.real)
        killed: list[int] = []

        def say(text: str) -> None:
            print(text, flush=True)
            if text.startswith("[") and not killed:
                worker = multiprocessing.active_children()[0]
                killed.append(worker.pid or 0)
                os.kill(killed[0], getattr(signal, "SIGKILL", signal.SIGTERM))
                print(f"killed worker process {killed[0]}", flush=True)

        options = PredictOptions()
        disturbed = BatchOptions(predict=options, workers=LocalWorkers(cluster="local", workers=2))
        rows = run_batch(str(manifest), folder / "two-workers", disturbed, say=say)
        undisturbed = run_batch(str(manifest), folder / "one-process", BatchOptions(predict=options))
        for row in rows:
            print(f"{row.state:8} {row.attempts} {row.seconds:7.1f} s  {row.id}  {row.reason}")
        here, there = digests(folder / "two-workers"), digests(folder / "one-process")
        print(f"{len(here)} stores; equal to those of an undisturbed run: {here == there}")
        assert killed
        assert here == there
        assert [row.state for row in rows] == [row.state for row in undisturbed]
        assert sum(row.state == "failed" for row in rows) == 3


if __name__ == "__main__":
    main()
