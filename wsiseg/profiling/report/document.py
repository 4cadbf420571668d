"""A report as plain parts, and its two forms. Every text is escaped: results are other people's input."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from wsiseg.models.card import plain


@dataclass
class Table:
    """Rows of text under their headings."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass
class Section:
    """A heading, what is said under it, a table, pictures by their names."""

    title: str
    paragraphs: list[str] = field(default_factory=list)
    table: Table | None = None
    pictures: list[str] = field(default_factory=list)


@dataclass
class Document:
    """A report."""

    title: str
    sections: list[Section]


def as_markdown(document: Document, folder: str = "plots") -> str:
    """Return the report as Markdown; pictures are linked in a folder beside it."""
    lines = [f"# {_md(document.title)}", ""]
    for section in document.sections:
        lines += [f"## {_md(section.title)}", ""]
        for paragraph in section.paragraphs:
            lines += [_md(paragraph), ""]
        if section.table is not None:
            lines += [*markdown_table(section.table), ""]
        for name in section.pictures:
            lines += [f"![{_md(section.title)}]({folder}/{name})", ""]
    return "\n".join(lines).rstrip() + "\n"


def markdown_table(table: Table) -> list[str]:
    """Return a table's lines as Markdown."""
    lines = [f"| {' | '.join(_md(cell) for cell in table.headings)} |", "|---" * len(table.headings) + "|"]
    return lines + [f"| {' | '.join(_md(cell) for cell in row)} |" for row in table.rows]


def as_text(table: Table) -> str:
    """Return a table for the terminal, in columns."""
    rows = [[plain(cell, 200) for cell in row] for row in (table.headings, *table.rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.headings))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def as_html(document: Document, pictures: Mapping[str, bytes]) -> str:
    """Return the report as one page without scripts; the pictures (PNG by name) are inside."""
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f"<title>{html.escape(document.title)}</title>",
        "<style>body{font:15px/1.5 sans-serif;max-width:75em;margin:2em auto;padding:0 1em}"
        "table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .7em;border-bottom:1px solid #ccc;"
        "text-align:left;vertical-align:top}img{max-width:100%}</style></head><body>",
        f"<h1>{html.escape(document.title)}</h1>",
    ]
    for section in document.sections:
        parts.append(f"<h2>{html.escape(section.title)}</h2>")
        parts += [f"<p>{html.escape(paragraph)}</p>" for paragraph in section.paragraphs]
        if section.table is not None:
            parts.append("<table>" + _row(section.table.headings, "th"))
            parts += [_row(row, "td") for row in section.table.rows]
            parts.append("</table>")
        for name in section.pictures:
            data = base64.b64encode(pictures[name]).decode()
            parts.append(
                f'<p><img alt="{html.escape(section.title)}" src="data:image/png;base64,{data}"></p>'
            )
    return "\n".join([*parts, "</body></html>"]) + "\n"


def _row(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _md(text: str) -> str:
    """Escape what would be markup."""
    shown = plain(text, 5000)
    for letter in "\\`*_{}[]<>|#":
        shown = shown.replace(letter, f"\\{letter}")
    return shown
