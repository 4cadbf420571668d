"""Every runtime gives the labels of the plain torch module, the same each time, from any thread."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
import torch
from small_models import integer_model

from wsiseg.class_map import TISSUE8
from wsiseg.errors import UsageError
from wsiseg.inference.runtime import (
    CPUS_VARIABLE,
    FIXED_THREADS,
    RuntimeKeeper,
    build_runtime,
    choose_runtime,
)
from wsiseg.models import Model, load_model
from wsiseg.models.normalise import Segmenter
from wsiseg.phantom.generate import generate_phantom

SHAPE = (256, 384)


@pytest.fixture(scope="module")
def tissue():
    """(1, rows, columns, 3) uint8 of a phantom."""
    return generate_phantom(seed=77, width_px=SHAPE[1], height_px=SHAPE[0]).rgb[None]


@pytest.fixture(scope="module")
def model():
    return load_model("tissue8-demo")


@pytest.fixture(scope="module")
def expected(model, tissue):
    with torch.inference_mode():
        return Segmenter(model).eval()(torch.from_numpy(tissue))[0].numpy()


def choices():
    for name in ("torch", "openvino", "onnxruntime"):
        for precision in ("fp32", "bf16"):
            try:
                yield choose_runtime(name, precision, "cpu")
            except UsageError:
                continue  # no bfloat16 in this processor


@cache
def plain_runtime(choice):
    return build_runtime(choice, load_model("tissue8-demo"), SHAPE)


@pytest.mark.parametrize("choice", list(choices()), ids=lambda choice: f"{choice.name}-{choice.precision}")
def test_labels_agree_with_the_plain_module(choice, tissue, expected):
    labels = plain_runtime(choice).predict(tissue).labels
    assert labels.dtype == np.uint8
    assert labels.shape == (1, *SHAPE)
    assert (labels[0] == expected).mean() >= (0.9995 if choice.precision == "fp32" else 0.99)


@pytest.mark.parametrize("choice", list(choices()), ids=lambda choice: f"{choice.name}-{choice.precision}")
def test_confidence_is_the_softmax_and_moves_no_label(choice, model, tissue):
    cooler = Model(model.network, model.card.model_copy(update={"temperature": 2.5}))
    segmenter = Segmenter(cooler).eval()
    with torch.inference_mode():
        logits = segmenter.logits(torch.from_numpy(tissue))
    expected = 255 * torch.softmax(logits / 2.5, dim=1).amax(dim=1).numpy()
    made = build_runtime(choice, cooler, SHAPE, confidence=True).predict(tissue)
    plain = plain_runtime(choice).predict(tissue)
    np.testing.assert_array_equal(made.labels, plain.labels)
    assert plain.confidence is None
    assert made.confidence.dtype == np.uint8
    assert made.confidence.shape == made.labels.shape
    assert np.abs(made.confidence - expected).max() <= (0.51 if choice.precision == "fp32" else 10)
    assert made.confidence.min() < 120
    assert made.confidence.max() > 200


def test_void_has_no_share_in_a_confidence():
    """A class that is never given to a pixel is not in the softmax; no value is a reserved one."""
    classes = [item.model_copy(update={"predicted": item.id != 3}) for item in TISSUE8.classes]
    segmenter = Segmenter(integer_model(classes=classes), confidence=True).eval()
    random = np.random.default_rng(3)
    pixels = torch.from_numpy(random.integers(100, 150, (1, 64, 64, 3), np.uint8))
    with torch.inference_mode():
        ids, confidence = segmenter(pixels)
        share = torch.softmax(segmenter.logits(pixels), 1).amax(1) * 255
    assert (ids != 3).all()
    assert segmenter.logits(pixels).shape[1] == 7
    np.testing.assert_array_equal(confidence.numpy(), np.maximum(3, np.floor(share.numpy() + 0.5)))


def test_openvino_repeats_to_the_bit_over_calls_threads_and_builds(model, tissue):
    choice = choose_runtime("openvino", "auto", "cpu")
    first = build_runtime(choice, model, SHAPE, threads=1)
    labels = first.predict(tissue).labels
    with ThreadPoolExecutor(4) as pool:
        for again in pool.map(lambda _: first.predict(tissue).labels, range(6)):
            np.testing.assert_array_equal(again, labels)
    second = build_runtime(choice, model, SHAPE, threads=2, streams=2)
    assert second.streams == 2
    with ThreadPoolExecutor(3) as pool:
        for again in pool.map(lambda _: second.predict(tissue).labels, range(4)):
            np.testing.assert_array_equal(again, labels)


def test_calls_from_threads_do_not_mix():
    model = integer_model()
    runtime = build_runtime(choose_runtime("openvino", "fp32", "cpu"), model, (64, 64))
    random = np.random.default_rng(0)
    tiles = [random.integers(0, 256, (1, 64, 64, 3), np.uint8) for _ in range(12)]
    alone = [runtime.predict(tile).labels for tile in tiles]
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(pool.map(runtime.predict, tiles), alone, strict=True):
            np.testing.assert_array_equal(one.labels, other)


def test_auto_takes_openvino_on_the_cpu():
    choice = choose_runtime(device="cpu")
    assert choice.name == "openvino"
    assert choice.precision in ("bf16", "fp32")
    assert choice.threads is None  # its sums are the same on any number


def test_what_depends_on_the_threads_is_fixed_with_them(monkeypatch):
    """And is the same number on every machine, whatever it may use of it."""
    for cpus in ("1", "64"):
        monkeypatch.setenv(CPUS_VARIABLE, cpus)
        assert choose_runtime("torch", "fp32", "cpu").threads == FIXED_THREADS
        assert choose_runtime("onnxruntime", device="cpu").threads == FIXED_THREADS


def test_the_last_runtime_is_kept_while_nothing_changes():
    keeper = RuntimeKeeper()
    choice = choose_runtime("torch", "fp32", "cpu")
    first = keeper.get(choice, integer_model(), (64, 64), 1, confidence=False)
    assert keeper.get(choice, integer_model(), (64, 64), 1, confidence=False) is first
    trained = integer_model()
    with torch.no_grad():
        trained.network.fine += 1  # the card says the same as before
    others = [
        (trained, (64, 64), False),
        (integer_model(), (64, 128), False),
        (integer_model(), (64, 64), True),
        (integer_model(temperature=2.0), (64, 64), True),
    ]
    for model, shape, confidence in others:
        other = keeper.get(choice, model, shape, 1, confidence=confidence)
        assert other is not first
        first = other


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_what_is_for_the_cpu_is_not_taken_for_cuda(name, monkeypatch):
    monkeypatch.setattr("wsiseg.inference.runtime._cuda", lambda: True)
    with pytest.raises(UsageError, match=f"--runtime {name} runs on the CPU"):
        choose_runtime(name, device="cuda")
    assert choose_runtime(name).device == "cpu"


def test_a_precision_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(UsageError, match="onnxruntime on this cpu computes in fp32"):
        choose_runtime("onnxruntime", "bf16", "cpu")
    with pytest.raises(UsageError, match="fp16: torch on this cpu computes in"):
        choose_runtime("torch", "fp16", "cpu")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "abacus"}, "unknown runtime 'abacus': expected one of auto, onnxruntime, openvino, torch"),
        ({"precision": "fp4"}, "unknown precision"),
        ({"device": "tpu"}, "unknown device"),
    ],
)
def test_unknown_choices_are_refused_with_the_valid_ones(arguments, message):
    with pytest.raises(UsageError, match=message):
        choose_runtime(**arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
def test_a_missing_gpu_is_said():
    with pytest.raises(UsageError, match="torch sees no CUDA device"):
        choose_runtime(device="cuda")
