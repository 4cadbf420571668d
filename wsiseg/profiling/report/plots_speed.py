"""Speed: against the network's size, the image's size, and the GPU's clock."""

from __future__ import annotations

from collections.abc import Sequence

from wsiseg.profiling.clocks.sensitivity import of_measurements
from wsiseg.profiling.report.drawing import against_clock, as_png, colour, groups, label, new_figure, note
from wsiseg.profiling.results import Measurement

FPS = "images per second"


def network_size(items: Sequence[Measurement]) -> bytes | None:
    """Draw the speed against the network's size on disk, at every image size."""
    if not items:
        return None
    figure = new_figure()
    axes = figure.add_subplot()
    for shade, model, group in groups(items):
        sizes = [item.file_bytes / 1e6 for item in group]
        axes.scatter(sizes, [item.latency.fps for item in group], color=shade, label=model)
        for item in group:
            clock = "" if item.gpu_clock.value is None else f" {item.gpu_clock.value:.0f} MHz"
            note(axes, item.size + clock, item.file_bytes / 1e6, item.latency.fps)
    axes.set_yscale("log")
    axes.margins(x=0.2, y=0.2)
    label(axes, "network size on disk, MB", FPS)
    return as_png(figure)


def image_size(items: Sequence[Measurement]) -> bytes | None:
    """Draw the speed against the image's size (figure 10)."""
    sizes = sorted({(item.width_px * item.height_px, item.size) for item in items})
    if len(sizes) < 2:
        return None
    figure = new_figure()
    axes = figure.add_subplot()
    clocks = sorted({round(item.gpu_clock.value or 0) for item in items})
    for shade, model, group in groups(items):
        for clock, line in zip(clocks, ("-", "--", ":", "-.") * len(clocks), strict=False):
            points = sorted(
                (item.width_px * item.height_px / 1e6, item.latency.fps)
                for item in group
                if round(item.gpu_clock.value or 0) == clock
            )
            if points:
                name = f"{model} {clock} MHz" if len(clocks) > 1 else model
                axes.plot(*zip(*points, strict=True), marker="o", linestyle=line, color=shade, label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    axes.set_xticks([area / 1e6 for area, _ in sizes], [size for _, size in sizes], fontsize=8)
    label(axes, "image size, px", FPS)
    return as_png(figure)


def frequency(items: Sequence[Measurement]) -> bytes | None:
    """Draw the speed against the GPU's clock (figure 7b)."""
    return against_clock(items, lambda item: item.latency.fps, FPS, least=2)


def sensitivity(items: Sequence[Measurement]) -> bytes | None:
    """Draw the sensitivity to the GPU's clock (figure 7c)."""
    found = of_measurements(items)
    if not found:
        return None
    figure = new_figure()
    axes = figure.add_subplot()
    axes.bar(
        [item.model for item in found],
        [item.ratio for item in found],
        color=[colour(i) for i in range(len(found))],
    )
    for index, item in enumerate(found):
        axes.annotate(
            f"{item.ratio:.2f}\n{item.from_mhz:.0f} to {item.to_mhz:.0f} MHz",
            (index, item.ratio),
            ha="center",
            va="bottom",
            fontsize=8,
        )
    axes.margins(y=0.2)
    axes.set_ylabel("% change of time / % change of clock")
    return as_png(figure)
