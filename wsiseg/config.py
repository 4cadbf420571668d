"""What a run depends on, from one YAML file: typed, and refused with its path when a key is unknown."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from wsiseg.errors import UsageError

MAX_CONFIG_BYTES = 1_000_000
"""A config is written by hand; anything larger is something else."""


def _at_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError(f"{error}; write the path out") from error


Name = Annotated[str, Field(min_length=1, max_length=100)]
Location = Annotated[Path, AfterValidator(_at_home)]
"""A path, from where the command is run; `~` is the user's home."""


class Config(BaseModel):
    """Base of the configs: given by keyword, frozen, no keys but the listed ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CityscapesData(Config):
    """Cityscapes as it is downloaded: leftImg8bit and gtFine."""

    dataset: Literal["cityscapes"]
    root: Location
    """Folder that holds leftImg8bit and gtFine."""
    split: Literal["train", "val", "test"] = "val"
    """The labels of `test` are not published: it serves to write a submission."""
    labels: Literal["labelIds", "labelTrainIds"] = "labelIds"
    """Which label images are read; the former come with the download."""


class ExtraList(Config):
    """More pictures for PASCAL VOC (SBD, COCO), by a list."""

    list: Location
    """Text file, one picture name without its ending per line."""
    images: Location
    """Folder of NAME.jpg."""
    labels: Location
    """Folder of NAME.png, holding VOC's ids."""


class VocData(Config):
    """PASCAL VOC 2012 as it is downloaded."""

    dataset: Literal["voc"]
    root: Location
    """VOCdevkit, or the folder VOC2012 in it."""
    split: Literal["train", "val", "trainval", "test"] = "val"
    """A list of ImageSets/Segmentation; the labels of `test` are not published."""
    extra: tuple[ExtraList, ...] = ()
    """Lists of further pictures that are appended."""


class MapillaryData(Config):
    """Mapillary Vistas v1.2 as it is downloaded, its 65 classes merged to the 7 categories of Cityscapes."""

    dataset: Literal["mapillary"]
    root: Location
    """Folder that holds training and validation."""
    split: Literal["training", "validation"] = "validation"
    """Which of the two is read."""


class FolderData(Config):
    """Pictures and masks side by side, for anything else."""

    dataset: Literal["image-folder"]
    root: Location
    """Folder that holds the following."""
    images: Name = "images"
    """Folder of the pictures in `root`: PNG or JPEG."""
    masks: Name = "masks"
    """Folder of the masks in `root`: PNG of label ids, under the pictures' names."""
    classes: Name = "classes.yaml"
    """Class map in `root`."""


Data = Annotated[CityscapesData | VocData | MapillaryData | FolderData, Field(discriminator="dataset")]


class ModelChoice(Config):
    """What is evaluated."""

    checkpoint: Annotated[str, Field(min_length=1)]
    """A bundled name or a .safetensors file."""
    input_scale: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    """Photos only: sub-sampling before the network in the place of the card's, 1 / a whole number."""
    rename: dict[str, str] = {}
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


Kind = TypeVar("Kind", bound=Config)


def load_config(path: Path, settings: Sequence[str], kind: type[Kind]) -> Kind:
    """Return the config of a YAML file, changed by `key=value` settings with dotted keys.

    Raises UsageError, in one line with the path of the key, for whatever does not fit.
    """
    values = read_yaml(path)
    for setting in settings:
        apply_setting(values, setting)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"{path.name}: {_said(error.errors()[0], values)}") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file of plain values; no aliases, no tags, no key twice."""
    try:
        size = path.stat().st_size
        if size > MAX_CONFIG_BYTES:
            raise UsageError(f"{path.name}: {size} bytes: expected a config of at most {MAX_CONFIG_BYTES}")
        found = _parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}; give the path of a config") from error
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(f"{path.name}: is no YAML that wsiseg reads: {_short(error)}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path.name}: holds a {type(found).__name__}: expected keys and values")
    return found


def apply_setting(values: dict[str, Any], setting: str) -> None:
    """Put one `key.of.keys=value` into nested mappings; the value is read as YAML."""
    key, equals, text = setting.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise UsageError(f"--set {setting}: expected KEY=VALUE, such as data.root=FOLDER")
    try:
        value = _parse(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(f"--set {setting}: the value is no YAML: {_short(error)}") from error
    at = values
    for part in parts[:-1]:
        inner = at.setdefault(part, {})
        if not isinstance(inner, dict):
            raise UsageError(f"--set {setting}: {part} is a value and has no keys of its own")
        at = inner
    at[parts[-1]] = value


class _PlainLoader(yaml.SafeLoader):
    """The safe loader without aliases, which can blow a small file up, and without keys given twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it uses an alias (*name): write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.YAMLError(f"key {twice[0]} is given twice")
        return super().construct_mapping(node, deep)


def _parse(text: str) -> Any:
    loader = _PlainLoader(text)  # a SafeLoader: plain values only
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _short(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}..."


def _said(error: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """Return what is wrong, with the path of the key as it stands in the file."""
    loc = error["loc"]
    parts, at = [], values
    for place, part in enumerate(loc):
        # A choice among kinds puts the kind's name into the path; in the file there is no such key.
        if isinstance(at, Mapping) and part not in at and place < len(loc) - 1:
            continue
        parts.append(str(part))
        if isinstance(at, Mapping):
            at = at.get(str(part), {})
    path = ".".join(parts) or "config"
    if error["type"] == "extra_forbidden":
        return f"unknown key {path}: leave it out, or look for its right name in the shipped configs"
    if error["type"] == "missing":
        return f"{path} is missing: give it in the file or with --set {path}=VALUE"
    if error["type"] == "union_tag_invalid":
        context = error["ctx"]
        kind = context["discriminator"].strip("'")
        return f"{path}.{kind} is {context['tag']!r}: expected one of {context['expected_tags']}"
    if error["type"] == "union_tag_not_found":
        kind = error["ctx"]["discriminator"].strip("'")
        return f"{path}.{kind} is missing: it says which keys the others are"
    shown = repr(error["input"])
    shown = shown if len(shown) <= 80 else f"{shown[:80]}..."
    return f"{path} is {shown}: {error['msg']}"
