"""The whole way, on a device that is simulated: bundle, runner, archive, report.

The runner runs as a user would start it, with this Python and, where there is one, with Python 3.6 and torch
1.10.2 (`make edge-env`). The sensors replay real logs of a TX2.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fake_jetson import GPU, make_programs, make_tree
from typer.testing import CliRunner

from wsiseg.cli.main import app
from wsiseg.profiling.bundle.device_results import read_device_results
from wsiseg.profiling.bundle.write import write_bundle

ROOT = Path(__file__).resolve().parents[2]
EDGE = ROOT / ".venv-edge"
EDGE_PYTHON = EDGE / "bin" / "python"
BEFORE = ("114750000", "1300500000")
QUICK = ["--trials", "2", "--threads", "1", "--interval-ms", "20"]
LINE = "RAM 895/7859MB (lfb 26x4MB) CPU [1%@345] EMC_FREQ 0% GR3D_FREQ 4% VDD_IN 9/9\n"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("device") / "bundle"
    write_bundle(["espnet"], [(64, 32)], folder)
    return folder


def start(command, tmp_path, environment):
    """Run a command in the folder to its end."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def limits(root):
    return tuple((root / GPU / name).read_text().strip() for name in ("min_freq", "max_freq"))


@pytest.mark.shared
def test_bundle_runs_on_a_device_and_its_archive_becomes_a_report(bundle, tmp_path, shared_data):
    root = make_tree(tmp_path / "root")
    environment = make_programs(tmp_path / "bin", shared_data / "tegra" / "tx2_r32_tegrastats_excerpt.txt")
    command = [sys.executable, bundle / "run.py", "--root", root, *QUICK, "--power-mode", "1"]
    command += ["--gpu-mhz", "824", "1134", "--min-samples", "4", "--idle-samples", "4"]
    done = start(command, tmp_path, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 measured, 0 failed" in done.stdout
    # What was changed is as before: the limits of the clock, and the mode that was set last.
    assert limits(root) == BEFORE
    assert (tmp_path / "bin" / "mode").read_text().split() == ["0", "1", "0"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "results.tar.gz", "root"]

    found = read_device_results(tmp_path / "results.tar.gz")
    assert [item.gpu_clock.value for item in found.measurements] == [854.25, 1122.0]
    for item in found.measurements:
        assert item.agreement.value >= 0.999
        assert item.power_mode == "MAXQ (1), Max-Q"
        assert item.latency.trials == 2
        rails = {(power.source, power.rail): power for power in item.power}
        assert rails["INA3221", "VDD_IN"].gross_w == pytest.approx(1.84)
        assert rails["INA3221", "VDD_IN"].net_w == pytest.approx(0)
        assert 1.4 < rails["tegrastats", "VDD_IN"].gross_w < 8
        assert rails["tegrastats", "VDD_IN"].samples >= 4
        assert item.mean_utilisation("gpu") is not None
        assert 0.1 < item.mean_utilisation("memory") < 0.5
    (kernels,) = found.kernels
    assert kernels.tool == "nvprof"
    assert (kernels.efficiencies[0].name, kernels.efficiencies[0].percent) == (
        "warp_execution_efficiency",
        pytest.approx(95),
    )
    (note,) = [note for note in found.notes if note.startswith("tegrastats:")]
    assert "Tue Jan 26 18:22:31 UTC 2021" in note  # the log's one line that is none: counted and shown

    folder = tmp_path / "report"
    said = CliRunner().invoke(app, ["profile", "report", str(tmp_path / "results.tar.gz"), "-o", str(folder)])
    assert said.exit_code == 0, said.output
    assert "1 at 824 MHz, 2.2 at 1134 MHz" in said.output  # the paper's watts, beside the measured ones
    drawn = {path.name for path in (folder / "plots").iterdir()}
    assert {"speed-frequency.png", "sensitivity.png", "power-frequency.png", "efficiency.png"} <= drawn
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "quill" in page
    assert "MAXQ (1), Max-Q" in page


@pytest.mark.skipif(
    not (EDGE / "installed").is_file(), reason="no Python 3.6 with torch 1.10.2 here: make edge-env"
)
def test_runner_under_python_3_6_gives_the_reference_labels(tmp_path):
    """What a TX2 has: Python 3.6 and torch 1.10, with files that today's torch wrote."""
    probe = "import sys, torch; print(sys.version_info[:2], torch.__version__)"
    said = start([EDGE_PYTHON, "-c", probe], tmp_path, dict(os.environ)).stdout
    assert "(3, 6)" in said
    assert "1.10.2" in said
    write_bundle(["espnet", "enet", "erfnet", "tissue8-demo"], [(64, 32)], tmp_path / "bundle")
    (tmp_path / "log").write_text(LINE)
    environment = make_programs(tmp_path / "bin", tmp_path / "log", interpreter=str(EDGE_PYTHON))
    command = [EDGE_PYTHON, tmp_path / "bundle" / "run.py", "--root", make_tree(tmp_path / "root"), *QUICK]
    command += ["--min-samples", "1", "--idle-samples", "1", "--no-nvprof"]
    done = start(command, tmp_path, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    found = read_device_results(tmp_path / "results.tar.gz").measurements
    assert [item.model for item in found] == ["espnet", "enet", "erfnet", "tissue8-demo"]
    assert all(item.runtime.startswith("torch 1.10.2") for item in found)
    assert all(item.agreement.value >= 0.999 for item in found)
    rails = [power for item in found for power in item.power if power.source == "tegrastats"]
    assert [power.gross_w for power in rails] == [pytest.approx(0.009)] * 4


def test_no_jetson_at_all_and_a_network_that_fails(tmp_path):
    """It measures and checks what it can, and says what it could not."""
    folder = tmp_path / "bundle"
    write_bundle(["espnet", "espnet-c"], [(64, 32)], folder)
    table = json.loads((folder / "bundle.json").read_text())
    name = table["networks"][0]["torchscript"]
    (folder / name).write_bytes(b"not a network")  # though the table knows it so
    table["files"][name] = hashlib.sha256(b"not a network").hexdigest()
    (folder / "bundle.json").write_text(json.dumps(table))
    command = [sys.executable, folder / "run.py", "--root", tmp_path, *QUICK, "-o", "out.tar.gz"]
    command += ["--min-samples", "2", "--idle-samples", "2"]
    done = start(command, tmp_path, {**os.environ, "PATH": str(tmp_path)})
    assert done.returncode == 5, done.stdout + done.stderr
    found = read_device_results(tmp_path / "out.tar.gz")
    (item,) = found.measurements
    assert item.model == "espnet-c"
    assert item.agreement.value >= 0.999
    assert item.power == ()
    assert item.gpu_clock.value is None
    assert {"tegrastats", "power rails", "power mode", "espnet-64x32"} <= {
        entry.what for entry in found.missing
    }


ENDED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import run
def end(self, job, prefix):
    if os.environ["END"] == "error":
        raise RuntimeError("no network here")
    os.kill(os.getpid(), getattr(signal, os.environ["END"]))
run.Run.child = end
sys.argv = ["run.py", *sys.argv[2:]]
run.main()
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_clocks_are_put_back_when_the_runner_is_ended(bundle, tmp_path, name):
    """At once after SIGTERM; by the next run after SIGKILL, which nothing survives."""
    root = make_tree(tmp_path / "root")
    (tmp_path / "log").write_text(LINE)
    environment = {**make_programs(tmp_path / "bin", tmp_path / "log"), "END": name}
    command = [sys.executable, "-c", ENDED, bundle, "--root", root, *QUICK, "--no-nvprof"]
    command += ["--min-samples", "1", "--idle-samples", "1"]
    ended = start([*command, "--gpu-mhz", "824"], tmp_path, environment)
    if name == "SIGKILL":
        assert ended.returncode == -signal.SIGKILL
        assert limits(root) == ("854250000", "854250000")
        after = start(command, tmp_path, {**environment, "END": "error"})
        assert after.returncode == 5, after.stderr
    else:
        assert ended.returncode == 128 + signal.SIGTERM, ended.stderr
    assert limits(root) == BEFORE
    assert not list(tmp_path.glob("*.clocks-before.json"))
