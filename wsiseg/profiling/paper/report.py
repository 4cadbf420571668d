"""The comparison as a report: the paper's tables and plots first, then everything else that was measured."""

from __future__ import annotations

from pathlib import Path

from wsiseg.profiling.paper.plots import draw_paper
from wsiseg.profiling.paper.tables import accuracies, comparison
from wsiseg.profiling.report.build import build_document, write_document
from wsiseg.profiling.report.document import Section
from wsiseg.profiling.report.plots import can_plot, draw_all
from wsiseg.profiling.results import Results

WORDS = (
    "Ratios are to ESPNet in this folder. Beside them stand the paper's: parameters as in table 1c over "
    "ESPNet's 0.364 M or as its text says, sizes as in figure 7a, speeds and watts with their device.",
    "A count that differs from the paper's is explained in docs/models.md.",
)


def write_paper_report(results: Results, folder: Path) -> list[Path]:
    """Write results.json, report.md, report.html and plots/; return what was written."""
    pictures: dict[str, bytes] = {}
    left_out = ["no plots: they need matplotlib, pip install 'wsiseg[plots]'"]
    if can_plot():
        pictures, left_out = draw_all(results)
        left_out = [line for line in left_out if line.startswith("power")]
        pictures |= draw_paper(results.measurements)
    document = build_document(results, (), list(pictures), left_out)
    document.title = "The paper's comparison, on this machine"
    own = [name for name in pictures if name.startswith("paper-") and "accuracy" not in name]
    document.sections[1:1] = [
        Section("Figure 6 and table 1c", list(WORDS), comparison(results), own),
        Section(
            "Accuracies, as published",
            ["From tables 1c and 4 of the paper. Not measured here."],
            accuracies(),
            [name for name in pictures if "accuracy" in name],
        ),
    ]
    return write_document(document, pictures, results, folder)
