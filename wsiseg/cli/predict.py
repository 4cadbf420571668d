"""wsiseg predict: slides in, label pyramids out."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wsiseg.cli.contained import working_on
from wsiseg.cli.export import KINDS, SUFFIXES, default_path, export_beside
from wsiseg.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_SOME_FAILED, UsageError, WsisegError, choose
from wsiseg.geometry import Region, parse_region

if TYPE_CHECKING:
    from wsiseg.run.predict_options import PredictOptions
    from wsiseg.run.result import SlideResult
    from wsiseg.slide_diagnosis import NamedRegion

CASE_BLIND = ("win32", "darwin")
"""Platforms whose file names differ in more than upper and lower case."""
EPILOG = "Example: wsiseg predict slide.svs -o results --slide-mpp 0.25"


def predict(
    slides: Annotated[
        list[str],
        typer.Argument(metavar="SLIDE...", help="Slide files, DICOM folders, OME-Zarr folders or URLs."),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the results.")
    ] = Path(),
    model: Annotated[str, typer.Option(help="Bundled name or a .safetensors file.")] = "tissue8-demo",
    slide_mpp: Annotated[
        str | None,
        typer.Option(metavar="X[,Y]", help="um per level-0 pixel, where the file lacks it or is wrong."),
    ] = None,
    roi: Annotated[
        str | None, typer.Option(metavar="X,Y,W,H", help="Analyse this level-0 rectangle only.")
    ] = None,
    tissue: Annotated[
        str,
        typer.Option(
            metavar="auto|none|FILE",
            help="Which part is looked at: found by colour, all, or a mask image or GeoJSON.",
        ),
    ] = "auto",
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Where the network runs.")] = "auto",
    runtime: Annotated[
        str, typer.Option(metavar="auto|openvino|onnxruntime|torch", help="What runs the network.")
    ] = "auto",
    precision: Annotated[
        str, typer.Option(metavar="auto|bf16|fp16|fp32", help="Arithmetic of the network.")
    ] = "auto",
    ngff: Annotated[str, typer.Option(metavar="0.5|0.4", help="OME-NGFF version to write.")] = "0.5",
    image_mpp: Annotated[float, typer.Option(help="um per pixel of the image stored with the labels.")] = 4.0,
    regions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="GeoJSON of regions to tell a diagnosis of (ynet-joint weights)."),
    ] = None,
    confidence: Annotated[
        bool, typer.Option("--confidence", help="Also write how sure the network is of each label.")
    ] = False,
    also: Annotated[
        list[str] | None,
        typer.Option(metavar="FORMAT", help=f"Also export each result: {KINDS}. May be repeated."),
    ] = None,
    trace: Annotated[
        bool, typer.Option("--trace", help="Also write where the time went: ID.trace.json and .png.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start over where a result exists.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Put the summary on stdout, and nothing else.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but errors.")] = False,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Also say what was chosen, and where the area went.")
    ] = False,
) -> None:
    """Turn slides into tissue label pyramids.

    Writes ID.wsiseg.ome.zarr, ID.summary.json and ID.overlay.png for each slide. An interrupted run is
    finished by running the same command again. Exit codes: 0 done, 2 wrong usage, 3 slide refused, 4 more
    than 1 % of the tissue unread, 5 some of several slides failed.
    """
    wanted_roi, wanted_mpp = _roi(roi), _mpp(slide_mpp)
    if ngff not in ("0.5", "0.4"):
        raise UsageError(f"--ngff {ngff}: expected 0.5 or 0.4")
    for kind in also or ():
        if kind not in SUFFIXES:
            raise UsageError(choose("--also", kind, SUFFIXES))
    if "dicom-seg" in (also or ()):
        _check_dicom(slides)
    _check_ids(slides)
    if regions is not None and len(slides) > 1:
        raise UsageError(f"--regions {regions} is of one slide, but {len(slides)} are given: one at a time")
    _check_apart(slides, output, [name for name in (model, tissue, str(regions)) if Path(name).suffix])
    from wsiseg.models import load_model
    from wsiseg.run.predict_options import PredictOptions

    options = PredictOptions(
        model=load_model(model),
        slide_mpp=wanted_mpp,
        roi=wanted_roi,
        tissue=tissue,
        device=device,
        runtime=runtime,
        precision=precision,
        ngff="0.4" if ngff == "0.4" else "0.5",
        image_mpp=image_mpp,
        confidence=confidence,
        trace=trace,
        overwrite=overwrite,
    )
    told = _to_diagnose(options, regions)
    talk = not quiet and not as_json
    summaries, codes = [], []
    for slide in slides:
        working_on(slide)
        try:
            result = predict_one(slide, output, options, show_progress=not quiet)
            if told:
                from wsiseg.slide_diagnosis import add_diagnosis

                result = add_diagnosis(result, slide, options, told)
            exported = [path for kind in also or () if (path := _export(result, slide, kind, overwrite))]
        except (WsisegError, OSError) as error:
            if len(slides) == 1:
                raise
            sys.stderr.write(f"wsiseg: {slide}: {' '.join(str(error).split())}\n")
            summaries.append({"state": "failed", "slide": Path(slide).name, "reason": str(error)})
            continue
        codes.append(result.exit_code)
        summaries.append(result.summary)
        warn(result)
        if talk:
            report(result, exported, verbose=verbose)
    if as_json:
        # Escapes, not letters: a console or pipe may have any encoding.
        sys.stdout.write(json.dumps(summaries[0] if len(slides) == 1 else summaries, indent=2) + "\n")
    failed = sum(summary["state"] == "failed" for summary in summaries)
    if failed:
        sys.stderr.write(f"wsiseg: {failed} of {len(slides)} slides failed\n")
        raise typer.Exit(EXIT_SOME_FAILED)
    raise typer.Exit(max(codes, default=EXIT_OK))


def predict_one(slide: str, output: Path, options: PredictOptions, *, show_progress: bool) -> SlideResult:
    """Predict one slide, with a progress bar where stderr is a terminal."""
    from wsiseg.pipeline import segment_slide

    try:
        if not (show_progress and sys.stderr.isatty()):
            return segment_slide(slide, output, options)
        from wsiseg.cli.progress import progress_bar

        with progress_bar(Path(slide).name) as progress:
            return segment_slide(slide, output, options, progress=progress)
    except KeyboardInterrupt as error:  # typer would end in a bare "Aborted"
        sys.stderr.write("wsiseg: interrupted; the same command goes on from here\n")
        raise typer.Exit(EXIT_INTERRUPTED) from error


def _to_diagnose(options: PredictOptions, regions: Path | None) -> list[NamedRegion]:
    """Return the regions to tell a diagnosis of; none where the model only segments and nobody asks."""
    from wsiseg.models import Model

    if not isinstance(options.model, Model) or (regions is None and options.model.card.diagnosis is None):
        return []
    from wsiseg.evaluation.region_diagnosis import diagnosis_card
    from wsiseg.slide_diagnosis import regions_of

    diagnosis_card(options.model)
    return regions_of(options, regions)


def _export(result: SlideResult, slide: str, kind: str, overwrite: bool) -> Path | None:
    """Write one more format beside the result; None, with a line, where the file exists and is to stay."""
    written = export_beside(
        result.store, kind, Path(slide) if kind == "dicom-seg" else None, overwrite=overwrite
    )
    if written is None:
        sys.stderr.write(f"wsiseg: {default_path(result.store, kind)} exists, left as it is\n")
    return written


def report(result: SlideResult, exported: Sequence[Path] = (), *, verbose: bool = False) -> None:
    """Print the composition of one slide, where its files are, and what it must not be used for."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    summary = result.summary
    unit = summary["areas"]["unit"]
    console = Console(highlight=False)
    if result.was_finished:
        console.print(f"{escape(summary['slide'])}: already finished with these settings, left as it is")
    table = Table("class", unit, "%", title=escape(summary["slide"]), title_justify="left")
    for row in summary["classes"]:
        share = "" if row["percent"] is None else f"{row['percent']:.1f}"
        table.add_row(escape(row["name"]), _amount(row[unit]), share)
    console.print(table)
    areas = summary["areas"]
    parts = [
        f"{_amount(areas[key])} {unit} {text}"
        for key, text in (
            ("predicted", "predicted"),
            ("no_tissue", "without tissue"),
            ("unread", "unread"),
            ("not_analysed", "not analysed"),
        )
        if areas[key] or key == "predicted"
    ]
    console.print(", ".join(parts) + f"; {summary['seconds']:.1f} s")
    for key in ("diagnosis", "diagnosis_demo"):
        for said in summary.get(key, {}).get("regions", ()):
            told = (
                ", ".join(f"{name} {p:.2f}" for name, p in (said["probabilities"] or {}).items()) or "nothing"
            )
            remarks = "".join(f"; {text}" for text in said["remarks"])
            console.print(f"{key} of {said['name']}: {told}{remarks}", markup=False, soft_wrap=True)
        if key in summary:
            console.print(summary[key]["note"], markup=False, soft_wrap=True)
    if verbose:
        run: dict[str, Any] = summary["run"]
        tiles = f"tile {run['tile_px']} px, halo {run['halo_px']} px"
        console.print(f"model {run['model']['name']}, {run['runtime']}, {tiles}", markup=False)
    for path in (result.store, result.summary_path, result.overlay, *exported):
        console.print(str(path), markup=False, soft_wrap=True)
    console.print(summary["notice"], markup=False, soft_wrap=True)


