"""The tables of a report, the paper's figures beside the measured ones where it has some."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wsiseg.profiling.clocks.sensitivity import Sensitivity
from wsiseg.profiling.kernels.counters import COUNTERS
from wsiseg.profiling.modules import K, ModuleFigures
from wsiseg.profiling.published import PAPER_MHZ, published
from wsiseg.profiling.report.document import Table
from wsiseg.profiling.results import Figure, KernelReport, Measurement, Missing

NONE = "not available"
BASE = "espnet"


def overview(measurements: Sequence[Measurement]) -> Table:
    """Return size, cost and speed of every measurement."""
    headings = [
        "network",
        "size px",
        "parameters",
        "file MB",
        "GFLOP",
        "median ms",
        "5-95 %",
        "FPS",
        "GPU MHz",
        "peak memory",
    ]
    rows = [
        [
            _name(item),
            item.size,
            f"{item.parameters:,}",
            f"{item.file_bytes / 1e6:.2f}",
            f"{item.flops / 1e9:.2f}",
            f"{item.latency.median_ms:.2f}",
            "{:.2f}-{:.2f}".format(*item.latency.spread_ms),
            f"{item.latency.fps:.2f}",
            figure(item.gpu_clock, "{:.0f}"),
            figure(item.peak_memory, "{:.0f}")
            + (f" {item.peak_memory.unit}" if item.peak_memory.value is not None else ""),
        ]
        for item in measurements
    ]
    return Table(headings, rows)


def ratios(measurements: Sequence[Measurement]) -> Table | None:
    """Return every network's size and time over ESPNet's at the same size and clock, beside the paper's."""
    rows: list[Sequence[str]] = []
    for base in measurements:
        if base.model != BASE:
            continue
        for item in measurements:
            if item is base or item.size != base.size or not _same_clock(item, base):
                continue
            paper = published(item.model)
            speed = {"enet": "1.27 (TitanX), 1.16 (GTX-960M), almost 1 (TX2)", "erfnet": "about 3 (TX2)"}
            rows.append(
                [
                    item.model,
                    item.size,
                    figure(item.gpu_clock, "{:.0f}"),
                    f"{item.file_bytes / base.file_bytes:.2f}",
                    f"{paper.size_ratio:.2f}" if paper else "-",
                    f"{item.flops / base.flops:.2f}",
                    f"{item.latency.median_ms / base.latency.median_ms:.2f}",
                    speed.get(item.model, "-"),
                ]
            )
    if not rows:
        return None
    headings = ["over espnet", "size px", "GPU MHz", "network size", "paper", "FLOP", "time", "time, paper"]
    return Table(headings, rows)


def power(measurements: Sequence[Measurement]) -> Table | None:
    """Return power and energy per rail, beside the paper's watts on the TX2."""
    rows: list[Sequence[str]] = []
    for item in measurements:
        paper = published(item.model)
        said = (
            "-"
            if paper is None
            else ", ".join(
                f"{watts:g} at {mhz} MHz" for watts, mhz in zip(paper.power_w, PAPER_MHZ, strict=True)
            )
        )
        for rail in item.power:
            rows.append(
                [
                    item.model,
                    item.size,
                    figure(item.gpu_clock, "{:.0f}"),
                    f"{rail.source}: {rail.rail}{' (whole)' if rail.whole else ''}",
                    f"{rail.gross_w:.2f}",
                    figure(rail.idle_w, "{:.2f}"),
                    NONE if rail.net_w is None else f"{rail.net_w:.2f}",
                    f"{rail.energy_per_image_j:.3f}",
                    str(rail.samples),
                    said,
                ]
            )
    headings = [
        "network",
        "size px",
        "GPU MHz",
        "rail",
        "gross W",
        "idle W",
        "net W",
        "J per image",
        "readings",
        "paper W (TX2)",
    ]
    return Table(headings, rows) if rows else None


def utilisation(measurements: Sequence[Measurement]) -> Table:
    """Return the mean shares during execution."""
    rows = [
        [item.model, item.size, figure(item.gpu_clock, "{:.0f}")]
        + [
            NONE if (share := item.mean_utilisation(what)) is None else f"{100 * share:.0f} %"
            for what in ("cpu", "gpu", "memory")
        ]
        for item in measurements
    ]
    return Table(["network", "size px", "GPU MHz", "CPU", "GPU", "memory"], rows)


def operators(measurements: Iterable[Measurement], kernels: Iterable[KernelReport]) -> Table | None:
    """Return the top operators or kernels with their shares."""
    rows: list[Sequence[str]] = []
    for name, kind, entries in [
        *((f"{item.model} {item.size}", item.operators_of, item.operators) for item in measurements),
        *((item.model, f"kernels, {item.tool}", item.top) for item in kernels),
    ]:
        for rank, entry in enumerate(entries, start=1):
            rows.append([name, kind, str(rank), entry.name, f"{100 * entry.share:.1f} %", str(entry.calls)])
    return Table(["network", "of", "rank", "name", "share of time", "calls"], rows) if rows else None


def efficiencies(kernels: Sequence[KernelReport]) -> Table | None:
    """Return the efficiency rates, weighted by time."""
    rows: list[Sequence[str]] = []
    for item in kernels:
        by_name = {
            entry.name: f"{entry.percent:.1f} % (of {100 * entry.covered:.0f} % of the time)"
            for entry in item.efficiencies
        }
        cells = [by_name.get(counter.nvprof, NONE) for counter in COUNTERS]
        rows.append([item.model, item.tool, *cells])
    return Table(["network", "tool", *(counter.nvprof for counter in COUNTERS)], rows) if rows else None


def sensitivity(found: Sequence[Sensitivity]) -> Table | None:
    """Return the sensitivities to the GPU's clock."""
    rows = [[item.model, f"{item.from_mhz:.0f}", f"{item.to_mhz:.0f}", f"{item.ratio:.2f}"] for item in found]
    return Table(["network", "from MHz", "to MHz", "% time / % clock"], rows) if rows else None


def modules(found: Sequence[ModuleFigures]) -> Table:
    """Return the comparison of modules."""
    rows = [
        [
            item.name,
            f"{item.parameters:,}",
            f"{item.convolution_bytes / 1e6:.2f}",
            f"{item.field_px} x {item.field_px}",
            "reconstruction" if item.reconstruction else f"ESP, K = {K}",
        ]
        for item in found
    ]
    return Table(["module", "parameters", "convolutions MB", "receptive field px", ""], rows)


def agreement(measurements: Sequence[Measurement]) -> Table | None:
    """Return how many labels were the expected ones, where that was checked."""
    rows = [
        [item.model, item.size, item.runtime, f"{100 * item.agreement.value:.3f} %"]
        for item in measurements
        if item.agreement.value is not None
    ]
    return Table(["network", "size px", "engine", "labels equal to the reference"], rows) if rows else None


def missing(entries: Sequence[Missing]) -> Table | None:
    """Return what could not be read, why, and what would help."""
    rows = [[item.what, item.reason, item.remedy] for item in dict.fromkeys(entries)]
    return Table(["not available", "because", "remedy"], rows) if rows else None


def figure(item: Figure, form: str) -> str:
    """Return a figure as text."""
    return NONE if item.value is None else form.format(item.value)


def _name(item: Measurement) -> str:
    return item.model if item.trained else f"{item.model} (untrained weights)"


def _same_clock(first: Measurement, second: Measurement) -> bool:
    one, other = first.gpu_clock.value, second.gpu_clock.value
    return one is None or other is None or abs(one - other) <= 0.05 * other
