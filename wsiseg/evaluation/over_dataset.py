"""A model over a whole data set: one confusion matrix, and the pictures it did worst on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from wsiseg.datasets.pictures import PictureSet, Sample
from wsiseg.errors import InputRefusedError
from wsiseg.evaluation.confusion import Confusion
from wsiseg.evaluation.whole_picture import PicturePredictor, channel_table, never_predicted

Report = Callable[[int, int], None]
"""Called with (pictures done, pictures in all)."""
Keep = Callable[[Sample, NDArray[np.uint8]], object]
"""Called with each picture and its prediction, in the data set's order."""


@dataclass(frozen=True, slots=True)
class WorstCase:
    """A picture with a low mean IoU of its own."""

    index: int
    """In the data set."""
    name: str
    mean_iou: float
    prediction: NDArray[np.uint8]
    """(rows, columns) label ids of the data set."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came out."""

    confusion: Confusion
    worst: tuple[WorstCase, ...]
    """Worst first."""
    pictures: int
    warnings: tuple[str, ...]


def first_pictures(pictures: PictureSet, limit: int | None) -> PictureSet:
    """Return the first pictures of a set; with a warning where that leaves some out."""
    if limit is None or limit >= len(pictures):
        return pictures
    note = f"only the first {limit} of {len(pictures)} pictures: for trying things, not for comparing"
    return replace(pictures, items=pictures.items[:limit], warnings=(*pictures.warnings, note))


def evaluate_pictures(
    predict: PicturePredictor,
    pictures: PictureSet,
    *,
    batch: int = 1,
    workers: int = 2,
    worst_cases: int = 0,
    rename: Mapping[str, str] | None = None,
    keep: Keep | None = None,
    report: Report | None = None,
) -> Evaluation:
    """Predict every picture at its own resolution and count it in one global matrix.

    A batch is a run of pictures of one size; its length changes nothing in the result. Memory holds the
    pictures of a batch, those read ahead and the worst cases' labels.
    """
    table = channel_table(predict.card, pictures.classes, pictures.merged, rename or {})
    confusion = Confusion(pictures.classes.ids)
    worst: list[WorstCase] = []
    done = 0
    for group in _groups(read_ahead(pictures, workers), batch):
        labels = predict(np.stack([sample.rgb for sample in group]))
        for sample, own in zip(group, labels, strict=True):
            prediction = table[own]
            one = Confusion(pictures.classes.ids)
            one.add(sample.labels, prediction)
            confusion = confusion.merge([one])
            score = one.scores().mean_iou
            if score is not None and worst_cases:
                worst.append(WorstCase(done, sample.name, score, prediction))
                worst = sorted(worst, key=lambda case: (case.mean_iou, case.index))[:worst_cases]
            if keep is not None:
                keep(sample, prediction)
            done += 1
            if report is not None:
                report(done, len(pictures))
    return Evaluation(confusion, tuple(worst), done, _warnings(predict, pictures, table))


def _warnings(predict: PicturePredictor, pictures: PictureSet, table: NDArray[np.uint8]) -> tuple[str, ...]:
    warnings = list(pictures.warnings)
    silent = never_predicted(table, predict.card, pictures.classes)
    if silent:
        warnings.append(f"the model has no channel for {', '.join(silent)}: it cannot be right there")
    if predict.card.domain == "slide":
        warnings.append(
            f"the model works at {predict.card.mpp} um per pixel; the pictures are taken as they are"
        )
    return tuple(warnings)


def _groups(samples: Iterator[Sample], batch: int) -> Iterator[list[Sample]]:
    group: list[Sample] = []
    for sample in samples:
        if group and (len(group) == batch or group[0].rgb.shape != sample.rgb.shape):
            yield group
            group = []
        group.append(sample)
    if group:
        yield group


def read_ahead(pictures: PictureSet, workers: int) -> Iterator[Sample]:
    """Yield the pictures in order, read by threads (decoding leaves the interpreter free), a few ahead."""
    with ThreadPoolExecutor(workers, thread_name_prefix="read") as pool:
        numbers = iter(range(len(pictures)))
        waiting: deque[Future[Sample]] = deque(
            pool.submit(pictures.__getitem__, index) for index in islice(numbers, workers + 1)
        )
        try:
            while waiting:
                sample = waiting.popleft().result()
                for index in islice(numbers, 1):
                    waiting.append(pool.submit(pictures.__getitem__, index))
                yield sample
        finally:
            for future in waiting:
                future.cancel()


def need_truth(pictures: PictureSet) -> None:
    """Raise InputRefusedError where a split has no published truth."""
    if not pictures.has_truth:
        raise InputRefusedError(
            f"{pictures.dataset} {pictures.split}: its labels are not published: nothing to score; "
            "use submission=true with -o DIR, or another data.split"
        )
