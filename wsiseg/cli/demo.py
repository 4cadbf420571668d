"""wsiseg demo: a generated slide, predicted, with a picture to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EPILOG = "Example: wsiseg demo -o wsiseg-demo"

WIDTH_PX, HEIGHT_PX, MPP = 6000, 4500, 0.5
NAME = "phantom.tiff"


def demo(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the slide and its result.")
    ] = Path("wsiseg-demo"),
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws another slide.")] = 1,
) -> None:
    """Generate a phantom slide, predict it, and say where the picture is.

    The slide is drawn by a program: it looks like stained breast tissue, and belongs to nobody.
    """
    from wsiseg.cli.predict import predict_one, report, warn
    from wsiseg.phantom.parameters import HELD_OUT_RANGES
    from wsiseg.phantom.slide_file import write_phantom_slide
    from wsiseg.run.predict_options import PredictOptions

    output.mkdir(parents=True, exist_ok=True)
    slide = output / NAME
    typer.echo(f"drawing {slide} ({WIDTH_PX} x {HEIGHT_PX} px at {MPP} um/px, seed {seed})", err=True)
    write_phantom_slide(
        slide, seed=seed, width_px=WIDTH_PX, height_px=HEIGHT_PX, mpp=MPP, ranges=HELD_OUT_RANGES
    )
    result = predict_one(str(slide), output, PredictOptions(overwrite=True), show_progress=True)
    warn(result)
    report(result)
    typer.echo(f"Look at {result.overlay}")
    raise typer.Exit(result.exit_code)
