"""Sources of power readings on trees and programs of known content; what does not answer says why."""

import sys
from types import SimpleNamespace

import pytest
from fake_jetson import make_programs, make_tree, write

from wsiseg.profiling.nvml_library import Nvml
from wsiseg.profiling.power import battery, ina3221, jetson_stats, nvml, rapl, source, tegrastats
from wsiseg.profiling.results import Missing


def rapl_tree(root, energy):
    for number, (name, microjoules) in enumerate(energy.items()):
        folder = root / f"sys/class/powercap/intel-rapl:{number}"
        write(folder / "name", name)
        write(folder / "energy_uj", microjoules)
        write(folder / "max_energy_range_uj", 10_000_000)
    return root


def test_rapl_is_energy_over_time_and_survives_the_wrap(tmp_path):
    rapl_tree(tmp_path, {"package-0": 1_000_000, "dram": 5})
    counters = rapl.find(tmp_path)
    assert counters.read(100.0) == {}
    write(tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj", 4_000_000)
    assert counters.read(102.0) == {"package-0 0": 1.5, "dram 1": 0.0}
    write(tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj", 2_000_000)
    assert counters.read(104.0)["package-0 0"] == pytest.approx(
        4.0
    )  # 8 J: to the wrap at 10 J, and 2 J beyond


def test_rapl_without_the_right_to_read(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))  # what Linux says to all but root

    monkeypatch.setattr(rapl, "read_number", refuse)
    answer = rapl.find(rapl_tree(tmp_path, {"package-0": 1}))
    assert isinstance(answer, Missing)
    assert "root" in answer.reason


def test_rapl_counter_that_holds_no_number_is_left_out(tmp_path):
    rapl_tree(tmp_path, {"package-0": 1, "dram": "busy"})
    assert list(rapl.find(tmp_path).read(0.0)) == []
    assert [counter.rail for counter in rapl.find(tmp_path)._counters] == ["package-0 0"]


def test_rails_of_a_tx2(tmp_path):
    rails = ina3221.find(make_tree(tmp_path))
    assert rails.read(0.0)["VDD_IN"] == pytest.approx(1.84)
    assert len(rails.read(0.0)) == 6
    assert rails.whole == {"VDD_IN"}


def test_rails_of_a_newer_kernel(tmp_path):
    folder = tmp_path / "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"
    for channel, (label, volts, amperes) in enumerate(
        [("VDD_IN", 5000, 800), ("NC", 0, 0), ("sum of shunt voltages", 1, 1)], start=1
    ):
        write(folder / f"in{channel}_label", label)
        write(folder / f"in{channel}_input", volts)
        write(folder / f"curr{channel}_input", amperes)
    assert ina3221.find(tmp_path).read(0.0) == {"VDD_IN": 4.0}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"status": "Discharging", "power_now": 7_500_000}, {"battery": 7.5}),
        ({"status": "Discharging", "voltage_now": 12_000_000, "current_now": -500_000}, {"battery": 6.0}),
        ({"status": "Charging", "power_now": 7_500_000}, "mains"),
        ({"status": "Discharging"}, "does not say"),
        ({"status": "Discharging", "power_now": 1, "scope": "Device"}, "no battery"),
        ({}, "does not say"),
    ],
)
def test_battery(tmp_path, files, expected):
    folder = tmp_path / "sys/class/power_supply/BAT0"
    write(folder / "type", "Battery")
    for name, value in files.items():
        write(folder / name, value)
    answer = battery.find(tmp_path)
    if isinstance(expected, str):
        assert expected in answer.reason
    else:
        assert answer.read(0.0) == expected
        write(folder / "status", "Charging")  # plugged in on the way: no reading rather than a wrong one
        assert answer.read(1.0) == {}


LINE = (
    "RAM 895/7859MB (lfb 26x4MB) CPU [1%@345] EMC_FREQ 0% GR3D_FREQ 4% VDD_IN 1610/1658 VDD_SYS_GPU 153/153"
)


def test_tegrastats_runs_and_is_ended(tmp_path, monkeypatch):
    (tmp_path / "log").write_text(f"garbage\n{LINE}\n")
    environment = make_programs(tmp_path / "bin", tmp_path / "log")
    monkeypatch.setenv("PATH", environment["PATH"])
    running = tegrastats.find()
    assert running.read(0.0) == {"VDD_IN": 1.61, "VDD_SYS_GPU": 0.153}
    assert running.whole == {"VDD_IN"}
    assert running.garbage >= 1
    running.close()
    with pytest.raises(OSError, match="ended"):
        running.read(1.0)


@pytest.mark.parametrize(("text", "reason"), [("", "nothing"), (LINE.split(" VDD")[0], "no power sensors")])
def test_tegrastats_without_rails(tmp_path, monkeypatch, text, reason):
    program = tmp_path / "tegrastats"
    program.write_text(f"#!{sys.executable}\nprint({text!r}, flush=True)\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert reason in tegrastats.find().reason


class NVMLError(Exception):
    value = 0


class Library:
    """The calls of NVML for one GPU that draws 100 W, and counts energy or not."""

    NVMLError = NVMLError
    NVML_ERROR_NO_PERMISSION = 4
    NVML_CLOCK_SM = 1

    def __init__(self, counts):
        self.counts = counts
        self.energy_mj = 1_000_000
        self.locked = []

    def nvmlDeviceGetCount(self):  # noqa: N802
        return 1

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return index

    def nvmlDeviceGetName(self, handle):  # noqa: N802
        return b"GPU"

    def nvmlDeviceGetPowerUsage(self, handle):  # noqa: N802
        return 100_000

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):  # noqa: N802
        if not self.counts:
            raise NVMLError("not supported")
        self.energy_mj += 50_000
        return self.energy_mj


@pytest.mark.parametrize(("counts", "first"), [(True, {}), (False, {"GPU 0 GPU": 100.0})])
def test_nvml_counts_energy_where_it_can(counts, first):
    gpu = nvml.NvmlSource(Nvml(Library(counts)))
    assert gpu.read(10.0) == first
    assert gpu.read(10.5) == {"GPU 0 GPU": 100.0}
    assert gpu.whole == {"GPU 0 GPU"}


def test_jetson_stats_rails_and_its_named_total():
    answer = {"rail": {"VDD_SYS_GPU": {"power": 153}}, "tot": {"name": "VDD_IN", "power": 1840, "avg": 1}}
    connection = SimpleNamespace(power=answer)
    assert jetson_stats.JetsonStatsSource(connection).read(0.0) == {"VDD_SYS_GPU": 0.153, "VDD_IN": 1.84}
    connection.power = {"rail": {"GPU": {"power": 1}}, "tot": {"power": 9, "avg": 1}}  # a sum made by jtop
    assert jetson_stats.JetsonStatsSource(connection).read(0.0) == {"GPU": 0.001}
    connection.power = ({"power": 1}, {})  # version 3
    with pytest.raises(OSError, match="not known"):
        jetson_stats.JetsonStatsSource(connection).read(0.0)


def test_what_is_absent_says_why_and_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    found, missing = source.find_sources(tmp_path)
    named = {item.what for item in missing}
    assert {"power: RAPL", "power: INA3221", "power: tegrastats", "power: battery"} <= named
    assert all(item.reason and item.remedy for item in missing)
    assert all(item.name == "NVML" for item in found)


def test_a_jetson_is_read_once_not_three_times(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    found, missing = source.find_sources(make_tree(tmp_path / "root"))
    assert "INA3221" in [item.name for item in found]
    assert not {"power: tegrastats", "power: jetson-stats"} & {item.what for item in missing}
