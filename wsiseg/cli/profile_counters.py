"""`wsiseg profile clocks`, `kernels` and `modules`: what lies behind the times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsiseg.cli.profile_options import Json, Output, Sizes, Trials, check_output, plan_of, say, show
from wsiseg.errors import UsageError

if TYPE_CHECKING:
    from wsiseg.profiling.clocks.gpu import GpuClock
    from wsiseg.profiling.measure.run import Plan
    from wsiseg.profiling.results import Results

CLOCKS_EPILOG = "Example: wsiseg profile clocks espnet enet --dry-run"
KERNELS_EPILOG = "Example: wsiseg profile kernels times.csv metrics.csv --name espnet"
MODULES_EPILOG = "Example: wsiseg profile modules -o modules"


def clocks(
    models: Annotated[list[str] | None, typer.Argument(metavar="MODEL...")] = None,
    size: Sizes = None,
    trials: Trials = 50,
    change_clocks: Annotated[
        bool,
        typer.Option(
            "--change-clocks", help="Really fix the GPU's clock to each value; put back afterwards."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    count: Annotated[int, typer.Option(min=2, help="How many clocks to try.")] = 5,
    measured: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Compute it from a table: model, gpu_mhz, time_ms.")
    ] = None,
    restore: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Put back what a killed sweep left: its clocks-before.json."),
    ] = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Measure the sensitivity to the GPU's clock, as the paper defines it; with --change-clocks only."""
    from wsiseg.profiling.clocks.gpu import find_gpu_clock
    from wsiseg.profiling.clocks.sensitivity import read_timed, sensitivities
    from wsiseg.profiling.clocks.sweep import choose_clocks, describe_sweep, restore_from
    from wsiseg.profiling.report import tables
    from wsiseg.profiling.report.document import as_text
    from wsiseg.profiling.results import Missing

    if measured is not None:
        table = tables.sensitivity(sensitivities(read_timed(measured)))
        typer.echo("" if table is None else as_text(table))
        return
    clock = find_gpu_clock()
    if isinstance(clock, Missing):
        raise UsageError(f"no GPU clock here: {clock.reason}; {clock.remedy}, or give --measured CSV")
    if restore is not None:
        restore_from(clock, restore)
        typer.echo(f"{clock.name}: as before")
        return
    if not models:
        raise UsageError("which networks? give names, such as: wsiseg profile clocks espnet enet --dry-run")
    chosen = choose_clocks(clock.allowed_mhz(), count)
    if dry_run or not change_clocks:
        typer.echo("\n".join(describe_sweep(clock, chosen, models)))
        typer.echo("nothing was changed" if dry_run else "nothing was changed: add --change-clocks to do it")
        return
    check_output(output)
    show(_sweep(clock, chosen, plan_of(models, size, False, trials), output or Path()), as_json, output)


def kernels(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="CSV...", help="Output of one run under nvprof --csv, or of ncu --csv."),
    ] = None,
    name: Annotated[str, typer.Option(help="The network that was run.")] = "network",
    run: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Run this network under Nsight Compute (ncu) here.")
    ] = None,
    size: Sizes = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Warp execution and memory efficiency, weighted by the kernels' time."""
    from wsiseg.profiling.kernels.ncu import is_ncu, read_ncu
    from wsiseg.profiling.kernels.nvprof import read_nvprof
    from wsiseg.profiling.kernels.run import run_ncu
    from wsiseg.profiling.kernels.tables import read_profile
    from wsiseg.profiling.measure.run import job_of
    from wsiseg.profiling.results import Results

    if (run is None) == (not files):
        raise UsageError("give either the CSV files of a profiler, or --run MODEL")
    if run is not None:
        plan = plan_of([run], size, False, 3)
        found = run_ncu(
            job_of(plan, run, plan.sizes[0]).model_copy(update={"counted": True, "operators": False})
        )
    else:
        texts = [read_profile(path) for path in files or []]
        of_ncu = len(texts) == 1 and is_ncu(texts[0])
        found = read_ncu(texts[0], name) if of_ncu else read_nvprof(texts, name)
    check_output(output, *(files or []))
    show(Results(machine={}, kernels=(found,)), as_json, output)


def modules(as_json: Json = False, output: Output = None) -> None:
    """Compare ESP with other papers' modules: parameters, memory, receptive field (figure 3g)."""
    import json
    from dataclasses import asdict

    from wsiseg.profiling.modules import compare_modules
    from wsiseg.profiling.report import tables
    from wsiseg.profiling.report.build import write_report
    from wsiseg.profiling.report.document import as_text
    from wsiseg.profiling.results import Results

    check_output(output)
    found = compare_modules()
    typer.echo(
        json.dumps([asdict(item) for item in found], indent=2) if as_json else as_text(tables.modules(found))
    )
    if output is not None:
        write_report(Results(machine={}), output, found)


def _sweep(clock: GpuClock, chosen: Sequence[float], plan: Plan, folder: Path) -> Results:
    from wsiseg.profiling.clocks.sweep import sweep
    from wsiseg.profiling.measure.run import measure as run

    parts: list[Results] = []

    def each(mhz: float) -> None:
        say(f"GPU at {mhz:g} MHz")
        parts.append(run(plan, say))

    folder.mkdir(parents=True, exist_ok=True)
    sweep(clock, chosen, folder, each)
    return parts[0].model_copy(
        update={"measurements": tuple(item for part in parts for item in part.measurements)}
    )
