"""wsiseg export: a result in the formats of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wsiseg.errors import UsageError, choose

EPILOG = "Example: wsiseg export slide.wsiseg.ome.zarr --format geojson --tolerance-um 1 -o slide.geojson.gz"

SUFFIXES = {"geojson": ".geojson", "csv": ".composition.csv", "png": ".labels.png"}
"""Format: what follows the result's name where no -o is given."""


def export(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="A result: slide.wsiseg.ome.zarr.")],
    kind: Annotated[str, typer.Option("--format", metavar="geojson|csv|png", help="What to write.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="By default beside the result. .gz is packed."),
    ] = None,
    level: Annotated[
        int | None,
        typer.Option(min=0, help="Label level: geojson takes the finest, png the finest up to 8192 px."),
    ] = None,
    tolerance_um: Annotated[
        float, typer.Option("--tolerance-um", help="geojson: simplify within this; 0 is exact.")
    ] = 0.0,
    min_area_um2: Annotated[
        float, typer.Option("--min-area-um2", help="geojson: leave out smaller areas.")
    ] = 0.0,
    background: Annotated[
        bool, typer.Option("--background/--no-background", help="geojson: also background classes.")
    ] = True,
    most_points: Annotated[
        int, typer.Option("--most-points", min=1, help="geojson: refuse to write more points.")
    ] = 5_000_000,
    regions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="csv: also count inside each area of an annotation file."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but errors.")] = False,
) -> None:
    """Write a result as polygons for QuPath, as a table of areas, or as a label picture."""
    if kind not in SUFFIXES:
        raise UsageError(choose("--format", kind, SUFFIXES))
    if kind == "csv" and level:
        raise UsageError("--level: areas are counted at the finest level")
    if regions is not None and kind != "csv":
        raise UsageError("--regions: only --format csv counts inside of regions")
    from wsiseg.exports.label_store import open_label_store

    opened = open_label_store(store)
    path = output or default_path(store, kind)
    if path.resolve().is_relative_to(store.resolve()):
        raise UsageError(f"{path} lies in the result itself: give another file with -o")
    if kind == "geojson":
        from wsiseg.exports.geojson import GeoJsonOptions, write_geojson

        done = write_geojson(
            opened,
            path,
            GeoJsonOptions(
                level=level or 0,
                tolerance=tolerance_um,
                min_area=min_area_um2,
                background=background,
                most_points=most_points,
                overwrite=overwrite,
            ),
        )
        said = f"{done.polygons:,} polygons, {done.points:,} points"
        if done.left_out:
            said += f"; {done.left_out:,} areas below {min_area_um2:g} um2 left out"
    elif kind == "csv":
        from wsiseg.annotations.reading import read_annotations
        from wsiseg.exports.composition_csv import write_composition

        areas = [] if regions is None else read_annotations(regions)
        said = f"{write_composition(opened, path, areas, overwrite=overwrite)} rows"
    else:
        from wsiseg.exports.label_png import write_label_png

        said = f"level {write_label_png(opened, path, level, overwrite=overwrite)}"
    if not quiet:
        typer.echo(f"{path}: {said}")


def default_path(store: Path, kind: str) -> Path:
    """Return where a format of a result goes if nobody says: beside it, by its id."""
    return store.with_name(store.name.removesuffix(".wsiseg.ome.zarr") + SUFFIXES[kind])
