"""Measurements of this machine: counted by hand where that can be, and the real thing on a small picture."""

import json

import pytest
import torch
from fake_jetson import make_tree, write
from torch import nn

from wsiseg.errors import InputRefusedError, UsageError, WsisegError
from wsiseg.inference.runtime import choose_runtime
from wsiseg.models import build_model
from wsiseg.profiling.flops import count_flops
from wsiseg.profiling.measure import machine
from wsiseg.profiling.measure.operators import rank
from wsiseg.profiling.measure.run import Plan, job_of, measure, run_child
from wsiseg.profiling.measure.sampling import Sampler, mean_between
from wsiseg.profiling.modules import compare_modules
from wsiseg.profiling.results import Latency, Results, parse_results, percentile
from wsiseg.profiling.subject import load_subject


def counted_by_hand(network, width, height):
    """Two operations per weight and output position; a transposed one works per input position."""
    total = 0

    def add(layer, inputs, output):
        nonlocal total
        (image,) = inputs
        positions = (image if isinstance(layer, nn.ConvTranspose2d) else output).shape[2:].numel()
        total += 2 * layer.weight.numel() * positions

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(add)
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, height, width))
    return total


@pytest.mark.parametrize("name", ["espnet", "espnet-c", "enet", "erfnet"])
def test_flops_are_those_of_every_convolution(name):
    network = build_model(name, num_classes=20)
    assert count_flops(network, 64, 32) == counted_by_hand(network, 64, 32)


def test_flops_of_the_papers_size_cost_no_memory():
    assert count_flops(build_model("espnet", num_classes=8), 1024, 1024) / 1e9 == pytest.approx(15.1, abs=0.8)


def test_latency():
    latency = Latency(times_ms=(1.0, 2.0, 3.0, 4.0, 100.0), warm_up=1)
    assert (latency.median_ms, latency.mean_ms, latency.trials) == (3.0, 22.0, 5)
    assert latency.fps == pytest.approx(1000 / 3)
    assert latency.spread_ms == pytest.approx((1.2, 80.8))
    assert percentile([5.0], 95) == 5.0


def test_shares_of_operators():
    found = rank([("a", 1.0, 1), ("b", 2.0, 1), ("a", 3.0, 2), *((f"x{i}", 0.1, 1) for i in range(20))])
    assert [(item.name, item.calls) for item in found[:2]] == [("a", 3), ("b", 1)]
    assert found[0].share == pytest.approx(4 / 8)
    assert len(found) == 10
    assert rank([]) == ()


def test_cpu_load_and_memory(tmp_path):
    write(tmp_path / "stat", "cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 2 3 4")
    load = machine.CpuLoad(tmp_path / "stat")
    assert load.read() is None
    write(tmp_path / "stat", "cpu  160 0 130 705 105 0 0 0 0 0\ncpu0 1 2 3 4")
    assert load.read() == pytest.approx(0.9)
    write(tmp_path / "meminfo", "MemTotal: 8000 kB\nMemFree: 1 kB\nMemAvailable: 6000 kB")
    assert machine.memory_share(tmp_path / "meminfo") == pytest.approx(0.25)
    write(tmp_path / "meminfo", "MemTotal: 8000 kB")
    assert machine.memory_share(tmp_path / "meminfo") is None


def test_sampler_on_a_tx2(tmp_path):
    root = make_tree(tmp_path)
    write(root / "proc/stat", "cpu  100 0 100 700 100 0 0 0 0 0")
    with Sampler(root) as sampler:
        pass  # it reads once when it begins and once when it ends
    points = sampler.power["INA3221", "VDD_IN"]
    assert len(points) >= 2
    begin, end = points[0][0], points[-1][0]
    powers = {item.rail: item for item in sampler.powers((begin, end), (begin, begin), images=4)}
    assert powers["VDD_IN"].whole
    assert powers["VDD_IN"].gross_w == pytest.approx(1.84)
    assert powers["VDD_IN"].net_w == pytest.approx(0)
    assert powers["VDD_IN"].energy_per_image_j == pytest.approx(1.84 * (end - begin) / 4)
    assert sampler.gpu_clock((begin, float("inf"))).value == 1300.5
    assert {item.what: item.points[0][1] for item in sampler.utilisations(begin, float("inf"))}["gpu"] == 0.87


