"""Pages that need nothing but themselves: one file, no network, every name escaped."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from pathlib import Path
from typing import Any

NOTICE = "Not for diagnostic use."
ASSETS = Path(__file__).parent


def escaped(value: object) -> str:
    """Return text for the inside of an element or of a quoted attribute."""
    return html.escape(str(value), quote=True)


def document(title: str, body: str, script: str, data: Any = None) -> bytes:
    """Return a whole page; `data` is what its script finds in the element `data`, as JSON.

    The content security policy lets run the one script that is ours, by its hash, and load nothing.
    """
    style, code = _asset("report.css"), _asset(script)
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        f"base-uri 'none'; form-action 'none'"
    )
    text = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n{body}\n"
        f'<script type="application/json" id="data">{json_in_html(data)}</script>\n'
        f"<script>{code}</script>\n</body>\n</html>\n"
    )
    return text.encode("utf-8", errors="replace")


def json_in_html(data: Any) -> str:
    """Return JSON that cannot end the script element that it stands in."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def data_uri(kind: str, content: bytes) -> str:
    """Return a picture as the text of an `src`."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def composition_bar(rows: list[dict[str, Any]]) -> str:
    """Return the shares of a summary's classes as a bar; background has no share and is left out."""
    parts = []
    for row in rows:
        share = row.get("percent")
        if isinstance(share, int | float) and share > 0:
            parts.append(
                f'<i style="width:{float(share):.3f}%;background:{css_colour(row["colour"])}" '
                f'title="{escaped(row["name"])} {float(share):.1f} %"></i>'
            )
    return f'<span class="bar">{"".join(parts)}</span>'


def swatch(colour: Any) -> str:
    """Return a little square in the colour of a class."""
    return f'<span class="swatch" style="background:{css_colour(colour)}"></span>'


def css_colour(colour: Any) -> str:
    """Return an RGB triple as CSS; numbers only, whatever the summary holds."""
    red, green, blue = (min(255, max(0, int(value))) for value in colour)
    return f"rgb({red},{green},{blue})"


def amount(value: float | None, unit: str) -> str:
    """Return an area as people read it."""
    if value is None:
        return ""
    if unit == "px":
        return f"{int(value):,} px"
    return "< 0.0001 mm²" if 0 < value < 0.0001 else f"{float(value):,.4g} mm²"


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")
