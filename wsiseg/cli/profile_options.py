"""What the commands of `wsiseg profile` share: their options, what they mean, and how results are shown."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsiseg.errors import UsageError

if TYPE_CHECKING:
    from wsiseg.profiling.measure.run import Plan
    from wsiseg.profiling.results import Results

Models = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL...",
        help="espnet, enet, erfnet ... with untrained weights, a bundled name, or a .safetensors file.",
    ),
]
Sizes = Annotated[
    list[str] | None,
    typer.Option("--size", metavar="WxH", help="Image size in px, 1024x512 by default; more than once."),
]
SweepSizes = Annotated[
    bool, typer.Option("--sweep-sizes", help="The four sizes 224x224, 640x360, 1024x512 and 2048x1024.")
]
Trials = Annotated[int, typer.Option(min=1, help="Timed calls per network and size.")]
WarmUp = Annotated[int, typer.Option(min=1, help="Calls before the timed ones.")]
Seconds = Annotated[
    float, typer.Option(min=0, help="The timed phase lasts at least so long, for slow power sensors.")
]
Idle = Annotated[float, typer.Option(min=0, help="Seconds of idle power before each network.")]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads; 0: all that this process may use.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Runtime = Annotated[str, typer.Option(help="auto, openvino or torch.")]
Precision = Annotated[str, typer.Option(help="auto, bf16 or fp32.")]
Json = Annotated[bool, typer.Option("--json", help="Put the results on stdout as JSON, and nothing else.")]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="DIR", help="Folder for results.json, the report and its plots."),
]


def plan_of(
    models: Sequence[str],
    size: list[str] | None,
    sweep_sizes: bool,
    trials: int,
    warm_up: int = 10,
    min_seconds: float = 2.0,
    idle_seconds: float = 3.0,
    threads: int = 0,
    choice: tuple[str, str, str] = ("auto", "auto", "auto"),
) -> Plan:
    """Return what to measure. Raises UsageError for what cannot be."""
    from wsiseg.inference.runtime import choose_runtime
    from wsiseg.profiling.measure.run import Plan

    twice = sorted({name for name in models if list(models).count(name) > 1})
    if twice:
        raise UsageError(f"{twice[0]} is named twice: name each network once")
    runtime, precision, device = choice
    return Plan(
        models=models,
        sizes=sizes_of(size, sweep_sizes),
        choice=choose_runtime(runtime, precision, device),
        trials=trials,
        warm_up=warm_up,
        min_seconds=min_seconds,
        idle_seconds=idle_seconds,
        threads=threads,
    )


def sizes_of(texts: list[str] | None, sweep: bool) -> list[tuple[int, int]]:
    """Return the sizes, (width, height) in px. Raises UsageError for what is no size."""
    from wsiseg.profiling.published import SIZE, SWEEP_SIZES

    found = list(SWEEP_SIZES) if sweep else []
    for text in texts or []:
        width, _, height = text.lower().partition("x")
        if not (
            width.isdecimal() and height.isdecimal() and 0 < int(width) <= 16384 and 0 < int(height) <= 16384
        ):
            raise UsageError(f"--size {text!r}: expected WIDTHxHEIGHT in px, such as 1024x512")
        found.append((int(width), int(height)))
    return list(dict.fromkeys(found)) or [SIZE]


def check_output(output: Path | None, *inputs: Path) -> None:
    """Raise UsageError where writing would replace an input, or the folder is a file."""
    from wsiseg.profiling.report.build import WRITTEN

    if output is None:
        return
    if output.is_file():
        raise UsageError(f"{output}: is a file; give a folder")
    for path in inputs:
        if any((output / name).resolve() == path.resolve() for name in WRITTEN):
            raise UsageError(f"{output}: the input {path} would be replaced; give another folder")


def show(results: Results, as_json: bool, output: Path | None) -> None:
    """Write the report where it is wanted, and print tables or JSON."""
    from wsiseg.profiling.clocks.sensitivity import of_measurements
    from wsiseg.profiling.report import tables
    from wsiseg.profiling.report.build import write_report
    from wsiseg.profiling.report.document import as_text

    if output is not None:
        write_report(results, output)
    if as_json:
        typer.echo(results.model_dump_json(indent=1))
        return
    items = results.measurements
    gone = [*results.missing]
    gone += [entry for item in items for entry in item.missing]
    gone += [entry for item in results.kernels for entry in item.missing]
    for table in (
        tables.overview(items) if items else None,
        tables.ratios(items),
        tables.power(items),
        tables.utilisation(items) if items else None,
        tables.sensitivity(of_measurements(items)),
        tables.efficiencies(results.kernels),
        tables.operators((), results.kernels),
        tables.agreement(items),
        tables.missing(gone),
    ):
        if table is not None:
            typer.echo(as_text(table) + "\n")
    for line in results.notes:
        typer.echo(line)
    if output is not None:
        typer.echo(f"written to {output}: open {output / 'report.html'}")


def say(text: str) -> None:
    """Say on standard error what goes on."""
    sys.stderr.write(f"wsiseg: {text}\n")
