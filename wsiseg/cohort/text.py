"""Text from files, manifests and errors, made safe to show in one line or in a spreadsheet."""

from __future__ import annotations

LONGEST = 500


def one_line(text: str) -> str:
    """Return text as one printable line of at most LONGEST characters."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}..."


def spreadsheet_cell(value: object) -> object:
    """Keep a spreadsheet from running text as a formula; numbers, also those in text, stay what they are."""
    if not isinstance(value, str) or not value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
