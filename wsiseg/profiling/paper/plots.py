"""Figure 6's plots from what was measured here; accuracies are the published ones. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from wsiseg.profiling.paper.compared import BASE, compared
from wsiseg.profiling.report.drawing import FIRST, OTHERS, as_png, new_figure, note
from wsiseg.profiling.results import Measurement

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PUBLISHED = "VOC test mIoU, % (published, not measured here)"


def draw_paper(items: Sequence[Measurement]) -> dict[str, bytes]:
    """Return the plots that there is data for, by file name."""
    drawn = {
        "paper-accuracy-parameters.png": _accuracy(items),
        "paper-speed-parameters.png": _speed(items),
        "paper-power-speed.png": _power(items),
    }
    return {name: picture for name, picture in drawn.items() if picture is not None}


def _accuracy(items: Sequence[Measurement]) -> bytes | None:
    points = [
        (item.model, item.parameters / 1e6, voc)
        for item in items
        if (voc := compared(item.model).voc) is not None
    ]
    return _scatter(points, "parameters, millions", PUBLISHED, log="x")


def _speed(items: Sequence[Measurement]) -> bytes | None:
    points = [(item.model, item.parameters / 1e6, item.latency.fps) for item in items]
    return _scatter(points, "parameters, millions", f"images of {_size(items)} per second, here", log="xy")


def _power(items: Sequence[Measurement]) -> bytes | None:
    points = [
        (item.model, item.latency.fps, power.gross_w)
        for item in items
        if (power := item.whole_power()) is not None
    ]
    return _scatter(points, f"images of {_size(items)} per second, here", "power, W, here", log="x")


def _size(items: Sequence[Measurement]) -> str:
    return f"{items[0].size} px" if items else ""


def _scatter(points: Sequence[tuple[str, float, float]], x: str, y: str, *, log: str) -> bytes | None:
    if not points:
        return None
    figure = new_figure()
    axes: Axes = figure.add_subplot()
    for model, across, up in points:
        axes.scatter([across], [up], color=FIRST if model == BASE else OTHERS, s=60)
        note(axes, model, across, up)
    if "x" in log:
        axes.set_xscale("log")
    if "y" in log:
        axes.set_yscale("log")
    axes.margins(x=0.2, y=0.15)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    return as_png(figure)
