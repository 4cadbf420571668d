"""One slide's page: the labels over the slide, to zoom into, and what the run says about itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wsiseg.class_map import NOT_ANALYSED, RESERVED_NAMES, RESERVED_RGBA, UNREAD
from wsiseg.cohort.report.html import (
    NOTICE,
    amount,
    composition_bar,
    css_colour,
    data_uri,
    document,
    escaped,
    swatch,
)
from wsiseg.cohort.report.picture import Picture, jpeg, png, read_picture, thumbnail
from wsiseg.errors import WsisegError
from wsiseg.exports.files import whole_file
from wsiseg.models import ModelCard, read_card

Json = dict[str, Any]
PAGE = "index.html"
THUMBNAIL = "thumbnail.jpg"
NOT_ANALYSED_GREY = (190, 190, 190)


def write_page(folder: Path, summary: Json, *, source: str | None = None, model: str | None = None) -> None:
    """Write `index.html` and `thumbnail.jpg` of a finished result into its folder.

    `source` is the slide, for a finer picture of a small one; `model` the name or file whose card is shown.
    Raises InputRefusedError where the store cannot be read.
    """
    picture = read_picture(folder / Path(str(summary["store"])).name, summary["run"], source)
    with whole_file(folder / THUMBNAIL, overwrite=True) as file:
        file.write(thumbnail(picture))
    with whole_file(folder / PAGE, overwrite=True) as file:
        file.write(page(folder.name, summary, picture, _card(model, summary)))


def page(name: str, summary: Json, picture: Picture, card: ModelCard | None) -> bytes:
    """Return the page of a slide as HTML."""
    classes = [
        *({"id": row["id"], "name": row["name"], "colour": row["colour"], "on": row["percent"] is not None}
          for row in summary["classes"]),
        {"id": UNREAD, "name": RESERVED_NAMES[UNREAD], "colour": RESERVED_RGBA[UNREAD][:3], "on": True},
        {"id": NOT_ANALYSED, "name": RESERVED_NAMES[NOT_ANALYSED], "colour": NOT_ANALYSED_GREY,
         "on": bool(summary["areas"]["not_analysed"])},
    ]  # fmt: skip
    data = {
        "classes": [
            {"id": int(item["id"]), "colour": [int(part) for part in item["colour"]]} for item in classes
        ],
        "width": picture.rgb.shape[1],
        "height": picture.rgb.shape[0],
        "um_per_px": picture.um_per_px,
    }
    warnings = "".join(f'<p class="alarm">Warning: {escaped(text)}</p>' for text in summary["warnings"])
    body = "\n".join(
        (
            f"<h1>{escaped(name)}</h1>",
            f'<p class="notice">{NOTICE}</p>',
            f'<p class="quiet"><a href="../index.html">All slides</a> · {escaped(summary["slide"])}</p>',
            warnings,
            _viewer(classes, picture),
            _composition(summary),
            _confidence(summary),
            _diagnosis(summary),
            _model(summary, card),
            _run(summary),
        )
    )
    return document(f"{name} · wsiseg", body, "page.js", data)


def _viewer(classes: list[Json], picture: Picture) -> str:
    boxes = "".join(
        f'<label><input type="checkbox" data-label="{int(item["id"])}"{" checked" if item["on"] else ""}> '
        f"{swatch(item['colour'])}{escaped(item['name'])}</label>"
        for item in classes
    )
    return (
        '<div class="viewer">\n<div class="stage" id="stage"><canvas id="canvas"></canvas>'
        '<div class="scale"><span id="said"></span><b id="length"></b></div></div>\n'
        '<div class="side"><p><button id="in">Closer</button> <button id="out">Further</button> '
        '<button id="fit">Whole slide</button></p>'
        '<label>Opacity of the labels <input type="range" id="opacity" min="0" max="100" value="50"></label>'
        f"<h2>Classes</h2>{boxes}</div>\n</div>\n"
        f'<img id="slide" alt="the slide" hidden src="{data_uri("jpeg", jpeg(picture.rgb, quality=82))}">'
        f'<img id="labels" alt="the labels" hidden src="{data_uri("png", png(picture.labels))}">'
    )


def _composition(summary: Json) -> str:
    unit = summary["areas"]["unit"]
    rows = "".join(
        f"<tr><td>{swatch(row['colour'])}{escaped(row['name'])}</td>"
        f'<td class="number">{amount(row[unit], unit)}</td>'
        f'<td class="number">{_share(row["percent"])}</td></tr>'
        for row in summary["classes"]
    )
    names = {
        "predicted": "predicted",
        "no_tissue": "no tissue, not looked at",
        "unread": "could not be read",
        "not_analysed": "not analysed",
    }
    areas = "".join(
        f'<tr><td>{text}</td><td class="number">{amount(summary["areas"][key], unit)}</td><td></td></tr>'
        for key, text in names.items()
    )
    return (
        f"<h2>Composition</h2>{composition_bar(summary['classes'])}"
        '<table class="table"><thead><tr><th>class</th><th class="number">area</th>'
        '<th class="number">% of the classes</th></tr></thead>'
        f"<tbody>{rows}</tbody><tbody>{areas}</tbody></table>{_ratios(summary.get('ratios', {}))}"
    )


def _ratios(ratios: Json) -> str:
    """Return the ratios that there are, in one line."""
    names = {"epithelium_to_stroma": "Epithelium to stroma", "necrosis_percent": "Necrosis, % of the classes"}
    said = [f"{text}: {float(ratios[key]):.4g}" for key, text in names.items() if ratios.get(key) is not None]
    return f"<p>{escaped('; '.join(said))}</p>" if said else ""


def _share(percent: float | None) -> str:
    return "" if percent is None else f"{float(percent):.2f}"


def _confidence(summary: Json) -> str:
    """Return a histogram per class, in tenths from 0 to 1; nothing where no confidence was written."""
    rows = [row for row in summary["classes"] if row.get("confidence")]
    if not rows:
        return ""
    fitted = (summary["run"].get("confidence") or {}).get("fitted", False)
    charts = "".join(
        f"<figure><figcaption>{swatch(row['colour'])}{escaped(row['name'])}, "
        f"mean {float(row['confidence']['mean']):.2f}</figcaption>{_histogram(row)}</figure>"
        for row in rows
    )
    return (
        f"<h2>{'Confidence' if fitted else 'Uncalibrated confidence'}</h2>"
        f'<p class="quiet">Share of each class\'s pixels, in percent, by the confidence of the network.</p>'
        f'<div class="charts">{charts}</div>'
    )


def _diagnosis(summary: Json) -> str:
    """Return what was told of regions, with its note; nothing where no region was given."""
    said = ""
    for key, title in (("diagnosis", "Diagnosis of regions"), ("diagnosis_demo", "Diagnosis demo")):
        if key not in summary:
            continue
        found = summary[key]
        rows = "".join(
            f"<tr><td>{escaped(region['name'])}</td><td>{_probabilities(region)}</td>"
            f"<td>{escaped('; '.join(region['remarks']))}</td></tr>"
            for region in found["regions"]
        )
        said += (
            f'<h2>{title}</h2><p class="alarm">{escaped(found["note"])}</p>'
            '<table class="table"><thead><tr><th>region</th><th>probabilities</th><th>remarks</th></tr>'
            f"</thead><tbody>{rows}</tbody></table>"
        )
    return said


def _probabilities(region: Json) -> str:
    told = region["probabilities"] or {}
    return "<br>".join(f"{escaped(name)} {float(share):.2f}" for name, share in told.items()) or "none"


def _histogram(row: Json) -> str:
    shares = [max(0.0, min(100.0, float(share))) for share in row["confidence"]["histogram"]]
    wide, high = 20, 60
    bars = "".join(
        f'<rect x="{number * wide + 1}" y="{high - high * share / 100:.2f}" width="{wide - 2}" '
        f'height="{high * share / 100:.2f}" fill="{css_colour(row["colour"])}" stroke="#555">'
        f"<title>{share:.1f} %</title></rect>"
        for number, share in enumerate(shares)
    )
    ends = f'<text x="0" y="{high + 13}">0</text><text x="{wide * len(shares) - 7}" y="{high + 13}">1</text>'
    return (
        f'<svg viewBox="0 0 {wide * len(shares)} {high + 16}" width="200" role="img">{bars}'
        f'<line x1="0" x2="{wide * len(shares)}" y1="{high}" y2="{high}" stroke="#555"/>{ends}</svg>'
    )


def _model(summary: Json, card: ModelCard | None) -> str:
    model = summary["run"]["model"]
    said: dict[str, object] = {"name": model["name"], "weights (SHA-256)": model["weights_sha256"]}
    if card is not None:
        said |= {
            "what it is": card.summary,
            "architecture": card.architecture.name,
            "um per pixel": card.mpp,
            "trained on": card.training_data,
            "scores": ", ".join(
                f"{key} {value}" for key, value in card.scores.items() if isinstance(value, int | float)
            ),
            "how measured": card.scores_note,
            "licence": card.licence,
            "source": card.source,
        }
    return f"<h2>Model</h2>{_definitions(said)}"


def _run(summary: Json) -> str:
    run = summary["run"]
    slide = run["slide"]
    said: dict[str, object] = {
        "slide": f"{slide['name']}, {slide['width_px']} x {slide['height_px']} px ({slide['backend']})",
        "um per pixel (x, y)": "none"
        if slide["mpp"] is None
        else ", ".join(f"{x:.5g}" for x in slide["mpp"]),
        "region of interest": "the whole slide" if run["roi_l0"] is None else run["roi_l0"],
        "runtime": ", ".join(str(value) for value in run["runtime"].values()),
        "tiles": f"{run['tile_px']} px, halo {run['halo_px']} px",
        "tissue": run["tissue"]["mode"],
        "versions": ", ".join(f"{key} {value}" for key, value in run["versions"].items()),
        "seconds": summary["seconds"],
        "result": summary["store"],
    }
    return f"<h2>Run</h2>{_definitions(said)}"


def _definitions(said: dict[str, object]) -> str:
    rows = (f"<dt>{escaped(key)}</dt><dd>{escaped(value)}</dd>" for key, value in said.items() if value != "")
    return f"<dl>{''.join(rows)}</dl>"


def _card(model: str | None, summary: Json) -> ModelCard | None:
    """Return the card of the weights that the run used; None where they are not at hand."""
    try:
        card = read_card(model or str(summary["run"]["model"]["name"]))
    except WsisegError:
        return None
    return card if card.weights_sha256 == summary["run"]["model"]["weights_sha256"] else None
