"""wsiseg info: what wsiseg sees in a slide, or what a result says about itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from wsiseg.cli.contained import working_on
from wsiseg.errors import InputRefusedError

EPILOG = "Example: wsiseg info slide.svs"

MAX_METADATA_BYTES = 64 * 2**20


def info(
    path: Annotated[
        str,
        typer.Argument(metavar="PATH", help="A slide, a picture, a DICOM folder, an OME-Zarr, or a result."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
    redact: Annotated[
        bool, typer.Option("--redact", help="Leave out names and paths, as for a public bug report.")
    ] = False,
) -> None:
    """Say what wsiseg sees in a slide or a result."""
    working_on(path)
    own = result_attributes(Path(path))
    if own is not None:
        found = {"result": own if not redact else _without_names(own)}
    else:
        from wsiseg.slides import describe, open_slide

        with open_slide(path) as slide:
            found = describe(slide, redact=redact)
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    elif own is not None:
        _print_result(path if not redact else None, found["result"])
    else:
        _print_slide(found)


app = typer.Typer(add_completion=False)
app.command("info", epilog=EPILOG)(info)


def result_attributes(path: Path) -> dict[str, Any] | None:
    """Return the attribute `wsiseg` of a result store, None for anything else.

    Raises InputRefusedError where the metadata are damaged.
    """
    for name in ("zarr.json", ".zattrs"):
        file = path / name
        if not file.is_file():
            continue
        if file.stat().st_size > MAX_METADATA_BYTES:
            raise InputRefusedError(
                f"{path}: {name} is larger than {MAX_METADATA_BYTES} bytes: no store of ours"
            )
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise InputRefusedError(
                f"{path}: {name} cannot be read: {error}: the store is damaged"
            ) from error
        attributes = (
            content.get("attributes") if name == "zarr.json" and isinstance(content, dict) else content
        )
        own = attributes.get("wsiseg") if isinstance(attributes, dict) else None
        if isinstance(own, dict):
            return own
    return None


def _without_names(value: Any) -> Any:
    """Return the same without the values whose key speaks of a name, path, source or id."""
    if isinstance(value, dict):
        return {
            key: None if _is_name(key) and isinstance(item, str) else _without_names(item)
            for key, item in value.items()
        }
    return [_without_names(item) for item in value] if isinstance(value, list) else value


def _is_name(key: str) -> bool:
    return any(word in key.lower() for word in ("name", "path", "source", "slide", "file")) or key == "id"


def _print_slide(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{escape(str(found['name'] or '(name left out)'))}[/bold]")
    size = f"{found['width_px']:,} x {found['height_px']:,} px"
    if found["mpp"]:
        x, y = found["mpp"]
        size += f", {found['width_px'] * x / 1000:.2f} x {found['height_px'] * y / 1000:.2f} mm"
    facts = {
        "format": f"{found['vendor']}, read by {found['backend']}",
        "size": size,
        "pixel": f"{found['mpp'][0]:.5g} x {found['mpp'][1]:.5g} um" if found["mpp"] else "unknown",
        "objective": f"{found['objective_power']:g}x" if found["objective_power"] else "unknown",
        "background": "RGB {} {} {}".format(*found["background"]),
        "other images": ", ".join(
            f"{name} {width} x {height}" for name, (width, height) in found["associated_images"].items()
        )
        or "none",
    }
    for key, value in facts.items():
        console.print(f"{key:<13}{escape(value)}")
    table = Table(box=None, pad_edge=False)
    for heading in ("level", "width px", "height px", "downsample", "um/px"):
        table.add_column(heading, justify="right")
    for level in found["levels"]:
        mpp = f"{level['mpp'][0]:.4g}" if level["mpp"] else "-"
        sizes = f"{level['width_px']:,}", f"{level['height_px']:,}"
        table.add_row(str(level["level"]), *sizes, f"{level['downsample']:.6g}", mpp)
    console.print(table)
    for line in found["warnings"]:
        console.print(f"[yellow]warning[/yellow]  {escape(line)}")


def _print_result(path: str | None, own: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{escape(path or '(name left out)')}[/bold]\na result of wsiseg")
    for key, value in _lines(own):
        console.print(f"{escape(key)}: {escape(value)}")


def _lines(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted key, text) of every value; a class of a label map takes one line."""
    if isinstance(value, dict) and {"id", "name", "colour"} <= value.keys():
        yield f"class {value['id']}", f"{value['name']}, rgb {value['colour']}"
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _lines(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        for item in value:
            yield from _lines(item, key)
    else:
        yield key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
