"""One picture of the speed benchmarks, from their results: python benchmarks/plot.py

Reads docs/benchmarks/*.json, writes docs/benchmarks/speed.png. What was not measured yet has no panel.
"""

from __future__ import annotations

import json

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from tables import DOCS, place

FOLDER = DOCS / "benchmarks"
PANELS = {
    "throughput": ("End to end", "run", ["bare network, useful MP/s", "predict, MP/s"]),
    "graph": ("Network alone, by graph", "graph", ["MP/s"]),
    "peers": ("Against other programs", "program", ["MP/s, from start to end"]),
    "reading": ("Reading level 0, one core", "slide", ["direct, MP/s", "OpenSlide, MP/s"]),
    "scale": ("Time against size", "gigapixels", ["seconds per tissue MP"]),
}


def main() -> None:
    """Draw."""
    found = {
        name: json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        for name in PANELS
        if (FOLDER / f"{name}.json").is_file()
    }
    if not found:
        raise SystemExit("nothing to draw: run the benchmarks first (make bench)")
    figure, axes = plt.subplots(len(found), 1, figsize=(8, 2.4 * len(found)), squeeze=False)
    for axis, (name, content) in zip(axes[:, 0], found.items(), strict=True):
        title, label, values = PANELS[name]
        rows = [row for row in content["rows"] if row.get(values[0]) is not None]
        for offset, value in enumerate(values):
            places = [index + 0.8 * offset / len(values) for index in range(len(rows))]
            bars = axis.barh(places, [row[value] for row in rows], 0.75 / len(values), label=value)
            axis.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
        axis.set_yticks(
            range(len(rows)),
            [f"{row[label]:g}" if isinstance(row[label], float) else row[label] for row in rows],
        )
        axis.invert_yaxis()
        axis.set_xlim(right=1.5 * max(row[value] or 0 for row in rows for value in values))  # for the legend
        axis.set_title(f"{title} ({content['machine']['date']})", loc="left", fontsize=10)
        axis.legend(fontsize=8, frameon=False, loc="lower right")
    figure.tight_layout()
    figure.savefig(FOLDER / "speed.png", dpi=110, metadata={"Software": None})
    place("plot", "![Speed, one panel per benchmark](benchmarks/speed.png)")
    print(f"wrote {FOLDER / 'speed.png'}")


if __name__ == "__main__":
    main()
