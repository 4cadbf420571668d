"""The network that a run begins with: fresh, or from a checkpoint with other classes where need be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from wsiseg.errors import UsageError
from wsiseg.models import Architecture, Model, ModelCard, build_model, load_model
from wsiseg.models.card import DiagnosisCard
from wsiseg.models.checkpoint import stored_tensors
from wsiseg.models.network import SegmentationNetwork
from wsiseg.training.config import WITH_ENCODER, Sampling, TrainConfig
from wsiseg.training.source import measure_normalisation
from wsiseg.training.source_type import Source

_MORE_CLASSES = 5
"""ESP modules share their channels out among 5 branches: so many more change every class-sized tensor."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """A network and its card before the first step."""

    network: SegmentationNetwork
    card: ModelCard
    """Without scores and SHA-256."""
    kept: frozenset[str] = frozenset()
    """Tensors that a checkpoint brought."""
    replaced: tuple[str, ...] = ()
    """Layers that a checkpoint has for other classes, and that begin anew."""


def start(config: TrainConfig, source: Source) -> Start:
    """Build the network and its card. Raises UsageError where config, data and checkpoint disagree."""
    torch.manual_seed(config.seed)
    if config.init is not None:
        return _from_checkpoint(config, source, load_model(config.init.checkpoint))
    network = build_model(config.model.network, num_classes=len(source.classes), **config.model.options)
    begun = "random weights"
    if config.model.backbone is None:
        mean, std = measure_normalisation(source.patches)
    else:
        from wsiseg.models.reference.backbone_weights import MEAN, STD, load_backbone

        load_backbone(network, config.model.backbone)
        mean, std, begun = MEAN, STD, f"the backbone weights {Path(config.model.backbone).name}"
    card = ModelCard(
        **_common(config, source, config.model.mpp, config.model.input_scale),
        architecture=Architecture(
            name=config.model.network,
            num_classes=len(source.classes),
            options=dict(config.model.options),
        ),
        mean=cast(tuple[float, float, float], mean),
        std=cast(tuple[float, float, float], std),
        source=f"trained with wsiseg, from {begun}",
        diagnosis=_diagnosis(config, source),
    )
    return Start(network=network, card=card)


def encoder_card(card: ModelCard) -> ModelCard:
    """Return the card of the encoder alone, which is an ESPNet-C."""
    options = {key: value for key, value in card.architecture.options.items() if key != "decoder"}
    architecture = Architecture(name="espnet-c", num_classes=card.architecture.num_classes, options=options)
    return card.model_copy(update={"name": f"{card.name}-encoder", "architecture": architecture})


def class_sized(architecture: Architecture, num_classes: int) -> set[str]:
    """Return the names of the tensors whose shape depends on the number of classes."""
    with torch.random.fork_rng(devices=[]):
        one, other = (
            {
                name: tensor.shape
                for name, tensor in stored_tensors(
                    build_model(architecture.name, num_classes=count, **architecture.options)
                ).items()
            }
            for count in (num_classes, num_classes + _MORE_CLASSES)
        )
    return {name for name in one if one[name] != other[name]}


def _from_checkpoint(config: TrainConfig, source: Source, model: Model) -> Start:
    card = model.card
    _check_agrees(config, source, card)
    name, options = card.architecture.name, card.architecture.options
    network = build_model(name, num_classes=len(source.classes), **options)
    same = [item.name for item in card.classes] == [item.name for item in source.classes.classes]
    fresh = set() if same else class_sized(card.architecture, len(source.classes))
    found, wanted = stored_tensors(model.network), stored_tensors(network)
    with torch.no_grad():
        for key in wanted.keys() - fresh:
            wanted[key].copy_(found[key])
    replaced = tuple(sorted({key.rpartition(".")[0] for key in fresh}))
    begun = f"trained with wsiseg, from {card.name} (weights {str(card.weights_sha256)[:12]})"
    if replaced:
        begun += f"; begun anew for other classes: {', '.join(replaced)}"
    common = _common(
        config, source, config.model.mpp or card.mpp, config.model.input_scale or card.input_scale
    )
    common["training_data"] = f"{source.said} Begun from {card.name}, trained on: {card.training_data}"
    new = ModelCard(
        **common,
        architecture=Architecture(name=name, num_classes=len(source.classes), options=options),
        channel_order=card.channel_order,
        mean=card.mean,
        std=card.std,
        divide_by=card.divide_by,
        tile_px=card.tile_px,
        halo_px=card.halo_px,
        source=begun,
    )
    return Start(network=network, card=new, kept=frozenset(wanted.keys() - fresh), replaced=replaced)


def _diagnosis(config: TrainConfig, source: Source) -> DiagnosisCard | None:
    if config.joint is None or not isinstance(config.data, Sampling):
        return None
    return DiagnosisCard(names=config.joint.diagnoses, window_px=config.data.patch_px, demo=source.phantoms)


def _check_agrees(config: TrainConfig, source: Source, card: ModelCard) -> None:
    """Raise UsageError where the config asks for what the checkpoint is not."""
    given = config.model.model_fields_set
    name = card.architecture.name
    if "network" in given and config.model.network != name:
        raise UsageError(
            f"model.network is {config.model.network}, but init.checkpoint holds {name}: "
            "leave model.network out"
        )
    if "options" in given and config.model.options != card.architecture.options:
        raise UsageError("model.options differ from those of init.checkpoint: leave model.options out")
    if config.model.backbone is not None:
        raise UsageError("model.backbone and init.checkpoint both bring weights: leave one of them out")
    if source.domain != card.domain:
        raise UsageError(
            f"init.checkpoint is for the domain {card.domain}, the data are of the domain {source.domain}: "
            "take another checkpoint"
        )
    if config.encoder is not None and name not in WITH_ENCODER:
        raise UsageError(f"encoder is given, but init.checkpoint holds {name}, which has no encoder stage")
    if config.init is not None and config.init.freeze_encoder and name not in WITH_ENCODER:
        raise UsageError(f"init.freeze_encoder is true, but init.checkpoint holds {name}, not espnet")


def _common(
    config: TrainConfig, source: Source, mpp: float | None, input_scale: float | None
) -> dict[str, Any]:
    return {
        "name": config.name,
        "summary": config.summary,
        "classes": source.classes.classes,
        "domain": source.domain,
        "mpp": mpp if source.domain == "slide" else None,
        "input_scale": input_scale if source.domain == "photo" else None,
        "licence": config.licence,
        "training_data": source.said,
    }
