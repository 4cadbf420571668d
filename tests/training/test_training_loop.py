"""A stage learns what is easy, repeats itself, keeps its best state, and ends where the loss does."""

import numpy as np
import pytest
import torch

from wsiseg.class_map import TISSUE8
from wsiseg.datasets.phantom import PatchDataset
from wsiseg.errors import DivergedError
from wsiseg.models import Architecture, ModelCard, build_model
from wsiseg.training.config import PhantomData, StageConfig, TrainConfig
from wsiseg.training.loop import Hooks, train_stage
from wsiseg.training.processes import Processes
from wsiseg.training.state import Position
from wsiseg.training.step import Stage, Stepper, make_optimiser

CPU = Processes(0, 1, torch.device("cpu"))


@pytest.fixture(autouse=True)
def _torch_state():
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


def easy_pictures():
    """Halves: dark with label 2, bright with label 6, and a band that nobody labelled."""
    rng = np.random.default_rng(0)
    rgb = rng.normal(60, 10, (2, 96, 96, 3))
    rgb[:, :, 48:] += 130
    labels = np.full((2, 96, 96), 2, np.uint8)
    labels[:, :, 48:] = 6
    labels[:, 40:56] = 255
    return np.clip(rgb, 0, 255).astype(np.uint8), labels


def card_of(name):
    return ModelCard(
        name="try",
        summary="a test",
        architecture=Architecture(name=name, num_classes=8),
        classes=TISSUE8.classes,
        domain="slide",
        mpp=1.0,
        mean=(125.0, 125.0, 125.0),
        std=(60.0, 60.0, 60.0),
        licence="Apache-2.0",
        source="tests",
        training_data="tests",
    )


def run(network_name, *, epochs=3, at_epoch=None, before=None, rates=None, **changes):
    """Train, and return the network and the steps' reports."""
    torch.manual_seed(3)
    options = {"alpha2": 1, "alpha3": 1} if network_name.startswith("espnet") else {}
    options = {"width": 8} if network_name == "unet" else options
    network = build_model(network_name, num_classes=8, **options)
    config = TrainConfig(
        name="try",
        data=PhantomData(dataset="phantoms"),
        whole=StageConfig(epochs=epochs, learning_rate=5e-3, schedule="cosine"),
        batch=changes.pop("batch", 4),
        workers=0,
        **changes,
    )
    stage = Stage(
        index=0,
        name="try",
        network=network,
        card=card_of(network_name),
        config=config.whole,
        weights=torch.ones(8),
        rates=rates or {},
    )
    rgb, labels = easy_pictures()
    patches = PatchDataset(rgb, labels, side_px=64, per_epoch=16, seed=1, augmentation=None)
    if before is not None:
        before(network)
    stepper = Stepper(stage, config, CPU, make_optimiser(stage, config.weight_decay))
    reports = []
    hooks = Hooks(
        on_step=reports.append, on_epoch=at_epoch or (lambda position, _: position), on_state=lambda _: None
    )
    train_stage(stage, config, patches, [range(16)], CPU, stepper, Position(), hooks)
    return network, reports


def mean_loss(reports, epoch):
    losses = [row.loss for row in reports if row.epoch == epoch]
    return sum(losses) / len(losses)


@pytest.mark.parametrize(("network_name", "epochs"), [("espnet-c", 4), ("espnet", 16), ("unet", 12)])
def test_a_short_run_learns_what_is_easy(network_name, epochs):
    _, reports = run(network_name, epochs=epochs)
    assert mean_loss(reports, epochs - 1) < 0.5 * mean_loss(reports, 0)
    assert [(row.epoch, row.step) for row in reports] == [(e, s) for e in range(epochs) for s in range(4)]


