"""wsiseg batch: a whole cohort, on this machine or on a cluster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsiseg.errors import EXIT_INTERRUPTED, UsageError

if TYPE_CHECKING:
    from wsiseg.cohort.book import Shard
    from wsiseg.cohort.clusters import Workers
    from wsiseg.cohort.staging import Staging
    from wsiseg.cohort.state import SlideState

EPILOG = "Example: wsiseg batch 'slides/*.svs' -o cohort --workers 2"
MOST_REASONS = 20


def batch(
    what: Annotated[
        str, typer.Argument(metavar="MANIFEST|FOLDER|GLOB", help="CSV of slides, a folder, or a pattern.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for results, states and the report.")
    ],
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Worker processes on this machine.")
    ] = None,
    cluster: Annotated[
        Path | None, typer.Option(metavar="YAML", help="Workers elsewhere, see configs/cluster_*.yaml.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A dask scheduler that runs: tcp://host:8786.")
    ] = None,
    grain: Annotated[
        str, typer.Option(metavar="auto|slide|block", help="A worker gets slides, or blocks of one slide.")
    ] = "auto",
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Do part I of N, as in an array of jobs.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Also try again what failed before.")
    ] = False,
    hang_minutes: Annotated[
        float, typer.Option(metavar="M", help="Restart a worker that makes no progress for so long.")
    ] = 30.0,
    stage: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Copy slides to this local disk while they are read.")
    ] = None,
    stage_gb: Annotated[float, typer.Option(metavar="GB", help="Most that the copies may take.")] = 50.0,
    model: Annotated[str, typer.Option(help="Bundled name or a .safetensors file.")] = "tissue8-demo",
    slide_mpp: Annotated[
        str | None, typer.Option(metavar="X[,Y]", help="um per level-0 pixel, of every slide that has none.")
    ] = None,
    tissue: Annotated[str, typer.Option(metavar="auto|none", help="Find tissue, or look at all.")] = "auto",
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Where the network runs.")] = "auto",
    runtime: Annotated[str, typer.Option(help="What runs the network, see `wsiseg predict`.")] = "auto",
    precision: Annotated[str, typer.Option(metavar="auto|bf16|fp32", help="Its arithmetic.")] = "auto",
    ngff: Annotated[str, typer.Option(metavar="0.5|0.4", help="OME-NGFF version to write.")] = "0.5",
    image_mpp: Annotated[float, typer.Option(help="um per pixel of the image stored with the labels.")] = 4.0,
    confidence: Annotated[
        bool, typer.Option("--confidence", help="Also write how sure the network is of every label.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but errors and the end.")] = False,
) -> None:
    """Segment many slides and write a report.

    Each slide's results lie in DIR/ID/, DIR/index.html shows them all, DIR/wsiseg-batch/state.csv says how
    far it is. The same command does only what is left. Exit codes: 0 done, 2 wrong usage, 4 more than 1 % of
    the tissue of a slide unread, 5 some slides failed.
    """
    if ngff not in ("0.5", "0.4"):
        raise UsageError(f"--ngff {ngff}: expected 0.5 or 0.4")
    if tissue not in ("auto", "none"):
        raise UsageError(f"--tissue {tissue}: a batch takes auto or none; a file belongs to one slide")
    if grain not in ("auto", "slide", "block"):
        raise UsageError(f"--grain {grain}: expected auto, slide or block")
    if not hang_minutes > 0:
        raise UsageError(f"--hang-minutes {hang_minutes:g}: expected more than 0")
    part, crew, staging = _shard(shard), _workers(workers, cluster, scheduler), _staging(stage, stage_gb)
    if shard is not None and crew is not None:
        raise UsageError("--shard is for jobs without workers of their own: leave --workers and the like out")
    from wsiseg.cohort.batch import BatchOptions, exit_code, run_batch
    from wsiseg.run.predict_options import PredictOptions
    from wsiseg.slides import parse_mpp

    options = BatchOptions(
        predict=PredictOptions(
            model=model,
            slide_mpp=None if slide_mpp is None else parse_mpp(slide_mpp),
            tissue=tissue,
            device=device,
            runtime=runtime,
            precision=precision,
            ngff="0.4" if ngff == "0.4" else "0.5",
            image_mpp=image_mpp,
            confidence=confidence,
        ),
        workers=crew,
        shard=part,
        retry_failed=retry_failed,
        staging=staging,
        grain="block" if grain == "block" else "slide" if grain == "slide" else "auto",
        hang_s=60 * hang_minutes,
    )
    try:
        rows = run_batch(what, output, options, say=(lambda text: None) if quiet else _say)
    except KeyboardInterrupt as error:  # typer would end in a bare "Aborted"
        _say("interrupted; the same command goes on from here")
        raise typer.Exit(EXIT_INTERRUPTED) from error
    _report(rows, output, with_index=part.count == 1)
    raise typer.Exit(exit_code(rows))


def _report(rows: list[SlideState], output: Path, *, with_index: bool) -> None:
    """Say how many slides failed and why, on standard error, and where to look."""
    from wsiseg.cohort.state import summed

    failed = [row for row in rows if row.state == "failed"]
    for row in failed[:MOST_REASONS]:
        _say(f"{row.id}: failed: {row.reason}")
    if len(failed) > MOST_REASONS:
        _say(f"and {len(failed) - MOST_REASONS} more failed: see wsiseg status {output}")
    _say(summed(rows))
    typer.echo(str(output / "index.html") if with_index else f"wsiseg report {output}")


def _say(text: str) -> None:
    sys.stderr.write(f"wsiseg: {text}\n")


def _shard(text: str | None) -> Shard:
    from wsiseg.cohort.book import Shard

    if text is None:
        return Shard()
    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count) <= 100_000):
        raise UsageError(f"--shard {text}: expected I/N with I from 1 to N, such as 3/40")
    return Shard(int(index), int(count))


def _workers(count: int | None, config: Path | None, address: str | None) -> Workers | None:
    from pydantic import ValidationError

    from wsiseg.cohort.clusters import AddressWorkers, LocalWorkers, read_workers

    if config is not None and address is not None:
        raise UsageError("--cluster and --scheduler both say where the workers are: give one")
    if address is not None:
        if count is not None:
            raise UsageError("--workers: the scheduler's own workers are taken, leave it out")
        try:
            return AddressWorkers(cluster="address", scheduler=address)
        except ValidationError as error:
            raise UsageError(f"--scheduler {address}: expected an address such as tcp://host:8786") from error
    if config is not None:
        found = read_workers(config)
        if count is None:
            return found
        if isinstance(found, AddressWorkers):
            raise UsageError("--workers: the scheduler's own workers are taken, leave it out")
        key = "workers" if isinstance(found, LocalWorkers) else "jobs"
        return read_workers(config, (f"workers.{key}={count}",))
    if count is None:
        return None
    if not 1 <= count <= 1024:
        raise UsageError(f"--workers {count}: expected 1 to 1024")
    return LocalWorkers(cluster="local", workers=count)


def _staging(folder: Path | None, gigabytes: float) -> Staging | None:
    from wsiseg.cohort.staging import Staging

    if folder is None:
        return None
    if not gigabytes > 0:
        raise UsageError(f"--stage-gb {gigabytes:g}: expected more than 0")
    return Staging(folder=folder, most_bytes=int(gigabytes * 1e9))
