"""The card of a model: what its weights are, what they want, and what they were measured to do. No torch."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    field_validator,
    model_validator,
)

from wsiseg.class_map import ClassMap, LabelClass
from wsiseg.errors import ModelRefusedError

MPP_MIN, MPP_MAX = 0.05, 10.0
"""Plausible micrometres per pixel."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Side = Annotated[int, Field(gt=0, le=16384, multiple_of=8)]
Text = Annotated[str, Field(max_length=20_000)]


class Architecture(BaseModel):
    """What `build_model` is to be called with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=100)]
    num_classes: Annotated[StrictInt, Field(ge=1, le=254)]
    options: dict[str, StrictBool | StrictInt | StrictStr] = {}

    @field_validator("options")
    @classmethod
    def _only_options(cls, options: dict[str, bool | int | str]) -> dict[str, bool | int | str]:
        for key in ("name", "num_classes"):
            if key in options:
                raise ValueError(f"{key} stands beside the options, not among them")
        return options


class DiagnosisCard(BaseModel):
    """What the diagnosis arm of a network tells."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    names: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=100)], ...], Field(min_length=2, max_length=64)
    ]
    """One per output, in their order."""
    window_px: Side
    """Side of the windows that it was trained on, at the network's input."""
    demo: StrictBool
    """True: it learnt from generated tissue, and says nothing about a patient."""


class ModelCard(BaseModel):
    """Everything needed to use the weights rightly. Travels inside of their file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    summary: Text
    """One line: what it segments, and what it must not be used for."""
    architecture: Architecture
    classes: Annotated[tuple[LabelClass, ...], Field(min_length=1, max_length=254)]
    """One per output channel, in the order of the channels."""
    domain: Literal["slide", "photo"]
    mpp: Annotated[float, Field(ge=MPP_MIN, le=MPP_MAX, allow_inf_nan=False)] | None = None
    """Micrometres per pixel of the network's input; for slides only, and needed there."""
    input_scale: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    """Photos only: factor the photo's sides are multiplied by before the network sees it (0.5: half)."""
    channel_order: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[Finite, Finite, Finite]
    """Subtracted first, per channel in the network's order, in units of 0..255."""
    std: tuple[Positive, Positive, Positive]
    """Divided by second, per channel in the network's order, in units of 0..255."""
    divide_by: Positive = 1.0
    """Divided by last."""
    tile_px: Side | None = None
    """Suggested tile side at the network's input; None: no suggestion."""
    halo_px: Annotated[int, Field(ge=0, le=8192, multiple_of=8)] | None = None
    """Suggested context on each side of a tile; None: no suggestion."""
    licence: Annotated[str, Field(min_length=1, max_length=200)]
    source: Text
    """Where the weights come from."""
    source_sha256: Sha256 | None = None
    """Of the file that the weights were imported from."""
    training_data: Text
    scores: dict[str, JsonValue] = {}
    """Measured scores: numbers, or mappings of them."""
    scores_note: Text = ""
    """On what, and how, the scores were measured."""
    temperature: Positive = 1.0
    """Logits are divided by it where confidences are asked for; the labels do not depend on it."""
    temperature_note: Text = ""
    """On what the temperature was fitted; empty: it was not, and confidences are uncalibrated."""
    diagnosis: DiagnosisCard | None = None
    """None: the network only segments."""
    weights_sha256: Sha256 | None = None
    """Of the tensors, see `wsiseg.models.files.digest`; filled in by `save_model`."""

    @field_validator("scores")
    @classmethod
    def _numbers(cls, scores: dict[str, JsonValue]) -> dict[str, JsonValue]:
        _check_scores(scores, "scores")
        return scores

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.architecture.num_classes != len(self.classes):
            raise ValueError(
                f"the network has {self.architecture.num_classes} output channels, "
                f"but {len(self.classes)} classes are listed: give one per channel"
            )
        ClassMap(classes=self.classes)
        outputs = self.architecture.options.get("diagnoses")
        if self.diagnosis is not None and outputs != len(self.diagnosis.names):
            raise ValueError(
                f"{len(self.diagnosis.names)} diagnoses are named, the network has {outputs} outputs"
            )
        if not any(item.predicted for item in self.classes):
            raise ValueError("no class is predicted: at least one needs predicted = true")
        if self.domain == "slide" and self.mpp is None:
            raise ValueError("domain is slide, but mpp is missing: give the micrometres per input pixel")
        if self.domain == "photo" and self.mpp is not None:
            raise ValueError("domain is photo, so mpp must be left out")
        if self.domain == "slide" and self.input_scale is not None:
            raise ValueError("domain is slide, so input_scale must be left out: mpp says the scale")
        return self

    @property
    def class_map(self) -> ClassMap:
        """The classes as a ClassMap, in the order of the output channels."""
        return ClassMap(classes=self.classes)

    @property
    def calibrated(self) -> bool:
        """Whether the temperature was fitted to data, so that confidences can be taken as probabilities."""
        return bool(self.temperature_note)


def parse_card(text: str | bytes, where: str) -> ModelCard:
    """Return the card in this JSON. Raises ModelRefusedError with the first key that is wrong."""
    try:
        return ModelCard.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "card"
        message = first["msg"].removeprefix("Value error, ")
        raise ModelRefusedError(f"{where}: its card is wrong at {plain(key)}: {plain(message)}") from error


def shrink_of(card: ModelCard) -> int:
    """Return the whole factor by which an image is sub-sampled for the network; 1 for slides.

    Raises ModelRefusedError for an `input_scale` that is not 1 / a whole number.
    """
    shrink = round(1 / (card.input_scale or 1.0))
    if abs(shrink * (card.input_scale or 1.0) - 1) > 1e-6:
        raise ModelRefusedError(
            f"model {card.name}: input_scale is {card.input_scale}; expected 1 / a whole number, such as 0.5"
        )
    return shrink


def plain(text: str, limit: int = 300) -> str:
    """Return text from a file as one printable line: a hostile one must not steer the terminal."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[: limit + 1])
    return shown if len(text) <= limit else f"{shown[:limit]}..."


def _check_scores(value: JsonValue, where: str) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _check_scores(item, f"{where}.{key}")
    elif isinstance(value, bool | list | str):
        raise ValueError(
            f"{where} is {value!r}: expected a number, null or a mapping of them; text belongs in scores_note"
        )
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is {value}: expected a finite number, or null where nothing was measured")
