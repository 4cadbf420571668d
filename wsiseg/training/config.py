"""A training run, whole: typed, validated, and refused when a key is unknown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from wsiseg.datasets.augment import Augment
from wsiseg.errors import UsageError


class StageConfig(BaseModel):
    """One stage: the encoder on labels at 1/8, or everything."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 5e-4
    schedule: Literal["step", "cosine", "constant"] = "cosine"
    """`step` halves every `halve_every` epochs, as published."""
    halve_every: Annotated[int, Field(ge=1)] = 100


class PhantomData(BaseModel):
    """The phantoms to train and to validate on; both from the training ranges."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    train_seed: int = 1_000_000
    train_count: Annotated[int, Field(ge=1)] = 160
    validation_seed: int = 2_000_000
    validation_count: Annotated[int, Field(ge=1)] = 12
    held_out_seed: int = 3_000_000
    held_out_count: Annotated[int, Field(ge=1)] = 16
    """Drawn from the held-out ranges, for measuring alone."""
    side_px: Annotated[int, Field(ge=64)] = 768

    @model_validator(mode="after")
    def _apart(self) -> Self:
        first, second = sorted(
            [(self.train_seed, self.train_count), (self.validation_seed, self.validation_count)]
        )
        if first[0] + first[1] > second[0]:
            raise ValueError("training and validation seeds overlap: a phantom would be in both")
        return self


class TrainingConfig(BaseModel):
    """Everything that a run depends on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    network: Literal["espnet"] = "espnet"
    options: dict[str, bool | int | str] = {"alpha2": 2, "alpha3": 8, "decoder": "v2"}
    mpp: Annotated[float, Field(ge=0.25, le=4)] = 1.0
    """um per pixel that the network works at."""
    data: PhantomData = PhantomData()
    patch_px: Annotated[int, Field(ge=64, multiple_of=8)] = 256
    batch: Annotated[int, Field(ge=1)] = 8
    patches_per_epoch: Annotated[int, Field(ge=1)] = 1024
    augment: Augment = Augment()
    encoder: StageConfig
    """Stage 1: ESPNet-C against labels at 1/8."""
    whole: StageConfig
    """Stage 2: the decoder attached, everything trained."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 5e-4
    precision: Literal["fp32", "bf16"] = "bf16"
    seed: int = 1
    threads: Annotated[int, Field(ge=1, le=256)] = 2


def read_training_config(path: Path) -> TrainingConfig:
    """Read a run from YAML. Raises UsageError with the key that is wrong."""
    import yaml

    try:
        return TrainingConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: cannot be read as a training config: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "config"
        raise UsageError(f"{path}: {where}: {first['msg']}") from error
