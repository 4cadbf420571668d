"""`wsiseg models`: networks and their weights. Thin: what it prints is computed in wsiseg.models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from wsiseg.errors import UsageError

app = typer.Typer(
    no_args_is_help=True,
    help="List, check, import and export networks.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Name = Annotated[str, typer.Argument(help="A bundled model's name, or a .safetensors file.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list", epilog="Example: wsiseg models list")
def list_(as_json: Json = False) -> None:
    """List the models that come with wsiseg."""
    from wsiseg.models.files import DEFAULT_MODEL, list_models, read_card

    cards = [read_card(name) for name in list_models()]
    if as_json:
        _print_json(
            [
                {"name": card.name, "default": card.name == DEFAULT_MODEL, "summary": card.summary}
                for card in cards
            ]
        )
        return
    if not cards:
        typer.echo("no models are installed; give a .safetensors file, or import one")
    for card in cards:
        default = " (default)" if card.name == DEFAULT_MODEL else ""
        typer.echo(f"{card.name}{default}: {card.summary}")


@app.command(epilog="Example: wsiseg models show tissue8-demo")
def show(model: Name, as_json: Json = False) -> None:
    """Show a model's card: classes, resolution, licence, training data, scores."""
    from wsiseg.models.card import plain
    from wsiseg.models.files import read_card

    card = read_card(model)
    if as_json:
        _print_json(card.model_dump(mode="json"))
        return
    options = ", ".join(f"{key} {value}" for key, value in card.architecture.options.items())
    rows: list[tuple[str, object]] = [
        ("name", card.name),
        ("summary", card.summary),
        (
            "network",
            f"{card.architecture.name}, {card.architecture.num_classes} classes, {options or 'no options'}",
        ),
        ("domain", card.domain),
        (
            "resolution",
            f"{card.mpp} um/px" if card.mpp is not None else f"input scale {card.input_scale or 1}",
        ),
        (
            "normalisation",
            f"{card.channel_order}, minus {list(card.mean)}, over {list(card.std)}, over {card.divide_by:g}",
        ),
        ("tile", "no suggestion" if card.tile_px is None else f"{card.tile_px} px"),
        ("halo", "no suggestion" if card.halo_px is None else f"{card.halo_px} px"),
        ("licence", card.licence),
        ("source", card.source),
        ("source SHA-256", card.source_sha256 or "not given"),
        ("training data", card.training_data),
        ("scores", json.dumps(card.scores) if card.scores else "none"),
        ("on the scores", card.scores_note or "nothing said"),
        ("weights SHA-256", card.weights_sha256),
    ]
    for key, value in rows:
        typer.echo(f"{key:16} {plain(str(value), 20_000)}")
    typer.echo("classes")
    for item in card.classes:
        marks = ", background" * item.background + ", never predicted" * (not item.predicted)
        typer.echo(f"  {item.id:3} {plain(item.name)} rgb{item.colour}{marks}")


@app.command(epilog="Example: wsiseg models verify my-model.safetensors")
def verify(model: Name, as_json: Json = False) -> None:
    """Check a model file whole: SHA-256, shapes, values, and that its network can be built."""
    from wsiseg.models.model import load_model
    from wsiseg.models.network import count_parameters

    loaded = load_model(model)
    parameters = count_parameters(loaded.network)
    if as_json:
        _print_json(
            {
                "name": loaded.card.name,
                "sha256": loaded.card.weights_sha256,
                "parameters": parameters,
                "ok": True,
            }
        )
        return
    typer.echo(f"{loaded.card.name}: whole, {parameters:,} parameters, SHA-256 {loaded.card.weights_sha256}")


@app.command(epilog="Example: wsiseg models params --json")
def params(as_json: Json = False) -> None:
    """Print the parameter tables of the ESPNet paper beside the exact counts, the compared networks too."""
    from wsiseg.models.paper_tables import count_rows

    rows = count_rows()
    if as_json:
        _print_json([row.as_json() for row in rows])
        return
    typer.echo(
        f"{'table':7}{'network':38}{'C':>3} {'paper M':>8}{'exact':>13}{'MB':>8}{'paper MB':>9}{'field':>7}"
        "  verdict"
    )
    for item in rows:
        row = item.row
        exact = "-" if item.parameters is None else f"{item.parameters:,}"
        size = "-" if item.megabytes is None else f"{item.megabytes:.2f}"
        field = "-" if item.field_px is None else f"{item.field_px}^2"
        ratio = f", {item.ratio_to_esp:.2f}x ESP" if item.ratio_to_esp is not None else ""
        note = f"; {row.note}" if row.note else ""
        typer.echo(
            f"{row.table:7}{row.label:38}{row.classes:>3} {row.paper_millions or '-':>8}{exact:>13}{size:>8}"
            f"{row.paper_megabytes or '-':>9}{field:>7}  {item.verdict}{ratio}{note}"
        )


