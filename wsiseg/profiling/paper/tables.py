"""The comparison as tables: measured ratios to ESPNet beside the published ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wsiseg.profiling.paper.compared import BASE, NETWORKS, Compared
from wsiseg.profiling.report.document import Table
from wsiseg.profiling.report.tables import NONE
from wsiseg.profiling.results import Measurement, Results

UNSAID = "-"


def comparison(results: Results) -> Table:
    """Return size, speed and power of every network, each as a ratio to ESPNet, and the paper's ratios."""
    found = {item.model: item for item in results.measurements}
    base = found.get(BASE)
    headings = [
        "network",
        "parameters",
        "x espnet",
        "paper",
        "file MB",
        "x espnet",
        "paper",
        "ms",
        "calls",
        "espnet is faster by",
        "paper",
        "W",
        "x espnet",
        "paper W",
    ]
    rows = [_row(item, found.get(item.model), base) for item in NETWORKS if item.model in _named(results)]
    return Table(headings, rows)


def accuracies() -> Table:
    """Return the published accuracies, which nothing here measures."""
    rows = [
        [
            item.model,
            UNSAID if item.voc is None else f"{item.voc:.2f}",
            *(
                (UNSAID, UNSAID)
                if item.cityscapes is None
                else (f"{item.cityscapes[0]:.2f}", f"{item.cityscapes[1]:.2f}")
            ),
        ]
        for item in NETWORKS
        if item.voc is not None or item.cityscapes is not None
    ]
    headings = ["network", "VOC mIoU, published", "Cityscapes class mIoU, published", "category, published"]
    return Table(headings, rows)


def _named(results: Results) -> set[str]:
    return {item.model for item in results.measurements} | {item.what for item in results.missing}


def _row(paper: Compared, item: Measurement | None, base: Measurement | None) -> Sequence[str]:
    said = [_times(paper.ratio), _times(paper.size_ratio), paper.slower or UNSAID, paper.watts or UNSAID]
    if item is None:
        size, speed, power = (NONE, UNSAID), (NONE, UNSAID, UNSAID), (NONE, UNSAID)
        return [paper.model, NONE, UNSAID, said[0], *size, said[1], *speed, said[2], *power, said[3]]
    watts = _watts(item)
    return [
        paper.model,
        f"{item.parameters:,}",
        _over(item, base, lambda one: one.parameters),
        said[0],
        f"{item.file_bytes / 1e6:.2f}",
        _over(item, base, lambda one: one.file_bytes),
        said[1],
        f"{item.latency.median_ms:.1f}",
        str(item.latency.trials),
        _over(item, base, lambda one: one.latency.median_ms),
        said[2],
        NONE if watts is None else f"{watts:.1f}",
        _over(item, base, _watts),
        said[3],
    ]


def _watts(item: Measurement) -> float | None:
    power = item.whole_power()
    return None if power is None else power.gross_w


def _over(item: Measurement, base: Measurement | None, figure: Callable[[Measurement], float | None]) -> str:
    value, of_base = figure(item), None if base is None else figure(base)
    return UNSAID if value is None or not of_base else _times(value / of_base)


def _times(ratio: float | None) -> str:
    if ratio is None:
        return UNSAID
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.2f}"