def warn(result: SlideResult) -> None:
    """Say on stderr what the summary warns of."""
    for warning in result.summary["warnings"]:
        sys.stderr.write(f"wsiseg: warning: {result.summary['slide']}: {warning}\n")


def _amount(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _check_ids(slides: list[str]) -> None:
    """Refuse two inputs whose results would have one name."""
    from wsiseg.slides import slide_id

    seen: dict[str, str] = {}
    for slide in slides:
        name = slide_id(slide)
        key = name.casefold() if sys.platform in CASE_BLIND else name
        if key in seen:
            raise UsageError(
                f"{seen[key]} and {slide} would both be written as {name}.*: run them with different -o"
            )
        seen[key] = slide


def _check_dicom(slides: list[str]) -> None:
    """Refuse --also dicom-seg before hours of work, where a slide has no DICOM file to refer to."""
    from wsiseg.slides.dicom_files import find_series
    from wsiseg.slides.names import is_dicom

    for slide in slides:
        path = Path(slide)
        if not (path.is_dir() or (path.is_file() and is_dicom(path))):
            raise UsageError(
                f"--also dicom-seg: {slide} is no DICOM slide: convert it to DICOM, then "
                f"wsiseg export --format dicom-seg --slide FOLDER"
            )
        find_series(path)


def _check_apart(slides: list[str], output: Path, others: list[str]) -> None:
    """Refuse a result that would be written over or into any input of the run, its own or another's."""
    from wsiseg.run.output import OutputPaths
    from wsiseg.run.run_record import local_path
    from wsiseg.slides import slide_id

    inputs = [path for text in (*slides, *others) if (path := local_path(text)) and path.exists()]
    for slide in slides:
        OutputPaths.of(output, slide_id(slide)).check_apart_from(*inputs)


def _roi(text: str | None) -> Region | None:
    try:
        return None if text is None else parse_region(text)
    except UsageError as error:
        raise UsageError(f"--roi {error}") from error


def _mpp(text: str | None) -> tuple[float, float] | None:
    from wsiseg.slides import parse_mpp

    return None if text is None else parse_mpp(text)
