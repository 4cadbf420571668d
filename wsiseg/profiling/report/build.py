"""A report from results: the tables and plots that they have data for, written as a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from wsiseg.models.checkpoint import write_atomically
from wsiseg.profiling import published
from wsiseg.profiling.clocks.sensitivity import of_measurements
from wsiseg.profiling.kernels.counters import COUNTERS
from wsiseg.profiling.modules import CHANNELS, HEIGHT_PX, WIDTH_PX, K, ModuleFigures
from wsiseg.profiling.report import tables
from wsiseg.profiling.report.document import Document, Section, Table, as_html, as_markdown
from wsiseg.profiling.report.plots import can_plot, draw_all
from wsiseg.profiling.results import Missing, Results

PLOTS = "plots"
WRITTEN = ("results.json", "report.md", "report.html", PLOTS)


def write_report(results: Results, folder: Path, modules: Sequence[ModuleFigures] = ()) -> list[Path]:
    """Write results.json, report.md, report.html and plots/; return what was written."""
    pictures: dict[str, bytes] = {}
    left_out = ["no plots: they need matplotlib, pip install 'wsiseg[plots]'"]
    if can_plot():
        pictures, left_out = draw_all(results, modules)
    document = build_document(results, modules, list(pictures), left_out)
    return write_document(document, pictures, results, folder)


def write_document(
    document: Document, pictures: Mapping[str, bytes], results: Results, folder: Path
) -> list[Path]:
    """Write the results, the report in its two forms, and its pictures; return what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "results.json": results.model_dump_json(indent=1).encode(),
        "report.md": as_markdown(document, PLOTS).encode(),
        "report.html": as_html(document, pictures).encode(),
    }
    if pictures:
        (folder / PLOTS).mkdir(exist_ok=True)
    files |= {f"{PLOTS}/{name}": data for name, data in pictures.items()}
    for name, data in files.items():
        write_atomically(folder / name, data)
    return [folder / name for name in files]


def build_document(
    results: Results, modules: Sequence[ModuleFigures], pictures: Sequence[str], left_out: Sequence[str]
) -> Document:
    """Return the report's parts; what has no data is named at its end, not left out without a word."""
    items = results.measurements
    clock_free = [item for item in items if item.gpu_clock.value is None]
    candidates: list[tuple[Section, Table | None]] = [
        (
            Section("Speed, size and memory", pictures=["speed-network-size.png", "speed-image-size.png"]),
            tables.overview(items),
        ),
        (
            Section("Ratios to ESPNet", [f"The paper: {line}." for line in published.SPEED_NOTES]),
            tables.ratios(items),
        ),
        (
            Section(
                "Power and energy",
                ["Gross is the mean during execution, as in the paper; net is gross less the idle power."],
                pictures=["power-speed.png", "power-frequency.png"],
            ),
            tables.power(items),
        ),
        (
            Section(
                "Sensitivity to the GPU's clock",
                ["% change of the time over % change of the clock, both against the lower clock."],
                pictures=["speed-frequency.png", "sensitivity.png"],
            ),
            tables.sensitivity(of_measurements(items)),
        ),
        (
            Section(
                "Utilisation",
                ["Means of the execution; the initialisation is left out, as in the paper."],
                pictures=["utilisation-mean.png", "utilisation-time.png"],
            ),
            tables.utilisation(items) if items else None,
        ),
        (
            Section(
                "Efficiency of the kernels",
                [f"{counter.nvprof}: {counter.words}." for counter in COUNTERS]
                + [_of(item.model, entry) for item in results.kernels for entry in item.missing],
                pictures=["efficiency.png"],
            ),
            tables.efficiencies(results.kernels),
        ),
        (
            Section(
                "Operators and kernels",
                [
                    "The paper's figure 11, on a TX2: ESPNet's first kernel is a matrix product with about "
                    f"{published.GEMM_PERCENT:g} % of the time."
                ],
                pictures=["top-operators.png"],
            ),
            tables.operators(items, results.kernels),
        ),
        (Section("Agreement with the reference labels"), tables.agreement(items)),
    ]
    if modules:
        words = (
            f"{CHANNELS} channels in and out, K = {K}, {WIDTH_PX}x{HEIGHT_PX} px. Widths within the "
            "other papers' modules stand only in the figure's drawing: those rows are a reconstruction."
        )
        section = Section("Modules, as in figure 3g", [words], pictures=["modules.png"])
        candidates.append((section, tables.modules(modules)))
    sections = [Section("Machine", list(results.notes), Table(["what", "is"], list(results.machine.items())))]
    for section, table in candidates:
        if table is None:
            continue
        section.table = table
        section.pictures = [name for name in section.pictures if name in pictures]
        sections.append(section)
    gone = [*results.missing, *(entry for item in items for entry in item.missing)]
    if clock_free:
        first = clock_free[0].gpu_clock
        gone.append(Missing(what="GPU clock", reason=first.reason, remedy=first.remedy))
    sections.append(Section("Not available here", [f"{line}." for line in left_out], tables.missing(gone)))
    return Document("System metrics", sections)


def _of(model: str, entry: Missing) -> str:
    return f"{model}: {entry.what} not available, {entry.reason}; {entry.remedy}."
