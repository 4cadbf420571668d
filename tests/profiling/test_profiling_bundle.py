"""The bundle as it is written, and the hostile archives that may come back."""

import ast
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile

import numpy as np
import onnx
import pytest
import torch

from wsiseg.errors import InputRefusedError, ModelRefusedError, UsageError
from wsiseg.profiling.bundle import archive
from wsiseg.profiling.bundle.device_network import DeviceNetwork, check_for_tensorrt, device_image
from wsiseg.profiling.bundle.device_results import read_device_results
from wsiseg.profiling.bundle.recording import read_recording
from wsiseg.profiling.bundle.write import RUNNER, write_bundle
from wsiseg.profiling.subject import load_subject

SIZE = (64, 32)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    table = write_bundle(["espnet", "enet", "erfnet", "tissue8-demo"], [SIZE], folder)
    return folder, table


def test_bundle_holds_what_its_table_says(bundle):
    folder, table = bundle
    assert {entry["model"] for entry in table["networks"]} == {"espnet", "enet", "erfnet", "tissue8-demo"}
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert present == {*table["files"], "bundle.json"}
    for name, expected in table["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == expected
    assert json.loads((folder / "bundle.json").read_text()) == json.loads(json.dumps(table))


def test_graphs_keep_to_what_tensorrt_takes(bundle):
    folder, table = bundle
    for entry in table["networks"]:
        graph = onnx.load(folder / entry["onnx"])
        assert [(item.domain, item.version) for item in graph.opset_import] == [("", 13)]
        (image,), (labels,) = graph.graph.input, graph.graph.output
        assert (image.name, image.type.tensor_type.elem_type) == ("image", onnx.TensorProto.FLOAT)
        assert (labels.name, labels.type.tensor_type.elem_type) == ("labels", onnx.TensorProto.INT32)
        assert [item.dim_value for item in image.type.tensor_type.shape.dim] == [1, 3, SIZE[1], SIZE[0]]
        kinds = {node.op_type for node in graph.graph.node}
        assert not kinds & {"MaxUnpool", "If", "Loop"}
        casts = {a.i for node in graph.graph.node if node.op_type == "Cast" for a in node.attribute}
        assert onnx.TensorProto.UINT8 not in casts


def test_reference_labels_are_the_networks_own(bundle):
    folder, table = bundle
    entry = next(entry for entry in table["networks"] if entry["model"] == "tissue8-demo")
    labels = np.fromfile(folder / entry["reference"], np.uint8).reshape(SIZE[1], SIZE[0])
    image = np.fromfile(folder / entry["input"], np.float32).reshape(1, 3, SIZE[1], SIZE[0])
    assert np.array_equal(image, device_image(*SIZE))
    pixels = torch.from_numpy(image.transpose(0, 2, 3, 1).astype(np.uint8))
    from wsiseg.models.normalise import Segmenter

    with torch.no_grad():
        expected = Segmenter(load_subject("tissue8-demo").model).eval()(pixels)[0].numpy()
    assert np.array_equal(labels, expected)


@pytest.mark.parametrize("name", ["espnet-c", "tissue8-demo"])
def test_device_network_says_ids_not_channels(name):
    model = load_subject(name).model
    network = DeviceNetwork(model).eval()
    with torch.no_grad():
        labels = network(torch.from_numpy(device_image(*SIZE)))
    assert labels.dtype == torch.int32
    assert tuple(labels.shape) == (1, SIZE[1], SIZE[0])
    assert set(labels.unique().tolist()) <= {item.id for item in model.card.classes if item.predicted}


def graph_with(operator, opset=13, kind=onnx.TensorProto.FLOAT):
    node = onnx.helper.make_node(operator, ["image"], ["labels"])
    ends = [onnx.helper.make_tensor_value_info(name, kind, [1]) for name in ("image", "labels")]
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:])
    return onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", opset)]
    ).SerializeToString()


