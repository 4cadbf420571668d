"""wsiseg export: a result in the formats of other programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsiseg.errors import UsageError, choose

if TYPE_CHECKING:
    from wsiseg.exports.label_store import LabelStore

EPILOG = "Example: wsiseg export slide.wsiseg.ome.zarr --format geojson --tolerance-um 1 -o slide.geojson.gz"

SUFFIXES = {
    "geojson": ".geojson",
    "csv": ".composition.csv",
    "parquet": ".composition.parquet",
    "png": ".labels.png",
    "ome-tiff": ".labels.ome.tiff",
    "tiff": ".labels.tiff",
    "dicom-seg": ".labels.dcm",
}
"""Format: what follows the result's name where no -o is given."""
KINDS = ", ".join(SUFFIXES)
TABLES = ("csv", "parquet")
ALL_LEVELS = ("ome-tiff", "tiff")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What was asked for, whatever the format."""

    level: int | None = None
    tolerance_um: float = 0.0
    min_area_um2: float = 0.0
    background: bool = True
    most_points: int = 5_000_000
    regions: Path | None = None
    slide: Path | None = None
    overwrite: bool = False


def export(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="A result: slide.wsiseg.ome.zarr.")],
    kind: Annotated[str, typer.Option("--format", metavar="FORMAT", help=f"What to write: {KINDS}.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="By default beside the result. geojson: .gz is packed."
        ),
    ] = None,
    level: Annotated[
        int | None,
        typer.Option(
            min=0, help="Label level: geojson and dicom-seg take the finest, png the finest up to 8192 px."
        ),
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
        typer.Option(metavar="FILE", help="csv, parquet: also count inside each area of an annotation file."),
    ] = None,
    slide: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="dicom-seg: the DICOM slide (or DICOM copy of the slide)."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but errors.")] = False,
) -> None:
    """Write a result as polygons for QuPath, label TIFF, DICOM SEG, a table of areas, or a picture."""
    if kind not in SUFFIXES:
        raise UsageError(choose("--format", kind, SUFFIXES))
    if kind in TABLES and level:
        raise UsageError("--level: areas are counted at the finest level")
    if kind in ALL_LEVELS and level is not None:
        raise UsageError(f"--level: {kind} has every level")
    if regions is not None and kind not in TABLES:
        raise UsageError("--regions: only --format csv and parquet count inside of regions")
    if slide is not None and kind != "dicom-seg":
        raise UsageError("--slide: only --format dicom-seg needs the slide")
    path = output or default_path(store, kind)
    if path.resolve().is_relative_to(store.resolve()):
        raise UsageError(f"{path} lies in the result itself: give another file with -o")
    from wsiseg.exports.label_store import open_label_store

    wanted = _Wanted(
        level=0 if kind == "dicom-seg" and level is None else level,
        tolerance_um=tolerance_um,
        min_area_um2=min_area_um2,
        background=background,
        most_points=most_points,
        regions=regions,
        slide=slide,
        overwrite=overwrite,
    )
    said = _write(open_label_store(store), kind, path, wanted)
    if not quiet:
        typer.echo(f"{path}: {said}")


def export_beside(store: Path, kind: str, slide: Path | None, *, overwrite: bool) -> Path | None:
    """Write a format beside its result, as `predict --also` does; None where the file exists and stays."""
    path = default_path(store, kind)
    if path.exists() and not overwrite:
        return None
    from wsiseg.exports.label_store import open_label_store

    _write(open_label_store(store), kind, path, _Wanted(slide=slide, overwrite=overwrite))
    return path


def default_path(store: Path, kind: str) -> Path:
    """Return where a format of a result goes if nobody says: beside it, by its id."""
    return store.with_name(store.name.removesuffix(".wsiseg.ome.zarr") + SUFFIXES[kind])


def _write(store: LabelStore, kind: str, path: Path, wanted: _Wanted) -> str:
    """Write one format; return what to say about it."""
    if kind == "geojson":
        return _geojson(store, path, wanted)
    if kind in TABLES:
        return _table(store, path, wanted, parquet=kind == "parquet")
    if kind == "dicom-seg":
        return _dicom_seg(store, path, wanted)
    if kind == "png":
        from wsiseg.exports.label_png import write_label_png

        return f"level {write_label_png(store, path, wanted.level, overwrite=wanted.overwrite)}"
    from wsiseg.exports.label_tiff import write_label_tiff

    is_big = write_label_tiff(
        store, path, "tiff" if kind == "tiff" else "ome-tiff", overwrite=wanted.overwrite
    )
    return f"{len(store.levels)} levels{', BigTIFF' if is_big else ''}"


def _geojson(store: LabelStore, path: Path, wanted: _Wanted) -> str:
    from wsiseg.exports.geojson import GeoJsonOptions, write_geojson

    options = GeoJsonOptions(
        level=wanted.level or 0,
        tolerance=wanted.tolerance_um,
        min_area=wanted.min_area_um2,
        background=wanted.background,
        most_points=wanted.most_points,
        overwrite=wanted.overwrite,
    )
    done = write_geojson(store, path, options)
    said = f"{done.polygons:,} polygons, {done.points:,} points"
    if done.left_out:
        said += f"; {done.left_out:,} areas below {wanted.min_area_um2:g} um2 left out"
    return said


def _table(store: LabelStore, path: Path, wanted: _Wanted, *, parquet: bool) -> str:
    from wsiseg.annotations.reading import read_annotations
    from wsiseg.exports.composition_table import write_composition

    areas = [] if wanted.regions is None else read_annotations(wanted.regions)
    rows = write_composition(store, path, areas, parquet=parquet, overwrite=wanted.overwrite)
    return f"{rows} rows"


def _dicom_seg(store: LabelStore, path: Path, wanted: _Wanted) -> str:
    from wsiseg.exports.dicom_seg import write_dicom_seg

    done = write_dicom_seg(store, path, wanted.slide, wanted.level, overwrite=wanted.overwrite)
    for line in done.warnings:
        typer.echo(f"wsiseg: warning: {line}", err=True)
    return f"level {done.level}"
