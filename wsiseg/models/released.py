"""The ESPNet authors' checkpoints: recognised by their tensors; no code in their pickle is run."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from pathlib import Path

import torch
from torch import Tensor

from wsiseg.class_map import ClassMap
from wsiseg.errors import InputRefusedError, ModelRefusedError
from wsiseg.models.card import Architecture, ModelCard, plain
from wsiseg.models.checkpoint import load_tensors, network_of
from wsiseg.models.model import Model
from wsiseg.models.options import MAX_ALPHA
from wsiseg.models.public_classes import CITYSCAPES_VOID, unnamed

# Release key -> ours; the dilations 1, 2, 4 ... become branches 0, 1, 2 ...
_ENCODER = (
    (r"level1\.conv\.(.+)", r"level1.conv.\1"),
    (r"level1\.(bn|act)\.(.+)", r"level1.norm.\1.\2"),
    (r"b([123])\.(bn|act)\.(.+)", r"norm\1.\2.\3"),
    (r"level([23])_0\.c1\.conv\.(.+)", r"down\1.reduce.\2"),
    (r"level([23])_0\.d(\d+)\.conv\.(.+)", r"down\1.branches.<\2>.\3"),
    (r"level([23])_0\.(bn|act)\.(.+)", r"down\1.norm.\2.\3"),
    (r"level([23])\.(\d+)\.c1\.conv\.(.+)", r"level\1.\2.reduce.\3"),
    (r"level([23])\.(\d+)\.d(\d+)\.conv\.(.+)", r"level\1.\2.branches.<\3>.\4"),
    (r"level([23])\.(\d+)\.bn\.(bn|act)\.(.+)", r"level\1.\2.norm.\3.\4"),
    (r"classifier\.conv\.(.+)", r"classifier.\1"),
)
_DECODER = (
    (r"level3_C\.conv\.(.+)", r"reduce2.\1"),
    (r"br\.(.+)", r"norm3.\1"),
    (r"conv\.conv\.(.+)", r"merge1.conv.\1"),
    (r"conv\.(bn|act)\.(.+)", r"merge1.norm.\1.\2"),
    (r"up_l3\.0\.(.+)", r"up3.\1"),
    (r"combine_l2_l3\.0\.(bn|act)\.(.+)", r"merge2.0.\1.\2"),
    (r"combine_l2_l3\.1\.c1\.conv\.(.+)", r"merge2.1.reduce.\1"),
    (r"combine_l2_l3\.1\.d(\d+)\.conv\.(.+)", r"merge2.1.branches.<\1>.\2"),
    (r"combine_l2_l3\.1\.bn\.(bn|act)\.(.+)", r"merge2.1.norm.\1.\2"),
    (r"up_l2\.0\.(.+)", r"up2.0.\1"),
    (r"up_l2\.1\.(bn|act)\.(.+)", r"up2.1.\1.\2"),
    (r"classifier\.(weight)", r"up1.\1"),
)
_BRANCH = {str(2**index): str(index) for index in range(5)}

# Statistics in the release's own test script, channels blue, green, red.
_MEAN = (72.3923111, 82.90893555, 73.15840149)
_STD = (45.3192215, 46.15289307, 44.91483307)

_CAMVID_NOTE = (
    "The release does not document the order of the 12 channels, so they are not named here; the order "
    "commonly used for CamVid (sky, building, pole, road, pavement, tree, sign, fence, car, pedestrian, "
    "bicyclist, unlabelled) was not verified. Its mean and standard deviation are not published either: "
    "the Cityscapes ones stand here. Give the classes with --classes where you know them."
)


def import_released(path: Path, *, name: str, classes: ClassMap | None = None) -> Model:
    """Read one of the authors' `.pth` files: encoder or full network, alpha2, alpha3, classes, decoder.

    Raises InputRefusedError where the file is no such checkpoint, naming the keys that do not fit.
    `classes` overrides the names, colours and order of the output channels.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputRefusedError(f"{path.name}: cannot be read: {error.strerror}") from error
    tensors = rename(_read(data, path.name), path.name)
    architecture = recognise(tensors, path.name)
    card = _card(name, architecture, classes, hashlib.sha256(data).hexdigest(), path.name)
    network = network_of(card, path.name)
    load_tensors(network, tensors, path.name)
    return Model(network.eval(), card)


def _read(data: bytes, where: str) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's advice about odd pickles is not for our users
            found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:
        # Damaged and hostile pickles raise anything. Torch's own words advise weights_only=False: not shown.
        raise InputRefusedError(
            f"{where}: is no checkpoint of plain tensors ({type(error).__name__}): nothing in it was run; "
            "expected one of the ESPNet authors' .pth files"
        ) from error
    if not isinstance(found, dict) or not found:
        raise InputRefusedError(
            f"{where}: holds a {type(found).__name__}: expected a mapping of names to tensors"
        )
    for key, value in found.items():
        if not isinstance(key, str) or not _plain_tensor(value):
            raise InputRefusedError(
                f"{where}: {plain(str(key), 80)!r} is no float32 tensor: expected only such"
            )
    return found


