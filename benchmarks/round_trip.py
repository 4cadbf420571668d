"""Labels to GeoJSON and back, compared: python benchmarks/round_trip.py STORE SLIDE.

STORE is a result and SLIDE what it is of. The labels are exported with several tolerances and least areas and
imported again at their own um per pixel. Agreement is of the pixels that have a label; the area lost or won
is that of the class where it is most, in percent of the class.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from wsiseg.exports.geojson import GeoJsonOptions, write_geojson
from wsiseg.exports.label_store import open_label_store
from wsiseg.label_import import ImportOptions, import_annotations

CASES = ((0.0, 0.0), (0.5, 0.0), (1.0, 0.0), (2.0, 0.0), (1.0, 100.0))
"""um of tolerance, um2 of least area."""


def main() -> None:
    """Export, import, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("slide", type=Path)
    given = parser.parse_args()
    store = open_label_store(given.store)
    mpp = None if store.mpp is None else store.mpp[0]
    wanted = np.asarray(store.levels[0][:])
    is_class = wanted < 254
    print(
        "| tolerance, um | least area, um2 | polygons | points | agreement, % | area, most changed class, % |"
    )
    print("|---|---|---|---|---|---|")
    for tolerance, least in CASES:
        options = GeoJsonOptions(tolerance=tolerance, min_area=least, most_points=10**9)
        with tempfile.TemporaryDirectory() as temporary:
            done = write_geojson(store, Path(temporary) / "labels.geojson", options)
            back = import_annotations(
                done.path, given.slide, temporary, ImportOptions(classes=store.classes, mpp=mpp)
            )
            found = np.asarray(open_label_store(back.store).levels[0][:])
        there = [item.id for item in store.classes.classes if (wanted == item.id).any()]
        change = [100 * ((found == label).sum() / (wanted == label).sum() - 1) for label in there]
        agreement = 100 * (found == wanted)[is_class].mean()
        print(
            f"| {tolerance:g} | {least:g} | {done.polygons:,} | {done.points:,} | {agreement:.2f} "
            f"| {max(change, key=abs):+.2f} |"
        )


if __name__ == "__main__":
    main()
