"""`wsiseg profile --paper`: the paper's comparison of networks on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from wsiseg.cli.profile_options import (
    Device,
    Idle,
    Json,
    Output,
    Precision,
    Runtime,
    Sizes,
    Threads,
    Trials,
    check_output,
    plan_of,
    say,
)
from wsiseg.errors import UsageError

EPILOG = "Example: wsiseg profile --paper -o paper"


def paper(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL]...", help="Of the paper's networks, these only (and espnet)."),
    ] = None,
    size: Sizes = None,
    trials: Trials = 200,
    max_seconds: Annotated[
        float, typer.Option(min=0.1, help="Calls of one network end after so long, not before the third.")
    ] = 60.0,
    idle_seconds: Idle = 3.0,
    threads: Threads = 0,
    device: Device = "auto",
    runtime: Runtime = "auto",
    precision: Precision = "auto",
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Measure every network of the paper's comparison (figure 6, table 1c), as ratios to ESPNet.

    About 15 minutes on 2 CPU cores. What stands in the folder already is not measured again, so an
    interrupted run goes on. A network that is too large for the memory is named, and the others go on.
    """
    from dataclasses import replace

    from wsiseg.profiling.paper.report import write_paper_report
    from wsiseg.profiling.paper.run import choose_networks, measure_paper
    from wsiseg.profiling.paper.tables import accuracies, comparison
    from wsiseg.profiling.report import tables
    from wsiseg.profiling.report.document import as_text

    plan = plan_of(
        choose_networks(models or []),
        size,
        False,
        trials,
        idle_seconds=idle_seconds,
        threads=threads,
        choice=(runtime, precision, device),
    )
    if len(plan.sizes) != 1:
        raise UsageError("--size is given more than once: the comparison is at one size")
    check_output(output)
    results = measure_paper(replace(plan, max_seconds=max_seconds), output, say)
    if output is not None:
        write_paper_report(results, output)
    if as_json:
        typer.echo(results.model_dump_json(indent=1))
        return
    gone = [*results.missing, *(entry for item in results.measurements for entry in item.missing)]
    for table in (comparison(results), accuracies(), tables.missing(gone)):
        if table is not None:
            typer.echo(as_text(table) + "\n")
    for line in results.notes:
        typer.echo(line)
    if output is not None:
        typer.echo(f"written to {output}: open {output / 'report.html'}")
