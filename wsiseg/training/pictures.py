"""What a person looks at: curves of the epochs, and predictions beside the truth."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from wsiseg.class_map import ClassMap
from wsiseg.datasets.pictures import PictureSet, Sample
from wsiseg.evaluation.confusion import Confusion
from wsiseg.evaluation.figures import draw_worst
from wsiseg.evaluation.over_dataset import WorstCase
from wsiseg.training.validation import Shown


def draw_curves(rows: Sequence[dict[str, Any]], title: str) -> bytes:
    """Return a PNG of loss, validation score and learning rate over the epochs; needs matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 7), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1.5))
    stages = list(dict.fromkeys(row["stage"] for row in rows))
    for row_key, label, place in (
        ("loss", "loss (training)", 0),
        ("mean_iou", "mean IoU (validation)", 1),
        ("learning_rate", "learning rate", 2),
    ):
        for number, stage in enumerate(stages):
            points = [
                (at, row[row_key])
                for at, row in enumerate(rows, 1)
                if row["stage"] == stage and row[row_key] is not None
            ]
            if points:
                axes[place].plot(*zip(*points, strict=True), marker=".", color=f"C{number}", label=stage)
        axes[place].set_ylabel(label)
        axes[place].grid(alpha=0.3)
    axes[0].set_ylim(bottom=0)
    axes[1].set_ylim(0, 1)
    axes[2].set_ylim(bottom=0)
    axes[2].set_xlabel("epoch, over all stages")
    axes[2].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].legend(title="stage")
    axes[0].set_title(title, fontsize=11)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


class _Shelf:
    """Shown regions as the pictures that `draw_worst` wants."""

    def __init__(self, shown: Sequence[Shown], classes: ClassMap) -> None:
        self.shown, self.classes = shown, classes

    def __getitem__(self, index: int) -> Sample:
        return self.shown[index].sample


def draw_samples(shown: Sequence[Shown], classes: ClassMap) -> bytes:
    """Return a PNG: each region, its truth, its prediction and where they differ."""
    cases = []
    known = np.isin(np.arange(256), classes.ids)
    for index, (sample, prediction) in enumerate((item.sample, item.prediction) for item in shown):
        one = Confusion(classes.ids)
        one.add(np.where(known[sample.labels], sample.labels, np.uint8(255)), prediction)
        cases.append(WorstCase(index, sample.name, one.scores().mean_iou or 0.0, prediction))
    return draw_worst(cases, cast(PictureSet, _Shelf(shown, classes)))
