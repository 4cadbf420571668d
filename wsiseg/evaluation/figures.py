"""Pictures of an evaluation: the confusion matrix, worst cases beside their truth, how sure and how right."""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from wsiseg.class_map import ClassMap
from wsiseg.datasets.pictures import PictureSet
from wsiseg.evaluation.by_case import WorstWindow
from wsiseg.evaluation.confusion import Confusion
from wsiseg.evaluation.over_dataset import WorstCase
from wsiseg.evaluation.reliability import Reliability

PANEL_PX = 480
MARGIN_PX = 12
TEXT_PX = 15
_INK = (30, 30, 30)


def can_plot() -> bool:
    """Whether matplotlib, which only the picture of the matrix needs, is there."""
    return find_spec("matplotlib") is not None


def draw_confusion(confusion: Confusion, classes: ClassMap, title: str) -> bytes:
    """Return a PNG of the matrix: rows are the truth and sum to 100 %, absent classes are left grey."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = [item.name for item in classes.classes]
    unexpected = bool(confusion.counts[:, -1].any())
    counts = confusion.counts if unexpected else confusion.counts[:, :-1]
    total = counts.sum(axis=1, keepdims=True)
    share = np.where(total > 0, counts / np.maximum(total, 1) * 100, np.nan)
    side = 2.6 + 0.42 * len(names)
    figure = Figure(figsize=(side + 1.2, side), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_facecolor("0.85")
    image = axes.imshow(share, cmap="viridis", vmin=0, vmax=100)
    axes.set_xticks(range(counts.shape[1]), [*names, "other"][: counts.shape[1]], rotation=90)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("truth")
    axes.set_title(title, fontsize=11)
    if len(names) <= 30:
        for row, column in zip(*np.nonzero(share >= 0.5), strict=True):
            value = share[row, column]
            ink = "black" if value > 60 else "white"
            axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=7, color=ink)
    figure.colorbar(image, ax=axes, label="% of the truth's pixels", shrink=0.8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def draw_worst(cases: Sequence[WorstCase], pictures: PictureSet) -> bytes:
    """Return a PNG with a row per case: the picture, its truth, the prediction, what is wrong in red."""
    rows = []
    for case in cases:
        sample = pictures[case.index]
        text = f"{case.name}   mean IoU {case.mean_iou:.3f}"
        rows.append(Compared(text, sample.rgb, sample.labels, case.prediction))
    return draw_compared(rows, pictures.classes)


def draw_worst_windows(windows: Sequence[WorstWindow], classes: ClassMap) -> bytes:
    """Return the same of windows of slides or regions; the text gives the place in the label map."""
    rows = []
    for window in windows:
        at = window.region
        share = 100 * window.wrong_px / window.compared_px
        text = f"{window.case}   x {at.x}, y {at.y}, {at.width} x {at.height} px   {share:.0f} % wrong"
        rows.append(Compared(text, window.rgb, window.truth, window.prediction))
    return draw_compared(rows, classes)


class Compared(NamedTuple):
    """A row of the picture of worst cases; arrays of one (rows, columns)."""

    text: str
    rgb: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]


def draw_compared(cases: Sequence[Compared], classes: ClassMap) -> bytes:
    """Return a PNG: one row per case, four panels each."""
    font = ImageFont.load_default(TEXT_PX)
    rows = []
    for case in cases:
        wrong = (case.truth != case.prediction) & np.isin(case.truth, classes.ids)
        error = case.rgb // 3 + 85
        error[wrong] = (220, 0, 0)
        panels = [
            _small(case.rgb, Image.Resampling.BOX),
            _small(paint(case.truth, classes), Image.Resampling.NEAREST),
            _small(paint(case.prediction, classes), Image.Resampling.NEAREST),
            _small(error, Image.Resampling.NEAREST),
        ]
        rows.append((case.text, panels))
    width = 4 * (PANEL_PX + MARGIN_PX) + MARGIN_PX
    heights = [max(panel.height for panel in panels) + 2 * MARGIN_PX + TEXT_PX for _, panels in rows]
    canvas = Image.new("RGB", (width, sum(heights) + 3 * MARGIN_PX + TEXT_PX), "white")
    draw = ImageDraw.Draw(canvas)
    for column, heading in enumerate(("picture", "truth (black: ignored)", "prediction", "wrong pixels")):
        draw.text((MARGIN_PX + column * (PANEL_PX + MARGIN_PX), MARGIN_PX), heading, _INK, font)
    y = 2 * MARGIN_PX + TEXT_PX
    for (text, panels), height in zip(rows, heights, strict=True):
        draw.text((MARGIN_PX, y), text, _INK, font)
        for column, panel in enumerate(panels):
            canvas.paste(panel, (MARGIN_PX + column * (PANEL_PX + MARGIN_PX), y + TEXT_PX + MARGIN_PX // 2))
        y += height
    buffer = io.BytesIO()
    canvas.save(buffer, format="PNG")
    return buffer.getvalue()


def paint(labels: NDArray[np.uint8], classes: ClassMap) -> NDArray[np.uint8]:
    """Return labels (rows, columns) as RGB in the classes' colours; what is no class is black."""
    table = np.zeros((256, 3), np.uint8)
    for item in classes.classes:
        table[item.id] = item.colour
    return np.asarray(table[labels])


def _small(rgb: NDArray[np.uint8], how: Image.Resampling) -> Image.Image:
    height = max(1, min(2 * PANEL_PX, round(rgb.shape[0] * PANEL_PX / rgb.shape[1])))
    return Image.fromarray(rgb).resize((PANEL_PX, height), how)


def draw_reliability(before: Reliability, after: Reliability, title: str) -> bytes:
    """Return a PNG of confidence against accuracy, before and after, above how many pixels say so."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.2, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2, sharex=True, squeeze=False, height_ratios=(3, 1))
    for column, (name, found) in enumerate((("before", before), ("after", after))):
        top, bottom = axes[0, column], axes[1, column]
        pixels = np.maximum(found.pixels, 1)
        accuracy, confidence = found.right / pixels, found.confidence / pixels
        edges, filled = np.linspace(0, 1, found.bins + 1), found.pixels > 0
        top.plot([0, 1], [0, 1], color="0.5", linewidth=1, linestyle="--")
        top.bar(
            edges[:-1][filled], accuracy[filled], 1 / found.bins, align="edge", color="#4c78a8", edgecolor="w"
        )
        top.plot(confidence[filled], accuracy[filled], "o", color="#e45756", markersize=4)
        error = found.expected_calibration_error
        top.set_title(f"{name}: ECE {100 * error:.1f} %" if error is not None else name, fontsize=10)
        top.set_xlim(0, 1)
        top.set_ylim(0, 1)
        share = 100 * found.pixels / max(int(found.pixels.sum()), 1)
        bottom.bar(edges[:-1], share, 1 / found.bins, align="edge", color="0.6", edgecolor="w")
        bottom.set_xlabel("confidence")
    axes[0, 0].set_ylabel("share of right pixels")
    axes[1, 0].set_ylabel("% of pixels")
    figure.suptitle(title, fontsize=11)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()
