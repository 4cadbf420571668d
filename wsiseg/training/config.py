"""A training run, whole: typed and validated; `wsiseg.config.load_config` reads it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, StrictInt, StrictStr, model_validator

from wsiseg.config import (
    CityscapesData,
    Config,
    FolderData,
    Location,
    Name,
    RegionsData,
    SlidesData,
    VocData,
)
from wsiseg.datasets.augment import Augment
from wsiseg.models.card import MPP_MAX, MPP_MIN

WITH_ENCODER = ("espnet",)
"""Networks whose encoder can be trained first, on labels at 1/8."""


WITH_DIAGNOSIS = "ynet-joint"
Resolutions = Annotated[tuple[Annotated[float, Field(ge=MPP_MIN, le=MPP_MAX)], ...], Field(max_length=16)]


class PhantomData(Config):
    """Generated tissue with its truth; training and validation are of the training ranges."""

    dataset: Literal["phantoms"]
    train_seed: int = 1_000_000
    train_count: Annotated[int, Field(ge=1)] = 160
    validation_seed: int = 2_000_000
    validation_count: Annotated[int, Field(ge=1)] = 12
    held_out_seed: int = 3_000_000
    held_out_count: Annotated[int, Field(ge=1)] = 16
    """Drawn from the held-out ranges, for measuring alone."""
    side_px: Annotated[int, Field(ge=64)] = 768
    patch_px: Annotated[int, Field(ge=16, multiple_of=8)] = 256
    patches_per_epoch: Annotated[int, Field(ge=1)] = 1024
    patch_mpp: Resolutions = ()
    """um per pixel that patches are cut at, one of these at random; none: the model's. Several make the
    network indifferent to a scale that is a little off."""
    augment: Augment = Augment()
    cache: Location | None = None
    """Folder in which drawn phantoms are kept for the next run; None: the run's own folder."""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        first, second = sorted(
            [(self.train_seed, self.train_count), (self.validation_seed, self.validation_count)]
        )
        if first[0] + first[1] > second[0]:
            raise ValueError("training and validation seeds overlap: a phantom would be in both")
        return self


Pictures = Annotated[CityscapesData | VocData | FolderData, Field(discriminator="dataset")]
Size = tuple[Annotated[int, Field(ge=16, multiple_of=8)], Annotated[int, Field(ge=16, multiple_of=8)]]


class PictureData(Config):
    """Labelled pictures, such as streets; windows of them are resized to what the network sees."""

    dataset: Literal["pictures"]
    train: Pictures
    """As in the configs of `wsiseg evaluate`; say the split."""
    validation: Pictures | None = None
    """Other pictures; none: the last weights are taken, unscored."""
    sizes_px: Annotated[tuple[Size, ...], Field(min_length=1, max_length=32)]
    """(width, height) at the network's input; an epoch has every picture at each of these."""
    smallest_crop: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Smallest share of a picture's sides that a window has; the largest is all."""
    flip: bool = True
    """Mirror half of the windows, left to right."""


class Sampling(Config):
    """How patches are cut from slides."""

    patch_px: Annotated[int, Field(ge=16, multiple_of=8)] = 256
    patches_per_epoch: Annotated[int, Field(ge=1)] = 1024
    """Patches around random labelled points."""
    stride_px: Annotated[int, Field(ge=8)] | None = None
    """In the place of random points: all patches of a grid of this stride that have something labelled."""
    balance: Literal["none", "class", "region"] = "class"
    """Of random points: every labelled area alike, every class alike, or every slide (region) alike."""
    augment: Augment | None = Augment()
    """None: patches as they are, not even turned."""


class SlideData(Sampling):
    """Slides with annotations; patches are read from them when they are needed."""

    dataset: Literal["slides"]
    train: SlidesData
    """As in `configs/evaluate_slides.yaml`; say the split."""
    validation: SlidesData | None = None
    """Other slides of other patients; none: the last weights are taken, unscored."""
    patch_mpp: Resolutions = ()
    """um per pixel of patches, one of these at random (a grid: each); none: the model's."""


class RegionData(Sampling):
    """Regions of slides as pairs of PNGs, as the breast biopsy data are published."""

    dataset: Literal["breast-regions"]
    train: RegionsData
    """As in `configs/evaluate_breast.yaml`."""
    validation: RegionsData | None = None
    """Other regions of other patients; its `scale` is the one that is scored."""
    scales: Annotated[tuple[Annotated[float, Field(ge=1, le=64)], ...], Field(max_length=16)] = ()
    """Patches are so many times smaller than in the files, one of these at random; none: `train.scale`."""


class NetworkConfig(Config):
    """The network, and the resolution that it works at."""

    network: StrictStr = "espnet"
    """A name of `wsiseg models list`."""
    options: dict[str, StrictBool | StrictInt | StrictStr] = Field(default={})
    """What its builder takes, see docs/models.md: alpha2, alpha3, k, activation, residual..."""
    backbone: Annotated[str, Field(min_length=1)] | None = None
    """Reference networks: public backbone weights to begin with, a `.pth` in torchvision's layout."""
    mpp: Annotated[float, Field(ge=MPP_MIN, le=MPP_MAX, allow_inf_nan=False)] | None = None
    """Slides: um per pixel of the network's input; needed there."""
    input_scale: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    """Photos: factor by which a photo is sub-sampled for the network, 1 / a whole number."""


