"""wsiseg report: a batch's report, made anew from what lies in its folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

EPILOG = "Example: wsiseg report cohort"


def report(
    output: Annotated[Path, typer.Argument(metavar="DIR", help="The -o of a wsiseg batch.")],
    pages: Annotated[
        bool, typer.Option("--pages", help="Make every slide's page anew, not only those that are missing.")
    ] = False,
) -> None:
    """Write index.html, results.csv and results.parquet of a batch, as far as it is."""
    from wsiseg.cohort.book import current_states, read_batch, read_slides
    from wsiseg.cohort.report.index import write_report

    slides = read_slides(output)
    states = {row.id: row for row in current_states(output)}
    model = str(read_batch(output)["settings"].get("model", ""))
    written = write_report(
        output,
        slides,
        states,
        model=model,
        every_page=pages,
        say=_say,
    )
    for path in written:
        typer.echo(str(path))


def _say(text: str) -> None:
    sys.stderr.write(f"wsiseg: {text}\n")
