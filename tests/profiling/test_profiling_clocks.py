"""Clocks on a tree of known content: what is set, what is put back, and what comes out of two clocks."""

import json
import subprocess
import sys

import pytest
from fake_jetson import CLOCKS_R32, GPU, make_programs, make_tree, write

from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.profiling.clocks import gpu, sensitivity, sweep
from wsiseg.profiling.clocks.power_mode import parse_power_mode, read_power_mode
from wsiseg.profiling.results import Missing

ALLOWED = [int(word) / 1e6 for word in CLOCKS_R32.split()]


@pytest.fixture
def clock(tmp_path):
    return gpu.find_gpu_clock(make_tree(tmp_path / "root"))


def limits(clock):
    return clock.state()["min_freq"], clock.state()["max_freq"]


def test_a_tx2_names_its_clocks(clock):
    assert clock.allowed_mhz() == ALLOWED
    assert clock.current_mhz() == 1300.5
    assert gpu.nearest_mhz(ALLOWED, 824) == 854.25
    assert gpu.nearest_mhz(ALLOWED, 1134) == 1122.0


def test_limits_are_written_in_an_order_that_the_driver_takes(clock, monkeypatch):
    """The driver refuses a minimum above the maximum, at every single write."""
    write_text = type(clock.folder).write_text

    def checked(path, text, **kwargs):
        write_text(path, text, **kwargs)
        low, high = (int((clock.folder / name).read_text()) for name in ("min_freq", "max_freq"))
        assert low <= high, "Invalid argument"

    monkeypatch.setattr(type(clock.folder), "write_text", checked)
    for mhz in (854.25, 114.75, 1300.5, 420.75):
        clock.lock(mhz)
        assert limits(clock) == (str(round(mhz * 1e6)),) * 2
    clock.restore({"min_freq": "114750000", "max_freq": "1300500000"})


def test_no_gpu_says_why(tmp_path):
    answer = gpu.find_gpu_clock(tmp_path)
    if isinstance(answer, Missing):  # a machine with an NVIDIA GPU has a clock whatever the tree says
        assert "Tegra" in answer.reason


def test_clocks_to_try_hold_the_ends_and_the_papers_two():
    assert sweep.choose_clocks(ALLOWED, 5) == [114.75, 420.75, 854.25, 1122.0, 1300.5]
    assert sweep.choose_clocks([300.0, 600.0], 5) == [300.0, 600.0]
    with pytest.raises(UsageError, match="no clock"):
        sweep.choose_clocks([])


def test_sweep_visits_every_clock_and_puts_them_back(clock, tmp_path):
    seen = []
    sweep.sweep(clock, [854.25, 1122.0], tmp_path, lambda mhz: seen.append((mhz, clock.current_mhz())))
    assert seen == [(854.25, 854.25), (1122.0, 1122.0)]
    assert limits(clock) == ("114750000", "1300500000")
    assert not (tmp_path / sweep.STATE_FILE).exists()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_sweep_puts_clocks_back_when_it_breaks(clock, tmp_path, error):
    def fail(mhz):
        raise error

    with pytest.raises(error):
        sweep.sweep(clock, [854.25], tmp_path, fail)
    assert limits(clock) == ("114750000", "1300500000")


CHILD = """
import os, pathlib, signal, sys
from wsiseg.profiling.clocks import gpu, sweep
clock = gpu.find_gpu_clock(pathlib.Path(sys.argv[1]))
def end(mhz):
    assert clock.current_mhz() == 854.25
    os.kill(os.getpid(), getattr(signal, sys.argv[3]))
sweep.sweep(clock, [854.25], pathlib.Path(sys.argv[2]), end)
"""


def run_child(tmp_path, signal_name):
    return subprocess.run(
        [sys.executable, "-c", CHILD, tmp_path / "root", tmp_path, signal_name],
        timeout=120,
        capture_output=True,
        check=False,
    )


def test_sweep_puts_clocks_back_on_sigterm(clock, tmp_path):
    assert run_child(tmp_path, "SIGTERM").returncode == 128 + 15
    assert limits(clock) == ("114750000", "1300500000")


def test_what_a_killed_sweep_left_is_put_back_from_its_file(clock, tmp_path):
    assert run_child(tmp_path, "SIGKILL").returncode == -9
    assert limits(clock) == ("854250000", "854250000")
    with pytest.raises(UsageError, match="--restore"):
        sweep.sweep(clock, [1122.0], tmp_path, print)
    sweep.restore_from(clock, tmp_path / sweep.STATE_FILE)
    assert limits(clock) == ("114750000", "1300500000")
    assert not (tmp_path / sweep.STATE_FILE).exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"clock": "other", "state": {"min_freq": "1", "max_freq": "2"}}',
        '{"clock": "devfreq 17000000.gp10b", "state": {"min_freq": "1; reboot", "max_freq": "2"}}',
        '{"clock": "devfreq 17000000.gp10b", "state": {"../../etc/x": "1"}}',
    ],
)
def test_another_file_restores_nothing(clock, tmp_path, text):
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(InputRefusedError):
        sweep.restore_from(clock, tmp_path / "state.json")
    assert limits(clock) == ("114750000", "1300500000")