def test_what_tensorrt_does_not_take_is_refused():
    check_for_tensorrt(graph_with("Relu"), "x")
    for data in (graph_with("Det"), graph_with("Relu", 17), graph_with("Relu", kind=onnx.TensorProto.UINT8)):
        with pytest.raises(ModelRefusedError, match=r"TensorRT 8\.2"):
            check_for_tensorrt(data, "x")


def test_bundle_is_written_whole_or_not_at_all(tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        write_bundle(["espnet"], [SIZE], tmp_path / "there")
    with pytest.raises(UsageError, match="multiples of 8"):
        write_bundle(["espnet"], [(60, 30)], tmp_path / "new")
    with pytest.raises(ModelRefusedError):
        write_bundle(["no-such-model"], [SIZE], tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_runner_is_python_3_6(bundle):
    """By its syntax, and by what it calls: vermin knows in which version every function came."""
    folder, _ = bundle
    for name in RUNNER:
        ast.parse((folder / name).read_text(encoding="utf-8"), feature_version=(3, 6))
    files = [str(folder / name) for name in RUNNER]
    command = [sys.executable, "-c", "import vermin; vermin.main()", "--target=3.6-", *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout


def test_runner_imports_nothing_that_a_device_may_lack(bundle):
    folder, _ = bundle
    allowed = {*sys.stdlib_module_names, "torch", "engines", "jetson"} - {
        "dataclasses",
        "zoneinfo",
        "tomllib",
    }
    for name in RUNNER:
        for node in ast.walk(ast.parse((folder / name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert {item.name.split(".")[0] for item in node.names} <= allowed
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0
                assert node.module.split(".")[0] in allowed


def test_runner_refuses_a_bundle_that_was_altered(bundle, tmp_path):
    folder, table = bundle
    shutil.copytree(folder, tmp_path / "copy")
    with (tmp_path / "copy" / table["networks"][0]["reference"]).open("ab") as file:
        file.write(b"x")
    done = subprocess.run(
        [sys.executable, tmp_path / "copy" / "run.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "copy the bundle again" in done.stderr
    assert not (tmp_path / "results.tar.gz").exists()


RUN = {
    "format": "wsiseg-device-1",
    "device": {"board": "quill"},
    "idle": [0.0, 1.0],
    "runs": [
        {
            "network": "espnet-64x32",
            "done": {
                "engine": "torch 1.10.2",
                "device": "NVIDIA Tegra X2",
                "threads": 4,
                "started": 1.0,
                "executing": [2.0, 4.0],
                "images": 20,
                "times_ms": [100.0, 100.0],
                "peak_memory": None,
                "peak_memory_unit": "MiB",
                "agreement": 1.0,
            },
        },
        {"network": "enet-64x32", "error": "out of memory"},
    ],
    "notes": [],
}


def pack(path, files):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
            else:
                member.type, member.linkname = content
                tar.addfile(member)
    return path


@pytest.fixture
def parts(bundle):
    folder, _ = bundle
    return {"run.json": json.dumps(RUN).encode(), "bundle.json": (folder / "bundle.json").read_bytes()}


def test_archive_is_read(tmp_path, parts):
    line = "RAM 895/7859MB (lfb 26x4MB) CPU [50%@345,off] EMC_FREQ 0% GR3D_FREQ 90%@854 VDD_IN {}/1 X 9/9\n"
    log = "".join(
        f"{at} {line.format(mw)}" for at, mw in ((0.5, 2000), (1.5, 9000), (2.5, 5000), (3.5, 7000))
    )
    parts["tegrastats.log"] = ("0.1 what is this\n" + log + "no time " + line).encode()
    found = read_device_results(pack(tmp_path / "results.tar.gz", parts))
    (item,) = found.measurements
    assert item.model == "espnet"
    assert item.latency.median_ms == 100
    power = item.whole_power()
    assert (power.source, power.rail, power.gross_w, power.net_w) == ("tegrastats", "VDD_IN", 6.0, 4.0)
    assert power.energy_per_image_j == pytest.approx(6.0 * 2 / 20)
    assert (item.mean_utilisation("cpu"), item.mean_utilisation("gpu")) == (0.5, 0.9)
    assert item.gpu_clock.value == 854
    assert item.peak_memory.value is None
    assert any("4 lines understood, 2 not" in note for note in found.notes)
    assert any(item.what == "enet-64x32" and item.reason == "out of memory" for item in found.missing)


def test_archive_without_readings_has_no_power_rather_than_none_drawn(tmp_path, parts):
    found = read_device_results(pack(tmp_path / "results.tar.gz", parts))
    (item,) = found.measurements
    assert item.power == ()
    assert item.mean_utilisation("gpu") is None
    assert {"tegrastats", "power rails", "power mode"} <= {entry.what for entry in found.missing}
    assert [entry.what for entry in item.missing] == ["power"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("../run.json", b"x"),
        ("/etc/cron.d/x", b"x"),
        ("sub/run.json", b"x"),
        ("run.json.exe", b"x"),
        ("tegrastats.log", (tarfile.SYMTYPE, "/etc/passwd")),
        ("tegrastats.log", (tarfile.LNKTYPE, "run.json")),
        ("tegrastats.log", (tarfile.FIFOTYPE, "")),
        ("data", (tarfile.DIRTYPE, "")),
        ("nvprof-times-../../x.csv", b"x"),
    ],
)
def test_archive_with_anything_else_is_refused(tmp_path, parts, name, content):
    path = pack(tmp_path / "results.tar.gz", {**parts, name: content})
    with pytest.raises(InputRefusedError, match="does not write"):
        archive.read_archive(path)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["results.tar.gz"]


def test_archive_that_swells_is_refused(tmp_path, parts, monkeypatch):
    monkeypatch.setattr(archive, "MAX_FILE", 1000_000)
    path = pack(tmp_path / "results.tar.gz", {"tegrastats.log": bytes(2000_000), **parts})
    assert path.stat().st_size < 20_000
    with pytest.raises(InputRefusedError, match="more than the runner writes"):
        archive.read_archive(path)
    monkeypatch.setattr(archive, "MAX_ARCHIVE", 100)
    with pytest.raises(InputRefusedError, match="no archive of the runner"):
        archive.read_archive(path)


@pytest.mark.parametrize("cut", [0, 5, 30, -200])
def test_cut_archive_is_refused(tmp_path, parts, cut):
    path = pack(tmp_path / "results.tar.gz", parts)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputRefusedError):
        read_device_results(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda run: run.update(format="x"),
        lambda run: run["runs"][0].update(network="unknown"),
        lambda run: run["runs"][0]["done"].update(times_ms=[]),
        lambda run: run["runs"][0]["done"].update(times_ms=[-1.0]),
        lambda run: run["runs"][0]["done"].update(agreement=2),
        lambda run: run["runs"][0]["done"].update(executing=["a", "b"]),
        lambda run: run["runs"][0]["done"].update(images=0),
        lambda run: run.update(idle=[float("nan"), 1.0]),
        lambda run: run.pop("device"),
    ],
)
def test_altered_run_is_refused(tmp_path, parts, change):
    run = json.loads(json.dumps(RUN))
    change(run)
    parts["run.json"] = json.dumps(run).encode()
    with pytest.raises(InputRefusedError, match="results"):
        read_device_results(pack(tmp_path / "results.tar.gz", parts))


@pytest.mark.parametrize(
    "line",
    ["{", "[]", '{"t": 1}', '{"t": 1e999, "rails_mw": {}, "gpu_hz": 1, "gpu_load": 1}', "\0", "[" * 9000],
)
def test_log_lines_that_are_none_are_left_out(line):
    assert read_recording("", line).power == {}