@app.command(
    "import",
    epilog="Example: wsiseg models import decoder_espnet_p_2_q_8.pth -o espnet-cityscapes.safetensors",
)
def import_(
    file: Annotated[Path, typer.Argument(help="A .pth file of the ESPNet authors.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .safetensors file to write.")],
    classes: Annotated[
        Path | None,
        typer.Option(help="Class map (YAML) in the order of the channels, where you know better."),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace the output where it exists.")] = False,
) -> None:
    """Turn the ESPNet authors' weights into a model file with a card; their pickle is never run."""
    from wsiseg.class_map import read_class_map
    from wsiseg.models.checkpoint import save_model
    from wsiseg.models.released import import_released

    _check_output(output, file, overwrite)
    if output.suffix != ".safetensors":
        raise UsageError(f"{output.name}: a model file's name ends in .safetensors")
    known = read_class_map(classes) if classes is not None else None
    model = import_released(file, name=output.stem, classes=known)
    card = save_model(output, model.network, model.card)
    typer.echo(
        f"{output}: {card.architecture.name}, {card.architecture.num_classes} classes, "
        f"{', '.join(f'{key} {value}' for key, value in card.architecture.options.items())}"
    )
    typer.echo(card.summary)


@app.command(
    epilog="Example: wsiseg models export tissue8-demo --format onnx --opset 15 -o tissue8-demo.onnx"
)
def export(
    model: Name,
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write.")],
    format: Annotated[str, typer.Option(help="onnx or torchscript.")] = "onnx",  # noqa: A002
    opset: Annotated[int | None, typer.Option(help="ONNX opset, 13 to 18; 17 by default.")] = None,
    size: Annotated[
        str | None, typer.Option(help="WIDTHxHEIGHT of the input, in px; the card's tile, or 512x512.")
    ] = None,
    batch: Annotated[int, typer.Option(help="Images per call.")] = 1,
    overwrite: Annotated[bool, typer.Option(help="Replace the output where it exists.")] = False,
    as_json: Json = False,
) -> None:
    """Write a model as ONNX or TorchScript: uint8 RGB pixels in, uint8 class ids out, the card inside."""
    from wsiseg.models.export import export_model
    from wsiseg.models.model import load_model

    _check_output(output, Path(model), overwrite)
    loaded = load_model(model)
    side = loaded.card.tile_px or 512
    width, _, height = (size or f"{side}x{side}").partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise UsageError(f"--size {size!r}: expected WIDTHxHEIGHT in px, such as 512x512")
    done = export_model(
        loaded,
        output,
        format=format,
        opset=opset,
        width_px=int(width),
        height_px=int(height),
        batch=batch,
    )
    if as_json:
        _print_json(
            {
                "path": str(done.path),
                "format": done.format,
                "opset": done.opset,
                "input_shape": list(done.shape),
                "size_bytes": done.size_bytes,
                "label_agreement": done.agreement,
            }
        )
        return
    opset_text = f", opset {done.opset}" if done.opset is not None else ""
    typer.echo(
        f"{done.path}: {done.format}{opset_text}, input uint8 {done.shape}, {done.size_bytes:,} bytes, "
        f"{done.agreement:.2%} of the labels equal the network's own on random pixels"
    )


@app.command(epilog="Example: wsiseg models field tissue8-demo --image crop.png")
def field(
    model: Name,
    image: Annotated[
        Path | None,
        typer.Option(help="An RGB picture at the network's scale to measure on; noise without one."),
    ] = None,
    window: Annotated[int, typer.Option(help="Side of the measured input, in px.")] = 512,
    repeats: Annotated[int, typer.Option(help="Outputs to average over.")] = 8,
    as_json: Json = False,
) -> None:
    """Measure how far a model looks, and say which halo that asks for."""
    from wsiseg.models.field import HALO_SHARE, describe_cost, measure_field
    from wsiseg.models.model import load_model

    loaded = load_model(model)
    found = measure_field(
        loaded, image=None if image is None else _read_picture(image), window_px=window, repeats=repeats
    )
    halo = found.suggested_halo_px(loaded.input_multiple)
    if as_json:
        _print_json(
            {
                "model": loaded.card.name,
                "theoretical_px": found.theoretical_px,
                "extents_px": {f"{share:g}": side for share, side in found.extents_px.items()},
                "window_px": found.window_px,
                "repeats": found.repeats,
                "measured_on": "noise" if image is None else "image",
                "suggested_halo_px": halo,
            }
        )
        return
    typer.echo(
        f"{loaded.card.name}: an output can depend on {found.theoretical_px} x {found.theoretical_px} px"
    )
    for share, side in found.extents_px.items():
        typer.echo(f"  {share:4.0%} of the gradient's energy lies within {side} x {side} px")
    on = "generated noise" if image is None else "the picture"
    typer.echo(
        f"measured on {on}, {found.repeats} outputs, in a window of {found.window_px} px (beyond: not seen)"
    )
    if found.window_is_filled:
        typer.echo("the window is nearly filled: measure again with a larger --window")
    typer.echo(
        f"suggested halo: {halo} px. It leaves out {1 - HALO_SHARE:.0%} of the energy, so labels near tile "
        f"borders may differ a little from a whole-image run (never from {found.theoretical_px // 2} px); "
        f"tiles of 1024 px kept cost {describe_cost(halo, 1024):.2f} px per px"
    )


def _read_picture(path: Path) -> Any:
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise UsageError(f"{path}: cannot be read as a picture: {error}") from error


def _check_output(output: Path, source: Path, overwrite: bool) -> None:
    if output.is_dir():
        raise UsageError(f"{output}: is a folder; give the name of a file")
    if output.exists() and source.exists() and output.samefile(source):
        raise UsageError(f"{output}: is the input itself; give another name")
    if output.exists() and not overwrite:
        raise UsageError(f"{output}: exists already; give another name or --overwrite")


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2))
