"""`wsiseg profile`: time, memory, power and kernels of networks, on this machine or on a device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from wsiseg.cli import profile_counters, profile_paper
from wsiseg.cli.profile_options import (
    Device,
    Idle,
    Json,
    Models,
    Output,
    Precision,
    Runtime,
    Seconds,
    Sizes,
    SweepSizes,
    Threads,
    Trials,
    WarmUp,
    check_output,
    plan_of,
    say,
    show,
    sizes_of,
)

DEFAULT = "measure"


class _MeasureByDefault(TyperGroup):
    """`wsiseg profile espnet` is `wsiseg profile measure espnet`; `--paper` is the command `paper`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "--paper" in args:
            args = ["paper", *(word for word in args if word != "--paper")]
        if args and args[0] not in self.commands and args[0] != "--help":
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_MeasureByDefault,
    no_args_is_help=True,
    help="Time, memory, power and kernels of networks. `wsiseg profile MODEL...` measures on this machine, "
    "`wsiseg profile --paper` all that the paper compares.",
    epilog="Example: wsiseg profile espnet enet erfnet -o profile",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command(DEFAULT, epilog="Example: wsiseg profile espnet enet erfnet --sweep-sizes -o profile")
def measure(
    models: Models,
    size: Sizes = None,
    sweep_sizes: SweepSizes = False,
    trials: Trials = 200,
    warm_up: WarmUp = 10,
    min_seconds: Seconds = 2.0,
    idle_seconds: Idle = 3.0,
    threads: Threads = 0,
    device: Device = "auto",
    runtime: Runtime = "auto",
    precision: Precision = "auto",
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Measure networks side by side on this machine; `measure` may be left out."""
    from wsiseg.profiling.measure.run import measure as run

    plan = plan_of(
        models,
        size,
        sweep_sizes,
        trials,
        warm_up,
        min_seconds,
        idle_seconds,
        threads,
        (runtime, precision, device),
    )
    check_output(output)
    show(run(plan, say), as_json, output)


@app.command(epilog="Example: wsiseg profile bundle espnet enet erfnet -o bundle")
def bundle(
    models: Models,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="New folder to copy to the device.")
    ],
    size: Sizes = None,
    sweep_sizes: SweepSizes = False,
) -> None:
    """Write a folder that measures networks on a Jetson with Python 3.6: networks, an image, a runner."""
    from wsiseg.profiling.bundle.write import write_bundle

    table = write_bundle(models, sizes_of(size, sweep_sizes), output, say)
    typer.echo(
        f"{output}: {len(table['networks'])} networks, ONNX opset {table['opset']}, TorchScript. Copy it to "
        "the device, run `python3 run.py` there, bring results.tar.gz back for `wsiseg profile report`"
    )


@app.command(epilog="Example: wsiseg profile report results.tar.gz -o report")
def report(
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="A device's results.tar.gz, or a results.json.")
    ],
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Make tables and plots of what was measured, next to the paper's figures."""
    from wsiseg.profiling.bundle.device_results import read_device_results
    from wsiseg.profiling.results import read_results

    found = read_results(results) if results.suffix == ".json" else read_device_results(results)
    check_output(output, results)
    show(found, as_json, output)


app.command("paper", epilog=profile_paper.EPILOG)(profile_paper.paper)
app.command("clocks", epilog=profile_counters.CLOCKS_EPILOG)(profile_counters.clocks)
app.command("kernels", epilog=profile_counters.KERNELS_EPILOG)(profile_counters.kernels)
app.command("modules", epilog=profile_counters.MODULES_EPILOG)(profile_counters.modules)
