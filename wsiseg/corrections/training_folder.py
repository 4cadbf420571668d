"""Corrections as annotations to train on: the folder that `configs/finetune.yaml` asks for.

`slides.csv` and `classes.yaml` as docs/guides/your-own-labels.md has them, and one GeoJSON file per slide.
What is not corrected is in no polygon, so it is 255 there: neither learnt from nor scored.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from wsiseg.class_map import NOT_ANALYSED, ClassMap, read_class_map
from wsiseg.datasets.slide_rows import COLUMNS, read_rows
from wsiseg.errors import InputRefusedError, UsageError, choose
from wsiseg.exports.files import whole_file
from wsiseg.exports.geojson import GeoJsonOptions, GeoJsonResult, write_geojson
from wsiseg.exports.label_store import LabelStore
from wsiseg.geometry import Region
from wsiseg.run.run_record import fingerprint
from wsiseg.slides import open_slide, slide_id

LIST = "slides.csv"
CLASSES = "classes.yaml"
ENDING = ".corrections.geojson"
SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """What was written."""

    folder: Path
    annotation: Path
    polygons: int
    slides: dict[str, int]
    """How many slides of each split the list has now."""


def write_training_row(
    corrections: LabelStore, slide: Path, folder: Path, split: Literal["train", "val", "test"] = "train"
) -> TrainingRow:
    """Put a slide's corrections into a training folder, made where there is none; done again, they are new.

    Raises UsageError where nothing is corrected, where the folder has other classes, or where its list has
    another annotation of the slide; InputRefusedError for another slide, or a list that cannot be read.
    """
    if split not in SPLITS:
        raise UsageError(choose("split", split, SPLITS))
    name = slide_id(slide)
    line = {"slide": _relative(slide, folder), "annotation": f"{name}{ENDING}", "split": split}
    run = corrections.run["slide"]
    with open_slide(slide) as opened:
        found, mpp = fingerprint(opened), opened.mpp
    if found != run.get("fingerprint"):
        raise InputRefusedError(f"{slide}: is another slide than {run.get('name')!r}, which was corrected")
    if run["mpp"] is not None and (mpp is None or list(mpp) != list(run["mpp"])):
        line["slide_mpp"] = ",".join(f"{value:.10g}" for value in run["mpp"])
    folder.mkdir(parents=True, exist_ok=True)
    lines = [item for item in _lines(folder) if not _is_ours(item, line, folder)]
    _check_alone(lines, folder, name)
    _write_classes(corrections.classes, folder / CLASSES)
    done = write_polygons(corrections, folder / line["annotation"], GeoJsonOptions(overwrite=True))
    lines.append(line)
    _write_list(lines, folder / LIST)
    counts = {item: sum(row.get("split") == item for row in lines) for item in SPLITS}
    return TrainingRow(
        folder, done.path, done.polygons, {key: count for key, count in counts.items() if count}
    )


def write_polygons(corrections: LabelStore, path: Path, options: GeoJsonOptions) -> GeoJsonResult:
    """Write corrections as GeoJSON. Raises UsageError where there are none, and as `write_geojson` does."""
    coarsest = len(corrections.levels) - 1
    rows, columns = corrections.shape(coarsest)
    # Votes never drop a correction for 255, so what is corrected shows at the coarsest level.
    if (corrections.read(coarsest, Region(0, 0, columns, rows)) == NOT_ANALYSED).all():
        raise UsageError(f"{corrections.path.name}: nothing is corrected: there is nothing to export")
    return write_geojson(corrections, path, options)


def _relative(slide: Path, folder: Path) -> str:
    """Return a slide's path as a list says it: from the folder where it lies inside, else whole."""
    if not slide.exists():
        raise UsageError(f"{slide}: training reads slides from files: expected one")
    whole, root = slide.resolve(), folder.resolve()
    return str(whole.relative_to(root)) if whole.is_relative_to(root) else str(whole)


def _lines(folder: Path) -> list[dict[str, str]]:
    path = folder / LIST
    if not path.exists():
        return []
    read_rows(path, folder)  # refuses what training would
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file, skipinitialspace=True)
        table.fieldnames = [name.strip() for name in table.fieldnames or ()]
        return [{key: value.strip() for key, value in row.items() if value} for row in table]


def _is_ours(row: dict[str, str], line: dict[str, str], folder: Path) -> bool:
    """Tell the row that an earlier export of the same slide wrote; what a person put beside it is kept."""
    old, new = ((folder / item["slide"]).resolve() for item in (row, line))
    if row["annotation"] != line["annotation"] or old != new:
        return False
    for key in COLUMNS:
        if key in row and key not in line:
            line[key] = row[key]
    return True


def _check_alone(lines: list[dict[str, str]], folder: Path, name: str) -> None:
    for row in lines:
        if slide_id(row["slide"]) == name:
            raise UsageError(
                f"{folder / LIST}: already has {row['annotation']} for {name!r}: take that row out, or give "
                "another folder"
            )


def _write_classes(classes: ClassMap, path: Path) -> None:
    if path.exists():
        known = read_class_map(path)
        if [(item.id, item.name) for item in known.classes] != [
            (item.id, item.name) for item in classes.classes
        ]:
            raise UsageError(f"{path}: has other classes than the corrections: give another folder")
        return
    rows = [item.model_dump(mode="json", exclude_defaults=True) for item in classes.classes]
    text = yaml.safe_dump({"classes": rows}, sort_keys=False, allow_unicode=True, default_flow_style=None)
    with whole_file(path, overwrite=False) as file:
        file.write(text.encode())


def _write_list(lines: list[dict[str, str]], path: Path) -> None:
    text = io.StringIO()
    columns = [item for item in COLUMNS if any(item in line for line in lines)]
    table = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows(lines)
    with whole_file(path, overwrite=True) as file:
        file.write(text.getvalue().encode())
