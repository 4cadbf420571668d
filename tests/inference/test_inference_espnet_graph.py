"""The graph that is written out gives what the torch module gives, whatever ESPNet is made of."""

import numpy as np
import pytest
import torch
import zarr

from wsiseg import PredictOptions, load_model, segment_slide
from wsiseg.class_map import TISSUE8
from wsiseg.inference.espnet_graph import MOST_CLASSES, can_write, espnet_graph
from wsiseg.inference.openvino_runtime import has_bf16
from wsiseg.inference.runtime import build_runtime, choose_runtime
from wsiseg.models import Architecture, Model, ModelCard
from wsiseg.models.build import build_model
from wsiseg.models.normalise import Segmenter
from wsiseg.phantom.generate import generate_phantom

SHAPE = (256, 320)


@pytest.fixture(scope="module")
def tissue():
    """(2, rows, columns, 3) uint8."""
    return np.stack(
        [generate_phantom(seed=seed, width_px=SHAPE[1], height_px=SHAPE[0]).rgb for seed in (8, 9)]
    )


def untrained(name="espnet", num_classes=8, card=None, **options):
    """Return a network whose normalisations do something, with a slope for each activation."""
    torch.manual_seed(3)
    network = build_model(name, num_classes=num_classes, **options).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.uniform_(-0.3, 0.3)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.7, 1.4)
                module.bias.uniform_(-0.4, 0.4)
            elif isinstance(module, torch.nn.PReLU):
                module.weight.uniform_(-0.2, 0.6)
    fields = {
        "name": "untrained",
        "summary": "Random weights, for tests.",
        "architecture": Architecture(name=name, num_classes=num_classes, options=options),
        "classes": TISSUE8.classes,
        "domain": "slide",
        "mpp": 1.0,
        "mean": (199.0, 153.0, 185.0),
        "std": (43.0, 54.0, 39.0),
        "licence": "Apache-2.0",
        "source": "tests",
        "training_data": "none",
    }
    return Model(network, ModelCard.model_validate({**fields, **(card or {})}))


def labels(model, pixels, *, confidence=False, precision="fp32"):
    choice = choose_runtime("openvino", precision, "cpu")
    runtime = build_runtime(choice, model, pixels.shape[1:3], len(pixels), threads=1, confidence=confidence)
    return runtime.predict(pixels)


NOT_VOID = [item.model_copy(update={"predicted": item.id not in (0, 5)}) for item in TISSUE8.classes]
OTHER_IDS = [item.model_copy(update={"id": 7 - item.id + 20}) for item in TISSUE8.classes]
NETWORKS = {
    "as bundled": {"alpha3": 2, "decoder": "v2"},
    "decoder of Cityscapes": {"alpha3": 1, "decoder": "v1"},
    "four branches, relu": {"alpha3": 1, "k": 4, "activation": "relu"},
    "neither residual nor sums": {"alpha3": 1, "residual": False, "hff": False},
    "wide reduction": {"alpha3": 1, "reduce_kernel": 3},
    "blue first, divided": {
        "alpha3": 1,
        "card": {"channel_order": "bgr", "divide_by": 255.0, "std": (0.2, 0.3, 0.1)},
    },
    "void": {"alpha3": 1, "card": {"classes": NOT_VOID}},
    "ids of its own": {"alpha3": 1, "card": {"classes": OTHER_IDS}},
}


@pytest.mark.parametrize("options", list(NETWORKS.values()), ids=list(NETWORKS))
def test_labels_are_those_of_the_module(options, tissue):
    model = untrained(**options)
    assert can_write(model)
    pixels = tissue[:1]
    with torch.inference_mode():
        expected = Segmenter(model).eval()(torch.from_numpy(pixels)).numpy()
    assert len(np.unique(expected)) >= 3, "a picture of one class tests nothing"
    found = labels(model, pixels).labels
    assert found.dtype == np.uint8
    assert (found == expected).mean() >= 0.9999


def test_a_batch_with_confidence(tissue):
    model = untrained(alpha3=1, card={"temperature": 1.7})
    with torch.inference_mode():
        ids, share = Segmenter(model, confidence=True).eval()(torch.from_numpy(tissue))
    found = labels(model, tissue, confidence=True)
    assert (found.labels == ids.numpy()).mean() >= 0.9999
    assert np.abs(found.confidence.astype(int) - share.numpy()).max() <= 1
    np.testing.assert_array_equal(labels(model, tissue).labels, found.labels)


def test_the_released_model_to_the_pixel_in_fp32_and_nearly_in_bf16(tissue):
    model = load_model("tissue8-demo")
    assert can_write(model)
    with torch.inference_mode():
        expected = Segmenter(model).eval()(torch.from_numpy(tissue[:1])).numpy()
    assert (labels(model, tissue[:1]).labels == expected).mean() >= 0.9999
    if has_bf16():
        assert (labels(model, tissue[:1], precision="bf16").labels == expected).mean() >= 0.995


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("enet", {}),
        ("espnet-c", {"alpha3": 1}),
        ("espnet", {"alpha3": 1, "downsampling": "strided-conv"}),
        ("espnet", {"alpha3": 1, "num_classes": MOST_CLASSES + 1}),
    ],
)
def test_another_network_is_left_to_the_conversion(name, options):
    network = build_model(name, **{"num_classes": 8, **options})
    assert not can_write(Model(network, untrained(alpha3=1).card))


def test_a_photo_that_is_subsampled_is_left_to_the_conversion():
    photo = {"domain": "photo", "mpp": None, "input_scale": 0.5}
    assert not can_write(untrained(alpha3=1, card=photo))


def test_the_graph_keeps_the_shape():
    graph = espnet_graph(untrained(alpha3=1), (1, 64, 96, 3))
    assert [tuple(output.get_shape()) for output in graph.outputs] == [(1, 64, 96)]


@pytest.mark.shared
@pytest.mark.skipif(not has_bf16(), reason="this processor does not compute in bfloat16")
@pytest.mark.parametrize(
    ("name", "mpp"), [("CMU-1-Small-Region.svs", None), ("tcga-jpeg2000-no-mpp.svs", (0.5, 0.5))]
)
def test_bf16_agrees_with_fp32_on_real_slides(shared_data, tmp_path, name, mpp):
    made = {}
    for precision in ("fp32", "bf16"):
        options = PredictOptions(slide_mpp=mpp, precision=precision, runtime="openvino", device="cpu")
        store = segment_slide(shared_data / "slides" / name, tmp_path / precision, options).store
        made[precision] = zarr.open_group(str(store), mode="r")["labels/tissue/0"][:]
    assert (made["fp32"] == made["bf16"]).mean() >= 0.995
