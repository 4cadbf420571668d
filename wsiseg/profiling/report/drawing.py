"""What the plots share: figures without global state, colours, grouping, PNG bytes."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from wsiseg.profiling.results import Measurement

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 110
FIRST = "#009e73"
OTHERS = "#999999"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito: told apart by colour-blind readers too."""


def new_figure(width_in: float = 6.4, height_in: float = 4.2) -> Figure:
    """Return an empty figure that no window or global state knows of."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained", dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def as_png(figure: Figure) -> bytes:
    """Return the picture."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def colour(index: int) -> str:
    """Return a colour; they repeat after seven."""
    return COLOURS[index % len(COLOURS)]


def groups(items: Sequence[Measurement]) -> list[tuple[str, str, list[Measurement]]]:
    """Return (colour, model, its measurements), in order of appearance."""
    by_model: dict[str, list[Measurement]] = defaultdict(list)
    for item in items:
        by_model[item.model].append(item)
    return [(colour(index), model, group) for index, (model, group) in enumerate(by_model.items())]


def title(item: Measurement) -> str:
    """Return what tells a measurement from its neighbours, a line each: network, size, GPU clock."""
    clock = item.gpu_clock.value
    return f"{item.model}\n{item.size}" + ("" if clock is None else f"\n{clock:.0f} MHz")


def label(axes: Axes, x: str, y: str) -> None:
    """Name the axes and show the legend."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def note(axes: Axes, text: str, x: float, y: float) -> None:
    """Write a small text beside a point."""
    axes.annotate(text, (x, y), fontsize=7, xytext=(4, 3), textcoords="offset points")


def against_clock(
    items: Sequence[Measurement], value: Callable[[Measurement], float], unit: str, least: int
) -> bytes | None:
    """Draw a value over the GPU's clock; None with fewer than `least` clocks."""
    clocked = [(item, clock) for item in items if (clock := item.gpu_clock.value) is not None]
    if len({round(clock) for _, clock in clocked}) < least:
        return None
    figure = new_figure()
    axes = figure.add_subplot()
    sizes = sorted({item.size for item, _ in clocked})
    for shade, model, group in groups([item for item, _ in clocked]):
        for size, line in zip(sizes, ("-", "--", ":", "-.") * len(sizes), strict=False):
            points = sorted((item.gpu_clock.value or 0.0, value(item)) for item in group if item.size == size)
            if points:
                name = f"{model} {size}" if len(sizes) > 1 else model
                axes.plot(*zip(*points, strict=True), marker="o", linestyle=line, color=shade, label=name)
    axes.set_ylim(0, 1.25 * max(value(item) for item, _ in clocked) or 1)
    label(axes, "GPU clock, MHz", unit)
    return as_png(figure)
