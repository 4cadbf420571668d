"""The report of a batch, made from what lies in its folder: `index.html`, a page per slide, and tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from wsiseg.cohort.entry import CohortSlide
from wsiseg.cohort.report.html import NOTICE, amount, composition_bar, data_uri, document, escaped, swatch
from wsiseg.cohort.report.page import PAGE, THUMBNAIL, write_page
from wsiseg.cohort.report.results import result_row, write_results
from wsiseg.cohort.state import STATES, SlideState, summed
from wsiseg.cohort.text import one_line
from wsiseg.errors import WsisegError
from wsiseg.exports.files import whole_file
from wsiseg.run.output import OutputPaths, read_summary

Json = dict[str, Any]
MOST_EXTRA = 6
"""Columns of the manifest that the table shows; the tables for analysis have all."""
MOST_THUMBNAIL_BYTES = 100_000
NEEDED = {"slide", "store", "areas", "classes", "unread_share", "run", "warnings", "seconds"}


def write_report(
    output: Path,
    slides: list[CohortSlide],
    states: dict[str, SlideState],
    *,
    model: str | None = None,
    every_page: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> list[Path]:
    """Write index and tables, and the pages that are missing or older than their result; return the files.

    A slide counts as done only where its result says so itself. `say` hears of pages that cannot be made.
    """
    rows: list[Json] = []
    lines: list[str] = []
    extra = list(dict.fromkeys(key for slide in slides for key in slide.extra))[:MOST_EXTRA]
    classes: dict[str, Any] = {}
    shown: list[SlideState] = []
    for slide in slides:
        state = states.get(slide.id, SlideState(id=slide.id))
        summary = finished(output, slide.id) if state.state == "done" else None
        if state.state == "done" and summary is None:
            state = SlideState(id=slide.id, reason="its result is gone: run the batch again")
        try:
            if summary is not None:
                _refresh(output / slide.id, summary, slide.source, slide.model or model, every_page, say)
                classes |= {
                    row["name"]: row["colour"] for row in summary["classes"] if row["percent"] is not None
                }
            row, line = result_row(slide, state, summary), _line(output, slide, state, summary, extra)
        except (KeyError, TypeError, ValueError, AttributeError) as error:  # a summary that somebody changed
            state = SlideState(id=slide.id, reason=f"its summary is damaged ({type(error).__name__})")
            row, line = result_row(slide, state, None), _line(output, slide, state, None, extra)
        rows.append(row)
        lines.append(line)
        shown.append(state)
    tables = write_results(output, rows)
    index = output / "index.html"
    with whole_file(index, overwrite=True) as file:
        file.write(_index(output.resolve().name, lines, shown, extra, classes))
    return [index, *tables]


def finished(output: Path, slide_id: str) -> Json | None:
    """Return the summary of a result that is finished; None for anything less."""
    paths = OutputPaths.of(output / slide_id, slide_id)
    summary = read_summary(paths.summary)
    if summary is None or summary.get("state") != "finished" or not summary.keys() >= NEEDED:
        return None
    return None if paths.work.exists() or not paths.store.is_dir() else summary


def _refresh(
    folder: Path, summary: Json, source: str, model: str | None, always: bool, say: Callable[[str], None]
) -> None:
    """Write a slide's page and thumbnail where they are missing or older than the result."""
    newest = OutputPaths.of(folder, folder.name).summary.stat().st_mtime
    made = [folder / name for name in (PAGE, THUMBNAIL)]
    if always or any(not path.is_file() or path.stat().st_mtime < newest for path in made):
        try:
            write_page(folder, summary, source=source, model=model)
        except (WsisegError, OSError) as error:
            say(f"{folder.name}: no page: {one_line(str(error))}")


def _line(output: Path, slide: CohortSlide, state: SlideState, summary: Json | None, extra: list[str]) -> str:
    """Return a row of the table. Cells that are sorted as numbers carry `data-value`."""
    said = [f'<span class="alarm">{escaped(state.reason)}</span>'] if state.reason else []
    name, picture, bar, areas = escaped(slide.id), "", "", ["", "", ""]
    if summary is not None:
        said += [f'<span class="alarm">{escaped(text)}</span>' for text in summary["warnings"]]
        name = f'<a href="{escaped(quote(slide.id))}/{PAGE}">{name}</a>'
        picture = _thumbnail(output / slide.id / THUMBNAIL)
        bar = composition_bar(summary["classes"])
        unit = summary["areas"]["unit"]
        tissue = float(summary["areas"]["predicted"])
        unread = 100 * float(summary["unread_share"])
        areas = [
            _number(tissue, amount(tissue, unit)),
            _number(unread, f"{unread:.2f}" if unread else "0"),
            _number(float(summary["seconds"]), f"{float(summary['seconds']):,.0f}"),
        ]
    cells = [
        f"<td>{picture}</td>",
        f'<td class="name">{name}</td>',
        f"<td>{state.state}</td>",
        f"<td>{bar}</td>",
        *(cell or '<td class="number" data-value="NaN"></td>' for cell in areas),
        f'<td class="said">{"<br>".join(said)}</td>',
        *(f"<td>{escaped(slide.extra.get(key, ''))}</td>" for key in extra),
    ]
    return f'<tr class="{state.state}" data-state="{state.state}">{"".join(cells)}</tr>'


def _number(value: float, text: str) -> str:
    return f'<td class="number" data-value="{value:.9g}">{escaped(text)}</td>'


def _thumbnail(path: Path) -> str:
    """Return the picture itself, not a link: the page is to be passed on as one file."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_THUMBNAIL_BYTES + 1)
    except OSError:
        return ""
    if len(content) > MOST_THUMBNAIL_BYTES:
        return ""
    return f'<img alt="" decoding="async" src="{data_uri("jpeg", content)}">'


def _index(
    name: str, lines: list[str], states: list[SlideState], extra: list[str], classes: dict[str, Any]
) -> bytes:
    headings = [
        ("", False), ("slide", True), ("state", True), ("composition", False), ("predicted", True),
        ("unread %", True), ("seconds", True), ("failures and warnings", True),
        *((key, True) for key in extra),
    ]  # fmt: skip
    numbers = ("predicted", "unread %", "seconds")
    head = "".join(
        f"<th{' class=number' if text in numbers else ''}"
        + (f' data-column="{column}"><button>{escaped(text)}</button>' if sorts else f">{escaped(text)}")
        + "</th>"
        for column, (text, sorts) in enumerate(headings)
    )
    buttons = "".join(
        f'<button data-state="{state}" aria-pressed="false">{state} {count}</button>'
        for state in STATES
        if (count := sum(row.state == state for row in states))
    )
    legend = "".join(f"<li>{swatch(colour)}{escaped(text)}</li>" for text, colour in classes.items())
    body = "\n".join(
        (
            f"<h1>{escaped(name)}</h1>",
            f'<p class="notice">{NOTICE}</p>',
            f"<p>{len(lines):,} slides: {summed(states)}. For analysis: results.csv, results.parquet.</p>",
            '<div class="controls"><input id="search" type="search" placeholder="search" aria-label="search">'
            f'{buttons}<span class="quiet" id="shown"></span></div>',
            f'<ul class="legend">{legend}</ul>',
            f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n",
            "\n".join(lines),
            "\n</tbody></table>",
        )
    )
    return document(f"{name} · wsiseg", body, "index.js")
