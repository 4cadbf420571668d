"""Fine-tuning: what a checkpoint brings is kept, what other classes need begins anew and is named."""

import numpy as np
import pytest
import torch
from train_child import tiny

from wsiseg.class_map import TISSUE8, ClassMap, LabelClass
from wsiseg.datasets.phantom import PatchDataset
from wsiseg.errors import UsageError
from wsiseg.models import Architecture, ModelCard, build_model, save_model
from wsiseg.training.config import TrainConfig
from wsiseg.training.run import _stages
from wsiseg.training.source import PhantomRegions
from wsiseg.training.source_type import Source
from wsiseg.training.start import class_sized, encoder_card, start

OPTIONS = {"alpha2": 1, "alpha3": 1, "decoder": "v2"}


def source_of(classes, domain="slide"):
    rgb = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    labels = np.zeros((1, 64, 64), np.uint8)
    return Source(
        patches=PatchDataset(rgb, labels, side_px=32, per_epoch=4, seed=1, augmentation=None),
        groups=[range(4)],
        classes=classes,
        frequencies=np.full(len(classes), 1 / len(classes)),
        validation=PhantomRegions(rgb, labels),
        said="one made-up picture.",
        domain=domain,
    )


def renamed(count):
    return ClassMap(
        classes=tuple(LabelClass(id=at, name=f"kind {at}", colour=(at, at, at)) for at in range(count))
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "first.safetensors"
    torch.manual_seed(9)
    card = ModelCard(
        name="first",
        summary="a test",
        architecture=Architecture(name="espnet", num_classes=8, options=OPTIONS),
        classes=TISSUE8.classes,
        domain="slide",
        mpp=0.7,
        channel_order="bgr",
        mean=(1.0, 2.0, 3.0),
        std=(4.0, 5.0, 6.0),
        divide_by=255.0,
        licence="MIT",
        source="tests",
        training_data="nothing at all",
        scores={"old": 1.0},
    )
    save_model(path, build_model("espnet", num_classes=8, **OPTIONS), card)
    return path


def config_for(checkpoint, init=None, **changes):
    given = {"encoder": None, "model": {}, "init": {"checkpoint": str(checkpoint), **(init or {})}}
    return tiny(**(given | changes))


def test_the_same_classes_keep_every_layer(checkpoint):
    begun = start(config_for(checkpoint), source_of(TISSUE8))
    torch.manual_seed(9)
    expected = build_model("espnet", num_classes=8, **OPTIONS).state_dict()
    found = begun.network.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert begun.replaced == ()
    card = begun.card
    assert (card.mpp, card.mean, card.divide_by, card.channel_order) == (0.7, (1, 2, 3), 255, "bgr")
    assert card.scores == {}
    assert "one made-up picture. Begun from first, trained on: nothing at all" in card.training_data


@pytest.mark.parametrize("count", [8, 6])
def test_other_classes_replace_the_class_sized_layers(checkpoint, count):
    """Also where there are as many: the channels mean something else."""
    begun = start(config_for(checkpoint), source_of(renamed(count)))
    torch.manual_seed(9)
    first = build_model("espnet", num_classes=8, **OPTIONS).state_dict()
    found = begun.network.state_dict()
    assert torch.equal(found["encoder.level1.conv.weight"], first["encoder.level1.conv.weight"])
    assert not (
        found["encoder.classifier.weight"].shape == first["encoder.classifier.weight"].shape
        and torch.equal(found["encoder.classifier.weight"], first["encoder.classifier.weight"])
    )
    assert "encoder.classifier" in begun.replaced
    assert "up1" in begun.replaced
    assert not any(name.startswith("encoder.level") for name in begun.replaced)
    assert "begun anew for other classes" in begun.card.source
    assert len(begun.card.classes) == count


@pytest.mark.parametrize(
    ("name", "options", "some"),
    [
        ("espnet", {"alpha2": 1, "alpha3": 1}, {"encoder.classifier.weight", "up1.weight", "reduce2.weight"}),
        ("espnet-c", {"alpha2": 1, "alpha3": 1}, {"classifier.weight"}),
        ("enet", {}, {"full.weight"}),
        ("erfnet", {}, {"decoder.6.weight", "decoder.6.bias"}),
        ("unet", {"width": 8}, {"classifier.weight", "classifier.bias"}),
    ],
)
def test_class_sized_layers_are_found_in_every_network(name, options, some):
    architecture = Architecture(name=name, num_classes=8, options=options)
    found = class_sized(architecture, 8)
    assert some <= found
    if name != "espnet":  # its whole decoder is as wide as there are classes
        assert found == some
    assert not any(key.startswith(("level1", "encoder.level", "encoder.0", "down")) for key in found)


def test_a_frozen_encoder_learns_its_new_classifier_only(checkpoint):
    config = config_for(checkpoint, {"freeze_encoder": True, "kept_rate": 0.5})
    source = source_of(renamed(6))
    begun = start(config, source)
    (stage,) = _stages(config, begun, source)
    rates = {name: stage.rates.get(name, 1.0) for name, _ in begun.network.named_parameters()}
    learning = {name for name, share in rates.items() if name.startswith("encoder.") and share > 0}
    assert learning == {"encoder.classifier.weight"}
    assert rates["up1.weight"] == 1.0
    assert stage.frozen == [begun.network.encoder]


def test_kept_layers_learn_slower(checkpoint):
    config = config_for(checkpoint, {"kept_rate": 0.25})
    begun = start(config, source_of(TISSUE8))
    (stage,) = _stages(config, begun, source_of(TISSUE8))
    assert {stage.rates.get(name, 1.0) for name, _ in begun.network.named_parameters()} == {0.25}


def test_the_encoder_of_the_first_stage_learns_slower_in_the_second(checkpoint):
    config = config_for(checkpoint, {"kept_rate": 0.5}, encoder={"epochs": 1}, encoder_rate=0.25)
    begun = start(config, source_of(TISSUE8))
    first, second = _stages(config, begun, source_of(TISSUE8))
    assert {first.rates.get(name, 1.0) for name, _ in first.network.named_parameters()} == {0.5}
    rates = {name: second.rates.get(name, 1.0) for name, _ in begun.network.named_parameters()}
    assert {share for name, share in rates.items() if name.startswith("encoder.")} == {0.125}
    assert rates["up1.weight"] == 0.5


@pytest.mark.parametrize(
    ("changes", "domain", "what"),
    [
        ({"model": {"network": "unet"}}, "slide", "leave model.network out"),
        ({"model": {"options": {"alpha3": 2}}}, "slide", "leave model.options out"),
        ({}, "photo", "take another checkpoint"),
    ],
)
def test_what_contradicts_the_checkpoint_is_refused(checkpoint, changes, domain, what):
    with pytest.raises(UsageError, match=what):
        start(config_for(checkpoint, **changes), source_of(TISSUE8, domain))


def test_an_encoder_stage_needs_a_network_that_has_one(tmp_path, checkpoint):
    card = encoder_card(start(config_for(checkpoint), source_of(TISSUE8)).card)
    path = tmp_path / "encoder.safetensors"
    save_model(path, build_model("espnet-c", num_classes=8, alpha2=1, alpha3=1), card)
    with pytest.raises(UsageError, match="no encoder stage"):
        start(config_for(path, encoder={"epochs": 1}), source_of(TISSUE8))
    with pytest.raises(UsageError, match="freeze_encoder is true"):
        start(config_for(path, {"freeze_encoder": True}), source_of(TISSUE8))


def test_a_fresh_network_is_the_same_for_the_same_seed():
    config = tiny()
    assert isinstance(config, TrainConfig)
    one, other = (start(config, source_of(TISSUE8)).network.state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)
    changed = start(tiny(seed=5), source_of(TISSUE8)).network.state_dict()
    assert not torch.equal(one["up1.weight"], changed["up1.weight"])


def test_a_reference_network_begins_with_public_backbone_weights(tmp_path):
    backbone = build_model("sqnet", num_classes=8).backbone
    path = tmp_path / "squeezenet1_1.pth"
    torch.save(backbone.state_dict(), path)
    config = tiny(encoder=None, model={"network": "sqnet", "mpp": 1.0, "backbone": str(path)})
    begun = start(config, source_of(TISSUE8))
    found = begun.network.backbone.state_dict()
    assert all(torch.equal(value, found[key]) for key, value in backbone.state_dict().items())
    assert begun.card.source == "trained with wsiseg, from the backbone weights squeezenet1_1.pth"
    assert begun.card.mean == (123.675, 116.28, 103.53)
    assert begun.card.std == (58.395, 57.12, 57.375)
    plain = start(tiny(encoder=None, model={"network": "sqnet", "mpp": 1.0}), source_of(TISSUE8))
    assert plain.card.mean != begun.card.mean
    assert plain.card.source == "trained with wsiseg, from random weights"


def test_one_source_of_weights_at_a_time(checkpoint):
    with pytest.raises(UsageError, match="both bring weights"):
        start(config_for(checkpoint, model={"backbone": "resnet101.pth"}), source_of(TISSUE8))
    with pytest.raises(UsageError, match="ESPNet has no backbone"):
        start(tiny(encoder=None, model={"backbone": "resnet101.pth", "mpp": 1.0}), source_of(TISSUE8))