def _plain_tensor(value: object) -> bool:
    return (
        isinstance(value, Tensor)
        and value.dtype == torch.float32
        and value.layout == torch.strided
        and value.device.type == "cpu"
    )


def rename(tensors: dict[str, Tensor], where: str) -> dict[str, Tensor]:
    """Return the tensors under this project's names. Raises InputRefusedError with the keys that do not."""
    full = any(key.startswith("encoder.") for key in tensors)
    renamed: dict[str, Tensor] = {}
    unknown: list[str] = []
    for key, value in tensors.items():
        inner = key.removeprefix("encoder.") if full else key
        in_encoder = inner != key or not full
        new = _translate(inner, _ENCODER if in_encoder else _DECODER)
        if new is None:
            unknown.append(key)
        else:
            renamed[f"encoder.{new}" if full and in_encoder else new] = value
    if unknown:
        shown = ", ".join(plain(key, 80) for key in unknown[:4]) + (
            f" and {len(unknown) - 4} more" if len(unknown) > 4 else ""
        )
        raise InputRefusedError(
            f"{where}: is no ESPNet checkpoint that wsiseg knows; keys that did not fit: {shown}"
        )
    return renamed


def _translate(key: str, rules: tuple[tuple[str, str], ...]) -> str | None:
    for pattern, replacement in rules:
        match = re.fullmatch(pattern, key)
        if match is None:
            continue
        new = match.expand(replacement)
        dilation = re.search(r"<(\d+)>", new)
        if dilation is None:
            return new
        if dilation[1] not in _BRANCH:
            return None
        return new.replace(dilation[0], _BRANCH[dilation[1]])
    return None


def recognise(tensors: dict[str, Tensor], where: str) -> Architecture:
    """Return what network these (renamed) tensors belong to."""
    full = any(key.startswith("encoder.") for key in tensors)
    prefix = "encoder." if full else ""
    classifier = tensors.get(f"{prefix}classifier.weight")
    if classifier is None or classifier.dim() != 4:
        raise InputRefusedError(
            f"{where}: has no classifier: expected the key {prefix}classifier.conv.weight"
        )
    options: dict[str, bool | int | str] = {}
    for level in ("2", "3"):
        found = {
            int(match[1])
            for key in tensors
            if (match := re.match(rf"{re.escape(prefix)}level{level}\.(\d{{1,4}})\.", key))
        }
        if not found or found != set(range(len(found))) or len(found) > MAX_ALPHA:
            raise InputRefusedError(
                f"{where}: the modules of level {level} are not numbered 0, 1, 2 ... without gaps"
            )
        options[f"alpha{level}"] = len(found)
    classes = int(classifier.shape[0])
    if full:
        merge = tensors.get("merge1.conv.weight")
        width = int(merge.shape[1]) - classes if merge is not None and merge.dim() == 4 else 0
        if width not in (16, 19):
            raise InputRefusedError(
                f"{where}: its decoder takes {width} channels of level 1 (conv.conv.weight): "
                "expected 16 or 19"
            )
        options["decoder"] = "v1" if width == 16 else "v2"
    if not 1 <= classes <= 254:
        raise InputRefusedError(f"{where}: has {classes} classes: expected 1 to 254")
    return Architecture(name="espnet" if full else "espnet-c", num_classes=classes, options=options)


def _card(
    name: str, architecture: Architecture, classes: ClassMap | None, sha256: str, where: str
) -> ModelCard:
    count = architecture.num_classes
    data, note, known = "unknown", "", classes or unnamed(count)
    if count == 20:
        data, known = (
            "Cityscapes (2,975 finely labelled images), sub-sampled by 2",
            classes or CITYSCAPES_VOID,
        )
        note = "Channel 19 is void; it was trained as a class and is never given to a pixel here."
    elif count == 12 and classes is None:
        data, note = "CamVid", _CAMVID_NOTE
    elif classes is None:
        raise InputRefusedError(
            f"{where}: has {count} classes: only 20 (Cityscapes) and 12 (CamVid) are known; "
            "name them with --classes"
        )
    if len(known) != count:
        raise ModelRefusedError(f"{where}: has {count} output channels, but {len(known)} classes are given")
    return ModelCard(
        name=re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip("._-")[:100] or "imported",
        summary=f"{architecture.name} by its authors, for street scenes. {note}".strip(),
        architecture=architecture,
        classes=known.classes,
        domain="photo",
        input_scale=0.5 if count == 20 else 1.0,
        channel_order="bgr",
        mean=_MEAN,
        std=_STD,
        divide_by=255.0,
        licence="MIT",
        source=f"Released by the authors of ESPNet (Mehta et al., ECCV 2018) as {where}",
        source_sha256=sha256,
        training_data=data,
        scores_note="Not measured by this project.",
    )