def test_refused_by_the_system_is_one_line_and_leaves_the_clock(clock, tmp_path, monkeypatch):
    def refuse(mhz):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(clock, "lock", refuse)
    with pytest.raises(UsageError, match="sudo"):
        sweep.sweep(clock, [854.25], tmp_path, print)
    assert not (tmp_path / sweep.STATE_FILE).exists()


def test_dry_run_changes_nothing_and_says_all(clock):
    said = "\n".join(sweep.describe_sweep(clock, [854.25, 1122.0], ["espnet"]))
    assert "854.25, 1122 MHz" in said
    assert "min_freq 114750000" in said
    assert limits(clock) == ("114750000", "1300500000")


def test_sensitivity_by_hand():
    """From 800 to 1200 MHz (+50 %), 100 to 70 ms (-30 %): 0.6; a time that does not move: 0."""
    low, high = sensitivity.Timed("a", 800, 100), sensitivity.Timed("a", 1200, 70)
    assert sensitivity.sensitivity(low, high) == pytest.approx(0.6)
    assert sensitivity.sensitivity(low, sensitivity.Timed("a", 1200, 100)) == 0
    with pytest.raises(InputRefusedError, match="two clocks"):
        sensitivity.sensitivity(high, low)


def test_the_papers_two_clocks_are_compared_where_there_are_such():
    timed = [sensitivity.Timed("a", mhz, 1000 / mhz) for mhz in ALLOWED]
    (found,) = sensitivity.sensitivities(timed)
    assert (found.from_mhz, found.to_mhz) == (854.25, 1122.0)
    (found,) = sensitivity.sensitivities(timed[:4])
    assert (found.from_mhz, found.to_mhz) == (114.75, 420.75)


def test_one_clock_read_twice_is_no_sweep():
    assert sensitivity.sensitivities([sensitivity.Timed("a", 1300, 5), sensitivity.Timed("a", 1302, 6)]) == []


def test_table_of_times(tmp_path):
    path = tmp_path / "times.csv"
    path.write_text("model,gpu_mhz,time_ms\nespnet,824,111\nespnet,1134,85\n")
    (found,) = sensitivity.sensitivities(sensitivity.read_timed(path))
    assert found.ratio == pytest.approx((26 / 111) / (310 / 824))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "columns a, b"),
        ("", "columns none"),
        ("model,gpu_mhz,time_ms\nx,fast,1\n", "line 2"),
        ("model,gpu_mhz,time_ms\nx,-5,1\n", "line 2"),
        ("model,gpu_mhz,time_ms\nx,nan,1\n", "line 2"),
        ("model,gpu_mhz,time_ms\nx,100,1\n", "two clocks"),
    ],
)
def test_table_that_is_none(tmp_path, text, said):
    path = tmp_path / "times.csv"
    path.write_text(text)
    with pytest.raises(InputRefusedError, match=said):
        sensitivity.read_timed(path)


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("NV Power Mode: MAXN\n0\n", "MAXN (0), Max-N"),
        ("NVPM VERB: Current mode: NV Power Mode: MAXP_CORE_ARM\n3\n", "MAXP_CORE_ARM (3), Max-P"),
        ("NV Fan Mode:quiet\nNV Power Mode: MODE_15W_6CORE\n2\n", "MODE_15W_6CORE (2)"),
        ("nvpmodel: command not found", None),
    ],
)
def test_power_mode(text, mode):
    assert parse_power_mode(text) == mode


@pytest.mark.shared
def test_power_mode_of_real_output(shared_data):
    text = (shared_data / "tegra" / "tx2_sysfs_nvpmodel_jetson_clocks.txt").read_text(encoding="utf-8")
    r32 = text.split("L4T R32.2", 1)[1].split("## ", 1)[0]
    assert parse_power_mode(r32) == "MAXP_CORE_ARM (3), Max-P"
    r28 = text.split("L4T R28 (index id 53025126993", 1)[1].split("L4T R32.2", 1)[0]
    assert parse_power_mode(r28) == "MAXN (0), Max-N"


def test_power_mode_is_asked_of_the_program(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read_power_mode().reason.startswith("no program nvpmodel")
    monkeypatch.setenv("PATH", make_programs(tmp_path / "bin", tmp_path / "log")["PATH"])
    assert read_power_mode() == "MAXN (0), Max-N"


def test_state_file_is_readable_by_a_person(clock, tmp_path):
    with sweep.restoring(clock, tmp_path):
        kept = json.loads((tmp_path / sweep.STATE_FILE).read_text())
    assert kept == {"clock": clock.name, "state": {"min_freq": "114750000", "max_freq": "1300500000"}}


def test_tree_is_that_of_a_tx2(tmp_path):
    write(tmp_path / "x", 1)
    assert (make_tree(tmp_path / "root") / GPU / "cur_freq").is_symlink()
