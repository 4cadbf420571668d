"""The bundled model's card as a page for people; written by `make model`, so its figures cannot drift."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from wsiseg.models.card import ModelCard

_PAGE = """# {name}

**{summary}**

| | |
|---|---|
| network | {network} |
| resolution | {mpp:g} um per pixel |
| input | RGB, mean {mean}, standard deviation {std} (grey levels) |
| classes | {classes} |
| licence | {licence} |
| weights, SHA-256 | `{sha}` |

## What it was trained on

{training_data}

The phantoms are drawn by `wsiseg.phantom`: ducts, lobules and nests with nuclei, secretion, collagen,
blood, necrosis and fat, then stain, blur, noise and compression. Fat with its septa, empty lumina and
glass are background. Benign and malignant epithelium share their colours, and so do the two stromas; what
differs is the size, crowding and order of nuclei, the outline of glands, and the course of fibres.

## What it scored

{tables}

{note}

## What it is not for

It has never seen a patient's tissue while it was trained. Whatever it says about a real slide shows that the
software runs, and nothing about the tissue. It is {warning}.

Train it anew: `make model`, with settings found later than these weights
([which, and what they reach](../decisions/0007-phantoms-train-the-bundled-model.md)). Another version of
torch or another kind of CPU gives other weights, and scores that differ a little. Measure it again:
`python benchmarks/phantom_rules.py` and
`python benchmarks/real_crops.py ../shared/data/breast_patches`.
"""


def render(card: ModelCard, warning: str) -> str:
    """Return the page, in Markdown."""
    options = ", ".join(f"{key} = {value}" for key, value in card.architecture.options.items())
    return _PAGE.format(
        name=card.name,
        summary=card.summary,
        network=f"{card.architecture.name} ({options}), {card.architecture.num_classes} classes",
        mpp=card.mpp,
        mean=_triple(card.mean),
        std=_triple(card.std),
        classes=", ".join(item.name for item in card.classes),
        licence=card.licence,
        sha=card.weights_sha256,
        training_data=card.training_data,
        tables="\n\n".join(_tables(card.scores)),
        note=card.scores_note,
        warning=warning,
    )


def _tables(scores: dict[str, JsonValue]) -> list[str]:
    tables = []
    phantoms = {key: value for key, value in scores.items() if key.endswith("_phantoms")}
    rows = [("", *(key.replace("_", " ") for key in phantoms))]
    for field, title in (
        ("phantoms", "pictures"),
        ("mean_iou", "mean IoU, eight labels"),
        ("pixel_accuracy", "pixel accuracy"),
        ("four_classes_mean_iou", "mean IoU, the four architecture classes"),
        ("four_classes_colour_baseline", "the same by colour alone (5 x 5 mean)"),
    ):
        rows.append((title, *(_figure(_part(part, field)) for part in phantoms.values())))
    named = [_part(part, "iou") for part in phantoms.values()]
    for name in named[0] if named and isinstance(named[0], dict) else ():
        rows.append((f"IoU {name}", *(_figure(_part(part, name)) for part in named)))
    tables.append(_table(rows))
    crops = scores.get("real_crops_iou")
    if isinstance(crops, dict):
        tables.append("Real crops, **n = 3, anecdotal**, IoU of each class with at least 1,000 px of truth:")
        lines = [("crop", "IoU")]
        for crop, found in crops.items():
            parts = found.items() if isinstance(found, dict) else ()
            lines.append((crop, ", ".join(f"{name} {_figure(value)}" for name, value in parts)))
        tables.append(_table(lines))
    return tables


def _part(value: JsonValue, key: str) -> JsonValue:
    return value.get(key) if isinstance(value, dict) else None


def _figure(value: JsonValue) -> str:
    if value is None:
        return "absent"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _triple(values: tuple[float, float, float]) -> str:
    return " / ".join(f"{value:g}" for value in values)


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    head, *body = ("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])
