"""wsiseg import: annotations in, a label store out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from wsiseg.cli.contained import working_on
from wsiseg.errors import EXIT_INTERRUPTED, UsageError

EPILOG = "Example: wsiseg import slide.geojson --slide slide.svs -o annotations --mpp 0.5"


def import_(
    annotation: Annotated[
        Path,
        typer.Argument(
            metavar="ANNOTATION",
            help="QuPath GeoJSON (also .gz), ASAP or ImageScope XML, a label image, OME-Zarr labels.",
        ),
    ],
    slide: Annotated[str, typer.Option("--slide", metavar="SLIDE", help="The slide that was annotated.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the result.")
    ] = Path(),
    classes: Annotated[
        Path | None,
        typer.Option(metavar="FILE.yaml", help="Class map; by default that of the breast tissue types."),
    ] = None,
    overlap: Annotated[
        str, typer.Option(metavar="later|smaller", help="Which of two areas that overlap is kept.")
    ] = "later",
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", metavar="NAME", help="Leave out an annotation class; may be repeated."),
    ] = None,
    mpp: Annotated[
        float | None, typer.Option(metavar="X", help="um per label pixel; by default the slide's own.")
    ] = None,
    slide_mpp: Annotated[
        str | None,
        typer.Option(metavar="X[,Y]", help="um per level-0 pixel, where the file lacks it or is wrong."),
    ] = None,
    image_mpp: Annotated[float, typer.Option(help="um per pixel of the image stored with the labels.")] = 4.0,
    ngff: Annotated[str, typer.Option(metavar="0.5|0.4", help="OME-NGFF version to write.")] = "0.5",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start over where a result exists.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Put the summary on stdout, and nothing else.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but errors.")] = False,
) -> None:
    """Turn annotations into a label store like that of a prediction.

    Writes ID.annotations.wsiseg.ome.zarr, a summary and an overlay picture. What is not annotated is 255.
    Annotation names map through the class map (name or annotation_names, whatever their case).
    """
    if ngff not in ("0.5", "0.4"):
        raise UsageError(f"--ngff {ngff}: expected 0.5 or 0.4")
    if overlap not in ("later", "smaller"):
        raise UsageError(f"--overlap {overlap}: expected later or smaller")
    from wsiseg.class_map import TISSUE8, read_class_map
    from wsiseg.label_import import ImportOptions, import_annotations

    working_on(slide)
    from wsiseg.slides import parse_mpp

    options = ImportOptions(
        classes=TISSUE8 if classes is None else read_class_map(classes),
        overlap="later" if overlap == "later" else "smaller",
        ignored=tuple(ignore or ()),
        mpp=mpp,
        slide_mpp=None if slide_mpp is None else parse_mpp(slide_mpp),
        image_mpp=image_mpp,
        ngff="0.4" if ngff == "0.4" else "0.5",
        overwrite=overwrite,
    )
    try:
        result = import_annotations(annotation, slide, output, options)
    except KeyboardInterrupt as error:  # typer would end in a bare "Aborted"
        sys.stderr.write("wsiseg: interrupted; the same command goes on from here\n")
        raise typer.Exit(EXIT_INTERRUPTED) from error
    for warning in result.summary["warnings"]:
        sys.stderr.write(f"wsiseg: warning: {warning}\n")
    if as_json:
        sys.stdout.write(json.dumps(result.summary, indent=2) + "\n")
    elif not quiet:
        if result.was_finished:
            typer.echo("already finished with these settings, left as it is")
        areas, rows = result.summary["areas"], result.summary["classes"]
        for row in rows:
            if row["mm2"]:
                typer.echo(f"{row['name']}: {row['mm2']:.4f} mm2")
        typer.echo(f"not annotated: {areas['not_analysed']:.4f} mm2")
        for path in (result.store, result.summary_path, result.overlay):
            typer.echo(str(path))
