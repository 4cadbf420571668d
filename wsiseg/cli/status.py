"""wsiseg status: how far a batch is."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

EPILOG = "Example: wsiseg status cohort"


def status(
    output: Annotated[Path, typer.Argument(metavar="DIR", help="The -o of a wsiseg batch.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
    every: Annotated[
        bool, typer.Option("--all", help="List every slide, not only what needs a look.")
    ] = False,
) -> None:
    """Say how many slides are pending, running, done, failed or skipped, and why; also while a batch runs."""
    from wsiseg.cohort.book import current_states, is_at_work
    from wsiseg.cohort.state import summed

    rows = current_states(output)
    at_work = is_at_work(output)
    if as_json:
        content = {"at_work": at_work, "slides": [asdict(row) for row in rows]}
        sys.stdout.write(json.dumps(content, indent=2) + "\n")
        return
    for row in rows:
        if every or row.state in ("running", "failed"):
            said = row.reason or (f"on {row.worker}" if row.worker and row.state == "running" else "")
            typer.echo(f"{row.state:8} {row.id}{': ' if said else ''}{said}")
    typer.echo(f"{summed(rows)}{'; at work' if at_work else ''}")
    if not at_work and any(row.state == "pending" for row in rows):
        typer.echo("nobody is at work: run the same batch again for what is left")
