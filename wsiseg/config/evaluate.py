"""One evaluation and one calibration, whole."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from wsiseg.config.base import Config, Location, Name
from wsiseg.config.data import Data


class ModelChoice(Config):
    """What is evaluated."""

    checkpoint: Annotated[str, Field(min_length=1)]
    """A bundled name or a .safetensors file."""
    input_scale: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    """Photos only: sub-sampling before the network in the place of the card's, 1 / a whole number."""
    rename: dict[str, str] = Field(default={})
    """Class name of the model: class name of the data set, where these differ."""


class Bootstrap(Config):
    """Percentile intervals of the scores over patients (slides, where none are given)."""

    resamples: Annotated[int, Field(ge=100, le=100_000)] = 2000
    """Draws with replacement."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Of the draws."""
    level: Annotated[float, Field(ge=0.5, le=0.999)] = 0.95
    """Share of the draws inside of the interval."""


class EvaluateConfig(Config):
    """One evaluation, whole."""

    data: Data
    """On what."""
    model: ModelChoice
    """Of what."""
    batch: Annotated[int, Field(ge=1, le=1024)] = 1
    """Pictures of one size that the network sees at a time on a GPU; the scores do not depend on it."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the network runs."""
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    """Threads that read pictures ahead."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Only the first so many pictures, to try things; said in the result."""
    worst_cases: Annotated[int, Field(ge=0, le=64)] = 6
    """Pictures of lowest mean IoU that are shown beside their truth; 0: none."""
    submission: bool = False
    """Also write the predictions as the server of the data set wants them."""
    predictions: Location | None = None
    """Slides only: folder of finished results of this model, scored in the place of new predictions."""
    tissue: Literal["auto", "none"] = "auto"
    """Slides only: whether the tissue rule speaks for glass, as in `wsiseg predict`."""
    runtime: Name = "auto"
    """Slides only: auto, or what runs the network, as in `wsiseg predict`."""
    precision: Name = "auto"
    """Slides only: auto, bf16 or fp32, as in `wsiseg predict`."""
    bootstrap: Bootstrap = Bootstrap()
    """Slides and regions only: confidence intervals."""


class CalibrateConfig(Config):
    """One calibration, whole: a temperature fitted on one split, its effect measured on another."""

    fit: Data
    """On what the temperature is fitted."""
    test: Data
    """On what the calibration error is measured; nothing of it may be in `fit`."""
    model: ModelChoice
    """Of what."""
    sample_px: Annotated[int, Field(ge=1000, le=20_000_000)] = 200_000
    """Labelled pixels of `fit`, drawn at random, that the temperature is fitted to."""
    bins: Annotated[int, Field(ge=2, le=100)] = 15
    """Of the calibration error: equal parts of 0 to 1."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Of the draw."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the network runs."""
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    """Threads that read pictures ahead."""