def test_source_that_fails_on_the_way_is_named(tmp_path):
    root = make_tree(tmp_path)
    with Sampler(root) as sampler:
        for name in ("0-0040", "0-0041"):
            for file in (root / f"sys/bus/i2c/drivers/ina3221x/{name}/iio_device").glob("in_power*"):
                file.write_text("?")
    (lost,) = [item for item in sampler.missing if item.what == "power: INA3221"]
    assert "no number" in lost.reason


def test_nothing_read_is_no_power(tmp_path):
    assert mean_between([(1.0, 5.0)], (2.0, 3.0)) is None
    with Sampler(make_tree(tmp_path)) as sampler:
        pass
    assert sampler.powers((0.0, 0.0), (0.0, 0.0), images=1) == []
    assert sampler.gpu_clock((0.0, 0.0)).value is None


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_a_network_is_measured(runtime):
    plan = Plan(
        models=["espnet"],
        sizes=[(64, 32)],
        choice=choose_runtime(runtime, "fp32", "cpu"),
        trials=3,
        warm_up=1,
        min_seconds=0,
        idle_seconds=0,
        threads=1,
    )
    results = measure(plan)
    (found,) = results.measurements
    assert (found.model, found.trained, found.size, found.parameters) == ("espnet", False, "64x32", 364_569)
    assert found.latency.trials == 3
    assert found.images >= 3
    assert 364_569 * 4 < found.file_bytes < 364_569 * 4 * 1.1
    assert sum(item.share for item in found.operators) <= 1 + 1e-9
    assert found.operators[0].share >= found.operators[-1].share > 0
    assert found.peak_memory.value is None or found.peak_memory.value >= 0
    begin, end = found.executing
    assert 0 < begin < end
    assert all(item.reason and item.remedy for item in found.missing)
    assert parse_results(results.model_dump_json().encode(), "results") == results


def test_trained_model_and_untrained_network():
    trained, untrained = load_subject("tissue8-demo"), load_subject("enet")
    assert trained.trained
    assert not untrained.trained
    again = load_subject("enet").model.network.state_dict()
    assert all(torch.equal(value, again[key]) for key, value in untrained.model.network.state_dict().items())
    with torch.no_grad():
        logits = untrained.model.network(torch.randn(1, 3, 64, 64))
    assert torch.isfinite(logits).all()
    assert 1e-3 < logits.std() < 1e3


def test_what_cannot_be_measured_is_said_before_anything_runs():
    plan = Plan(models=["espnet"], sizes=[(60, 32)], choice=choose_runtime("torch", "fp32", "cpu"))
    with pytest.raises(UsageError, match="multiples of 8"):
        measure(plan)
    with pytest.raises(WsisegError, match="could not be measured"):
        run_child(job_of(plan, "espnet", (60, 32)))


def test_modules_of_figure_3g():
    """ESP, by the paper's formulas: MN/K + (nN)^2/K, where N/K is cut, and the rest in the first branch."""
    found = {item.name: item for item in compare_modules()}
    n, narrow, first = 128, 25, 28
    assert (
        found["esp"].parameters == n * narrow + 9 * narrow * (first + 4 * narrow) + 2 * n + n
    )  # + BN + PReLU
    assert found["esp"].field_px == 33
    assert found["esp"].convolution_bytes == 4 * 128 * 64 * (narrow + n)
    assert found["mobilenet"].field_px == found["shufflenet"].field_px == 3
    assert found["resnet"].field_px == 5
    assert found["resnet"].parameters > 6.5 * found["esp"].parameters
    assert not found["esp"].reconstruction
    assert all(item.reconstruction for name, item in found.items() if name != "esp")


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.update(format="other"),
        lambda raw: raw.update(more=1),
        lambda raw: raw["measurements"][0].update(parameters=-1),
        lambda raw: raw["measurements"][0]["latency"].update(times_ms=[]),
        lambda raw: raw["measurements"][0]["latency"].update(times_ms=[0]),
        lambda raw: raw["measurements"][0]["peak_memory"].update(value=None),
    ],
)
def test_damaged_results_are_refused(change, one_measurement):
    raw = json.loads(Results(machine={}, measurements=(one_measurement,)).model_dump_json())
    parse_results(json.dumps(raw).encode(), "results")
    change(raw)
    with pytest.raises(InputRefusedError, match="no profiling results"):
        parse_results(json.dumps(raw).encode(), "results")


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"machine": NaN}', b"\xff" * 10])
def test_what_is_no_json_is_refused(data):
    with pytest.raises(InputRefusedError, match="no profiling results"):
        parse_results(data, "results")