@pytest.mark.parametrize(
    ("network_name", "precision"),
    [("espnet", "fp32"), ("espnet", "bf16"), ("enet", "fp32"), ("erfnet", "fp32")],
)
def test_a_run_repeats_itself(network_name, precision):
    """ENet and ERFNet have dropout, whose random numbers repeat too."""
    one = run(network_name, precision=precision, epochs=1)[0].state_dict()
    other = run(network_name, precision=precision, epochs=1)[0].state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert all(torch.isfinite(value).all() for value in one.values() if value.is_floating_point())


def test_a_step_is_the_same_however_it_is_divided():
    """4 patches at once, and 2 and 2, with the statistics of the normalisation fixed."""
    rgb, labels = easy_pictures()
    patches = PatchDataset(rgb, labels, side_px=64, per_epoch=4, seed=1, augmentation=None)
    four = torch.stack([patches[at][0] for at in range(4)]), torch.stack([patches[at][1] for at in range(4)])
    four[1][:3, :40] = 255  # one part with few labels: its pixels count as much as any other
    moved = []
    for parts in ([four], [(four[0][:3], four[1][:3]), (four[0][3:], four[1][3:])]):
        torch.manual_seed(3)
        network = build_model("espnet-c", num_classes=8, alpha2=1, alpha3=1).eval()
        config = TrainConfig(
            name="try", data=PhantomData(dataset="phantoms"), whole=StageConfig(epochs=1), accumulate=2
        )
        stage = Stage(
            index=0, name="try", network=network, card=card_of("espnet-c"), config=config.whole,
            weights=torch.arange(1.0, 9.0),
        )  # fmt: skip
        optimiser = make_optimiser(stage, 0.0)
        loss = Stepper(stage, config, CPU, optimiser).step(parts, 1e-3)
        moved.append((loss, [parameter.grad.clone() for parameter in network.parameters()]))
    assert moved[0][0] == pytest.approx(moved[1][0], rel=1e-5)
    for one, other in zip(moved[0][1], moved[1][1], strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-6)


def test_frozen_parameters_stay_and_kept_ones_move_less():
    torch.manual_seed(3)
    first = build_model("espnet-c", num_classes=8, alpha2=1, alpha3=1).state_dict()
    names = [
        name for name, _ in build_model("espnet-c", num_classes=8, alpha2=1, alpha3=1).named_parameters()
    ]
    frozen = {name for name in names if name.startswith("level1.")}
    rates = {name: 0.0 if name in frozen else 0.01 for name in names if name != "classifier.weight"}
    trained = run("espnet-c", epochs=1, rates=rates)[0].state_dict()
    moved = {name: float((trained[name] - first[name]).abs().mean()) for name in names}
    assert all(moved[name] == 0 for name in frozen)
    assert 0 < max(moved[name] for name in names if rates.get(name) == 0.01) < moved["classifier.weight"] / 10


@pytest.mark.parametrize("how", ["loss", "gradient"])
def test_a_run_that_diverges_names_its_patches_and_leaves_the_weights(how):
    seen = {}

    def spoil(network):
        seen["network"] = network
        seen["before"] = [value.detach().clone() for value in network.parameters()]
        if how == "gradient":
            network.classifier.weight.register_hook(lambda gradient: gradient * float("nan"))
        else:
            network.register_forward_hook(lambda module, image, logits: logits * float("inf"))

    with pytest.raises(
        DivergedError, match=rf"try, epoch 0, step 0: the {how}.*patches are \d+, \d+, "
    ) as found:
        run("espnet-c", epochs=1, before=spoil)
    assert "\n" not in str(found.value)
    for value, before in zip(seen["network"].parameters(), seen["before"], strict=True):
        assert torch.equal(value, before)


def test_gradients_are_clipped():
    free, _ = run("espnet-c", epochs=1)
    clipped, reports = run("espnet-c", epochs=1, clip_norm=1e-3)
    assert len(reports) == 4
    assert any(
        not torch.equal(one, other)
        for one, other in zip(free.parameters(), clipped.parameters(), strict=True)
    )
