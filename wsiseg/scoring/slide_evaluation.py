"""A model over slides with annotations: one matrix, intervals over patients, the worst windows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wsiseg.class_map import NOT_ANALYSED, UNREAD, ClassMap
from wsiseg.config import EvaluateConfig
from wsiseg.datasets.slide_list import LabelledSlide
from wsiseg.evaluation.by_case import CasesEvaluation, EvaluateCases
from wsiseg.evaluation.whole_picture import channel_table, never_predicted
from wsiseg.inference.runtime import Runtime, RuntimeChoice, build_runtime
from wsiseg.models import Model, ModelCard
from wsiseg.run.plan import make_plan
from wsiseg.run.predict_options import PredictOptions
from wsiseg.scoring.slide_cases import PredictedSlide, StoredSlide, result_of

COARSEST_IMAGE_MPP = 32.0
"""No image is stored here, so that its resolution must not stand in the way."""


class SlideEvaluator:
    """Scores slides by one model; a runtime is built once for all tiles of one shape."""

    def __init__(self, model: Model, classes: ClassMap, config: EvaluateConfig) -> None:
        self.model, self.config = model, config
        self.table = slide_table(model.card, classes, config)
        self.choice: RuntimeChoice | None = None
        """What ran the network; None where nothing has been predicted."""
        self.warnings: list[str] = []
        silent = never_predicted(self.table, model.card, classes)
        if silent:
            self.warnings.append(
                f"the model has no channel for {', '.join(silent)}: it cannot be right there"
            )
        self._total = EvaluateCases(classes.ids, worst_windows=config.worst_cases)
        self._runtimes: dict[tuple[int, int], Runtime] = {}

    def add(self, case: LabelledSlide) -> None:
        """Score one slide. Raises InputRefusedError, in one line, for a slide or result that does not fit."""
        with case.open() as slide:
            if self.config.predictions is not None:
                store = result_of(slide, self.config.predictions, self.model.card)
                self._total.add(StoredSlide(case.name, case.group, slide, store, case.labels, self.table))
                return
            plan = make_plan(slide, self.model, self._options(case))
            self.warnings += [f"{case.name}: {text}" for text in plan.warnings]
            self.choice = plan.choice
            shape = plan.grid.input_shape
            if shape not in self._runtimes:
                self._runtimes[shape] = build_runtime(plan.choice, self.model, shape)
            runtime = self._runtimes[shape]
            self._total.add(PredictedSlide(case.name, case.group, plan, runtime, case.labels, self.table))

    def result(self) -> CasesEvaluation:
        """Return the scores of all slides."""
        given = self.config.bootstrap
        return self._total.result(
            seed=given.seed, resamples=given.resamples, level=given.level, warnings=self.warnings
        )

    def _options(self, case: LabelledSlide) -> PredictOptions:
        return PredictOptions(
            model=self.model,
            slide_mpp=case.slide_mpp,
            tissue="none" if self.model.card.domain == "photo" else self.config.tissue,
            device=self.config.device,
            runtime=self.config.runtime,
            precision=self.config.precision,
            image_mpp=COARSEST_IMAGE_MPP,
        )


def slide_table(card: ModelCard, classes: ClassMap, config: EvaluateConfig) -> NDArray[np.uint8]:
    """Return (256,): label ids of the model to those of the data set; unread and not analysed stay.

    The tissue rule speaks for the background class even where the network does not.
    """
    spoken = tuple(
        item.model_copy(update={"predicted": item.predicted or (item.background and item.id == 0)})
        for item in card.classes
    )
    spoken_card = card.model_copy(update={"classes": spoken})
    table = channel_table(spoken_card, classes, {}, config.model.rename)
    table[[UNREAD, NOT_ANALYSED]] = UNREAD, NOT_ANALYSED
    return table