class InitConfig(Config):
    """Fine-tuning: what to begin from."""

    checkpoint: Annotated[str, Field(min_length=1)]
    """A bundled name or a .safetensors file; its network, options and normalisation are taken over."""
    kept_rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Learning rate of the layers that the checkpoint brought, as a share of the stage's."""
    freeze_encoder: bool = False
    """Leave the encoder as the checkpoint brought it, its running statistics too."""


class StageConfig(Config):
    """One stage: the encoder on labels at 1/8, or everything."""

    epochs: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 5e-4
    schedule: Literal["step", "cosine", "constant"] = "step"
    """`step` halves every `halve_every` epochs, as published."""
    halve_every: Annotated[int, Field(ge=1)] = 100


class JointConfig(Config):
    """Y-Net's two arms, trained together on regions that have a diagnosis."""

    diagnoses: Annotated[tuple[Name, ...], Field(min_length=2, max_length=64)]
    """What the numbers 1, 2, 3 ... in the lists stand for."""
    segmentation: StageConfig | None = None
    """First stage: the segmentation arm alone; none: both arms begin together."""
    weight: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """Of the diagnosis' cross entropy beside the segmentation's."""


class TrainConfig(Config):
    """Everything that a run depends on."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    """Of the model that comes out."""
    summary: Annotated[str, Field(max_length=1000)] = "Trained with wsiseg. Not for diagnostic use."
    """One line for its card: what it segments, and what it must not be used for."""
    licence: Annotated[str, Field(min_length=1, max_length=200)] = "not stated: ask whoever trained it"
    """Of the weights."""
    model: NetworkConfig = NetworkConfig()
    init: InitConfig | None = None
    """Fine-tuning; without it the weights begin at random."""
    data: Annotated[PhantomData | PictureData | SlideData | RegionData, Field(discriminator="dataset")]
    """What is learnt from, and how patches are cut from it."""
    encoder: StageConfig | None = None
    """First stage, espnet alone: ESPNet-C against labels at 1/8."""
    joint: JointConfig | None = None
    """ynet-joint alone: the diagnosis beside the segmentation."""
    whole: StageConfig
    """Second or only stage: everything trained."""
    encoder_rate: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Second stage: learning rate of what the first one trained, as a share of the stage's; published: 1."""
    batch: Annotated[int, Field(ge=1, le=4096)] = 8
    """Patches that go through the network at a time, in each process."""
    accumulate: Annotated[int, Field(ge=1, le=1024)] = 1
    """Batches of each process that make one step of the optimiser."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 5e-4
    class_weight_offset: Annotated[float, Field(gt=1, le=10)] = 1.10
    """c of the class weights 1 / ln(c + frequency): 1.02 in ENet's paper, 1.10 in the ESPNet release."""
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    """Largest norm of a step's gradient; a larger one is scaled down to it."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """bf16 and fp16: autocast, with the weights in fp32; fp16 needs a GPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int, Field(ge=1, le=256)] | None = None
    """Of torch on the CPU; None: as torch chooses."""
    workers: Annotated[int, Field(ge=0, le=64)] = 2
    """Processes that read patches ahead, for each training process; the patches do not depend on it."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1
    validate_every: Annotated[int, Field(ge=1)] = 1
    """Epochs from one validation to the next; the last epoch is always validated."""
    save_every_steps: Annotated[int, Field(ge=1)] | None = None
    """Steps from one saved state to the next inside of an epoch; None: at the epochs' ends only."""
    samples: Annotated[int, Field(ge=0, le=64)] = 4
    """Validation regions whose prediction is drawn beside the truth."""
    tensorboard: bool = True
    """Also log for TensorBoard, where it is installed."""

    @model_validator(mode="after")
    def _stages_fit(self) -> Self:
        if self.encoder is not None and self.init is None and self.model.network not in WITH_ENCODER:
            raise ValueError(
                f"encoder is given, but {self.model.network} has no encoder stage "
                f"(only {', '.join(WITH_ENCODER)}): leave encoder out"
            )
        if (self.joint is not None) != (self.model.network == WITH_DIAGNOSIS):
            raise ValueError(
                f"joint and model.network {WITH_DIAGNOSIS} belong together: give both or leave both out"
            )
        if self.joint is not None:
            self._joint_fits(self.joint)
        if self.encoder is not None and self.init is not None and self.init.freeze_encoder:
            raise ValueError("encoder is given and init.freeze_encoder is true: leave one of the two out")
        return self

    def _joint_fits(self, joint: JointConfig) -> None:
        if self.init is not None:
            raise ValueError("joint and init are both given: Y-Net begins at random, leave init out")
        if self.data.dataset != "breast-regions":
            raise ValueError(f"joint needs data.dataset breast-regions, not {self.data.dataset}")
        wanted = {"diagnoses": len(joint.diagnoses), "idle_branches": False}
        if self.model.options != wanted:
            raise ValueError(
                f"model.options are {self.model.options}: expected {wanted}, as many outputs as "
                "joint.diagnoses and no weights that nothing uses"
            )
