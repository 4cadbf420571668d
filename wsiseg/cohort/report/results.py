"""One row per slide for analysis: `results.csv`, and `results.parquet` where pyarrow is installed."""

from __future__ import annotations

import csv
import io
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from wsiseg.cohort.entry import CohortSlide
from wsiseg.cohort.state import SlideState
from wsiseg.cohort.text import one_line, spreadsheet_cell
from wsiseg.exports.files import whole_file

Json = dict[str, Any]
FIRST = ("id", "slide", "state", "reason")


def result_row(slide: CohortSlide, state: SlideState, summary: Json | None) -> Json:
    """Return what is known of one slide, flat; areas are mm2 (px for a photo), shares are percent.

    Columns of the manifest keep their names, with `manifest_` before one that is ours.
    """
    row: Json = {"id": slide.id, "slide": slide.source, "state": state.state, "reason": state.reason}
    if summary is not None:
        run = summary["run"]
        unit = summary["areas"]["unit"]
        mpp = run["slide"]["mpp"] or (None, None)
        row |= {
            "unread_over_1_percent": state.unread,
            "seconds": float(summary["seconds"]),
            "mpp_x": mpp[0],
            "mpp_y": mpp[1],
            "width_px": run["slide"]["width_px"],
            "height_px": run["slide"]["height_px"],
            "model": run["model"]["name"],
            "weights_sha256": run["model"]["weights_sha256"],
            "runtime": run["runtime"]["name"],
            "precision": run["runtime"]["precision"],
            "wsiseg": run["versions"]["wsiseg"],
            "warnings": " | ".join(one_line(str(text)) for text in summary["warnings"]),
        }
        row |= {f"{key}_{unit}": float(summary["areas"][key]) for key in summary["areas"] if key != "unit"}
        for item in summary["classes"]:
            name = "_".join(str(item["name"]).split())
            row[f"{name}_{unit}"] = float(item[unit])
            if item["percent"] is not None:
                row[f"{name}_percent"] = float(item["percent"])
        row |= {
            key: None if value is None else float(value) for key, value in summary.get("ratios", {}).items()
        }
    for key, text in slide.extra.items():
        row[key if key not in row else f"manifest_{key}"] = text
    return row


def write_results(output: Path, rows: list[Json]) -> list[Path]:
    """Write the tables, whole, with every column that any row has; return the files."""
    columns = list(dict.fromkeys(key for row in (dict.fromkeys(FIRST, ""), *rows) for key in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(spreadsheet_cell(name) for name in columns)
    for row in rows:
        writer.writerow("" if row.get(name) is None else spreadsheet_cell(row[name]) for name in columns)
    with whole_file(output / "results.csv", overwrite=True) as file:
        file.write(text.getvalue().encode(errors="backslashreplace"))
    written = [output / "results.csv"]
    if find_spec("pyarrow") is not None:
        written.append(_write_parquet(output / "results.parquet", columns, rows))
    return written


def _write_parquet(path: Path, columns: list[str], rows: list[Json]) -> Path:
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table({name: [_plain(row.get(name)) for row in rows] for name in columns})
    with whole_file(path, overwrite=True) as file:
        parquet.write_table(table, file)
    return path


def _plain(value: Any) -> Any:
    """Return text without halves of characters, which Parquet does not take."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value
