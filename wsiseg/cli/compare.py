"""wsiseg compare: two results of a slide, or a result and annotations, class by class."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from wsiseg.scoring.agreement import Agreement

EPILOG = "Example: wsiseg compare results/slide.wsiseg.ome.zarr labels/slide.annotations.wsiseg.ome.zarr"


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A result: slide.wsiseg.ome.zarr.")],
    second: Annotated[
        Path,
        typer.Argument(metavar="B", help="Another of the same slide: imported annotations, corrections."),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Put everything on stdout as JSON, and nothing else.")
    ] = False,
) -> None:
    """Say how two label stores of one slide agree: IoU and F1 of each class, pixels, what was left out.

    Only where both have a class is compared. Classes are put together by their names.
    """
    from wsiseg.exports.label_store import open_label_store
    from wsiseg.scoring import agreement

    pair = agreement.Pair(open_label_store(first), open_label_store(second))
    found: Agreement | None = agreement.compare(pair)
    said = {"first": first.name, "second": second.name, **found.as_json()} if found is not None else {}
    if as_json:
        sys.stdout.write(json.dumps(said, indent=2) + "\n")
    else:
        _print(said)


def _print(said: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    unit = said["unit"]
    table = Table(box=None, pad_edge=False)
    for heading in ("class", "IoU", "F1", f"A {unit}", f"B {unit}"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for row in said["classes"]:
        shown = ["-" if row[key] is None else f"{row[key]:.3f}" for key in ("iou", "f1")]
        table.add_row(_plain(row["name"]), *shown, *(_area(row[key]) for key in ("first", "second")))
    console.print(table)
    agreement = said["pixel_agreement"]
    if agreement is None:
        console.print("nothing was compared: nowhere do both have a class")
    else:
        console.print(f"same class: {100 * agreement:.2f} % of {_area(said['compared'])} {unit} compared")
    left_out = ", ".join(
        f"{key.replace('_', ' ')} {_area(value)}" for key, value in said["left_out"].items() if value
    )
    console.print(f"left out ({unit}): {left_out or 'nothing'}")
    console.print(said["notice"])


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape("".join(mark if mark.isprintable() else "?" for mark in text))


def _area(value: float) -> str:
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}"
