"""Resources: use of CPU, GPU and memory, and electrical power."""

from __future__ import annotations

from collections.abc import Sequence

from wsiseg.profiling.report.drawing import (
    against_clock,
    as_png,
    colour,
    groups,
    label,
    new_figure,
    note,
    title,
)
from wsiseg.profiling.results import Measurement, Point

RESOURCES = ("cpu", "gpu", "memory")
WATTS = "power during execution, W"


def mean_utilisation(items: Sequence[Measurement]) -> bytes | None:
    """Draw the mean use of CPU, GPU and memory during execution (figure 7d)."""
    means = {
        what: [
            (index, 100 * share)
            for index, item in enumerate(items)
            if (share := item.mean_utilisation(what)) is not None
        ]
        for what in RESOURCES
    }
    shown = [what for what in RESOURCES if means[what]]
    if not shown:
        return None
    figure = new_figure(max(6.4, 1.1 * len(items)))
    axes = figure.add_subplot()
    width = 0.8 / len(shown)
    for place, what in enumerate(shown):
        at = [index + place * width for index, _ in means[what]]
        axes.bar(at, [percent for _, percent in means[what]], width, color=colour(place), label=what)
    middle = width * (len(shown) - 1) / 2
    axes.set_xticks(
        [index + middle for index in range(len(items))], [title(item) for item in items], fontsize=7
    )
    axes.set_ylim(0, 125)  # room for the legend
    axes.set_yticks(range(0, 101, 20))
    label(axes, "", "mean use during execution, %")
    return as_png(figure)


def utilisation_over_time(items: Sequence[Measurement]) -> bytes | None:
    """Draw the use over time from the first timed call on, without the initialisation (figures 12 to 14)."""
    shown = [what for what in RESOURCES if any(_executing(item, what) for item in items)]
    if not shown:
        return None
    figure = new_figure(8, 0.6 + 2.2 * len(shown))
    for row, what in enumerate(shown):
        axes = figure.add_subplot(len(shown), 1, row + 1)
        for index, item in enumerate(items):
            points = _executing(item, what)
            axes.plot(
                [at - item.executing[0] for at, _ in points],
                [100 * share for _, share in points],
                marker=".",
                linewidth=1,
                color=colour(index),
                linestyle=("-", "--", ":")[index // 7 % 3],
                label=title(item).replace("\n", " "),
            )
        axes.set_ylim(-3, 103)
        axes.set_ylabel(f"{what}, %")
        axes.grid(alpha=0.3)
        if row == len(shown) - 1:
            axes.set_xlabel("seconds since the first timed call")
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(), fontsize=7, ncols=3, loc="outside upper center"
    )
    return as_png(figure)


def power_speed(items: Sequence[Measurement]) -> bytes | None:
    """Draw the power against the speed."""
    powered = [item for item in items if item.whole_power() is not None]
    if not powered:
        return None
    figure = new_figure()
    axes = figure.add_subplot()
    for shade, model, group in groups(powered):
        axes.scatter(
            [item.latency.fps for item in group], [_gross(item) for item in group], color=shade, label=model
        )
        for item in group:
            note(axes, " ".join(title(item).split("\n")[1:]), item.latency.fps, _gross(item))
    axes.margins(x=0.2)
    axes.set_ylim(0, 1.25 * max(_gross(item) for item in powered) or 1)
    axes.set_title(_rails(powered), fontsize=8)
    label(axes, "images per second", WATTS)
    return as_png(figure)


def power_frequency(items: Sequence[Measurement]) -> bytes | None:
    """Draw the power against the GPU's clock (figures 7f and 7g)."""
    powered = [item for item in items if item.whole_power() is not None]
    return against_clock(powered, _gross, f"{WATTS}\n{_rails(powered)}", least=1)


def _executing(item: Measurement, what: str) -> list[Point]:
    begin, end = item.executing
    return [
        point
        for series in item.utilisation
        if series.what == what
        for point in series.points
        if begin <= point[0] <= end
    ]


def _gross(item: Measurement) -> float:
    power = item.whole_power()
    return 0.0 if power is None else power.gross_w


def _rails(items: Sequence[Measurement]) -> str:
    return ", ".join(
        dict.fromkeys(
            f"{power.source}: {power.rail}" for item in items if (power := item.whole_power()) is not None
        )
    )
