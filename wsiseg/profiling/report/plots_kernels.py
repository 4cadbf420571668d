"""Where the time goes, how well kernels use the GPU, and what a module costs."""

from __future__ import annotations

from collections.abc import Sequence

from wsiseg.profiling.kernels.counters import COUNTERS
from wsiseg.profiling.modules import ModuleFigures
from wsiseg.profiling.report.drawing import FIRST, OTHERS, as_png, colour, label, new_figure
from wsiseg.profiling.results import Measurement, Operator, Results


def efficiency(results: Results) -> bytes | None:
    """Draw the efficiency rates of the kernels (figure 7e)."""
    reports = [item for item in results.kernels if item.efficiencies]
    if not reports:
        return None
    figure = new_figure()
    axes = figure.add_subplot()
    width = 0.8 / len(reports)
    for place, item in enumerate(reports):
        percent = {entry.name: entry.percent for entry in item.efficiencies}
        shown = [index for index, counter in enumerate(COUNTERS) if counter.nvprof in percent]
        axes.bar(
            [index + place * width for index in shown],
            [percent[COUNTERS[index].nvprof] for index in shown],
            width,
            color=colour(place),
            label=item.model,
        )
    names = [counter.nvprof.removesuffix("_efficiency").replace("_", "\n") for counter in COUNTERS]
    middle = width * (len(reports) - 1) / 2
    axes.set_xticks([index + middle for index in range(len(COUNTERS))], names)
    label(axes, "", "efficiency, weighted by time, %")
    return as_png(figure)


def top_operators(results: Results) -> bytes | None:
    """Draw the ten operators or kernels with most time, the first in green (figure 11)."""
    found: list[tuple[str, tuple[Operator, ...]]] = [
        (f"{item.model}, kernels ({item.tool})", item.top) for item in results.kernels if item.top
    ] or [(f"{item.model} {item.size}, {item.operators_of}", item.operators) for item in _largest(results)]
    if not found:
        return None
    figure = new_figure(8, 0.4 + 2.4 * len(found))
    for row, (heading, entries) in enumerate(found):
        axes = figure.add_subplot(len(found), 1, row + 1)
        names = [f"{rank}. {entry.name[:55]}" for rank, entry in enumerate(entries, start=1)]
        axes.barh(names, [100 * entry.share for entry in entries], color=_green_first(len(names)))
        axes.invert_yaxis()
        axes.tick_params(labelsize=7)
        axes.set_title(heading, fontsize=9)
        if row == len(found) - 1:
            axes.set_xlabel("% of the time")
    return as_png(figure)


def module_figures(modules: Sequence[ModuleFigures]) -> bytes | None:
    """Draw parameters, memory and receptive field of the modules (figure 3g)."""
    if not modules:
        return None
    figure = new_figure(10, 3.6)
    names = [item.name for item in modules]
    columns = (
        ("parameters, thousands", [item.parameters / 1e3 for item in modules]),
        ("convolutions' activations, MB", [item.convolution_bytes / 1e6 for item in modules]),
        ("receptive field, side in px", [float(item.field_px) for item in modules]),
    )
    for column, (heading, values) in enumerate(columns):
        axes = figure.add_subplot(1, 3, column + 1)
        axes.barh(names, values, color=_green_first(len(names)))
        axes.invert_yaxis()
        axes.set_title(heading, fontsize=9)
        axes.tick_params(labelsize=8)
        if column:
            axes.set_yticklabels([])
    return as_png(figure)


def _largest(results: Results) -> list[Measurement]:
    """Return each network's measurement at its largest image that has operators."""
    largest: dict[str, Measurement] = {}
    for item in results.measurements:
        before = largest.get(item.model)
        area = 0 if before is None else before.width_px * before.height_px
        if item.operators and item.width_px * item.height_px > area:
            largest[item.model] = item
    return list(largest.values())


def _green_first(count: int) -> list[str]:
    return [FIRST, *[OTHERS] * (count - 1)]
