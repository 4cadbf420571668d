"""The command as a user types it: files out, streams, exit codes."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tifffile
import torch
import zarr
from PIL import Image

from wsiseg.class_map import TISSUE8
from wsiseg.models import Architecture, ModelCard, build_model, save_model


def wsiseg(*arguments, cwd=None):
    command = [sys.executable, "-m", "wsiseg", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=240)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "random.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = build_model("espnet", num_classes=8, alpha3=3)
    save_model(
        path,
        network,
        ModelCard(
            name="random",
            summary="Random weights.",
            architecture=Architecture(name="espnet", num_classes=8, options={"alpha3": 3}),
            classes=TISSUE8.classes,
            domain="slide",
            mpp=1.0,
            mean=(180, 150, 180),
            std=(50, 50, 50),
            licence="Apache-2.0",
            source="tests",
            training_data="none",
        ),
    )
    return path


def write_slide(path, seed=0, mpp=0.5):
    random = np.random.default_rng(seed)
    pink = np.array([210, 140, 180]) + random.integers(-30, 30, (40, 50, 1))
    rgb = pink.astype(np.uint8).repeat(12, 0).repeat(12, 1)
    per_cm = 10000 / mpp
    tifffile.imwrite(
        path, rgb, tile=(128, 128), photometric="rgb", resolution=(per_cm, per_cm), resolutionunit=3
    )
    return path


def test_predict_writes_three_files_and_says_so(tmp_path, model):
    slide = write_slide(tmp_path / "a slide.tif")
    done = wsiseg("predict", slide, "--model", model, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert sorted(item.name for item in (tmp_path / "out").iterdir()) == [
        "a slide.overlay.png",
        "a slide.summary.json",
        "a slide.wsiseg.ome.zarr",
    ]
    assert done.stdout.rstrip().splitlines()[-1] == "Random weights. Not for diagnostic use."
    assert done.stderr == ""
    with Image.open(tmp_path / "out" / "a slide.overlay.png") as overlay:
        assert overlay.size[0] > 1000


def test_json_is_the_summary_and_nothing_else(tmp_path, model):
    slide = write_slide(tmp_path / "s.tif")
    done = wsiseg("predict", slide, "--model", model, "-o", tmp_path, "--json")
    summary = json.loads(done.stdout)
    assert summary == json.loads((tmp_path / "s.summary.json").read_text())
    assert summary["areas"]["predicted"] > 0
    assert str(tmp_path) not in done.stdout
    again = wsiseg("predict", slide, "--model", model, "-o", tmp_path)
    assert "already finished" in again.stdout


def test_an_override_drives_every_spacing(tmp_path, model):
    slide = write_slide(tmp_path / "s.tif")
    done = wsiseg("predict", slide, "--model", model, "-o", tmp_path, "--slide-mpp", "0.8,0.4", "--json")
    summary = json.loads(done.stdout)
    assert summary["run"]["slide"]["mpp"] == [0.8, 0.4]
    total = sum(summary["areas"][key] for key in ("predicted", "no_tissue", "unread", "not_analysed"))
    assert total == pytest.approx(600 * 0.8 * 480 * 0.4 * 1e-6, rel=0.01)
    attributes = json.loads((tmp_path / "s.wsiseg.ome.zarr/labels/tissue/zarr.json").read_text())[
        "attributes"
    ]["ome"]
    assert attributes["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["absent.svs"], 3, "absent.svs"),
        (["s.tif", "--roi", "1,2,3"], 2, "expected X,Y,W,H"),
        (["s.tif", "--roi", "9000,9000,10,10"], 2, "has no pixel of the slide"),
        (["s.tif", "--ngff", "0.6"], 2, "expected 0.5 or 0.4"),
        (["s.tif", "--runtime", "abacus"], 2, "unknown runtime 'abacus'"),
        (["s.tif", "--precision", "fp8"], 2, "unknown precision"),
        (["s.tif", "--slide-mpp", "0"], 2, "expected 0.05 to 10"),
        (["s.tif", "--slide-mpp", "4"], 3, "model needs 1 um/px"),
        (["s.tif", "--tissue", "absent.png"], 3, "no such file"),
        (["s.tif", "--image-mpp", "0.2"], 2, "finer than the labels"),
        (["s.tif", "other/s.tif"], 2, "would both be written as s"),
        (["s.tif", "--model", "absent.safetensors"], 3, "absent.safetensors"),
    ],
)
def test_wrong_use_ends_in_one_line_and_its_code(tmp_path, model, arguments, code, message):
    write_slide(tmp_path / "s.tif")
    if "--model" not in arguments:
        arguments = [*arguments, "--model", str(model)]
    done = wsiseg("predict", *arguments, "-o", "out", cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_one_bad_slide_does_not_stop_the_others(tmp_path, model):
    write_slide(tmp_path / "a.tif", 1)
    (tmp_path / "b.svs").write_text("no slide")
    write_slide(tmp_path / "c.tif", 2)
    done = wsiseg("predict", "a.tif", "b.svs", "c.tif", "--model", model, "-o", "out", "--json", cwd=tmp_path)
    assert done.returncode == 5
    states = [(item["slide"], item["state"]) for item in json.loads(done.stdout)]
    assert states == [("a.tif", "finished"), ("b.svs", "failed"), ("c.tif", "finished")]
    assert "1 of 3 slides failed" in done.stderr


def test_missing_and_implausible_mpp_name_the_flag(shared_data, tmp_path, model):
    for name in ("tcga-jpeg2000-no-mpp.svs", "CMU-1-wrong-mpp.jpeg.tiff"):
        done = wsiseg("predict", shared_data / "slides" / name, "--model", model, "-o", tmp_path)
        assert done.returncode == 3
        assert "--slide-mpp" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert not list(tmp_path.iterdir())


def test_a_photo_is_segmented_at_its_own_size(shared_data, tmp_path):
    from street_picture import draw_street

    Image.fromarray(draw_street(2036, 1013)).save(tmp_path / "street.png")
    weights = shared_data / "espnet_release" / "decoder_espnet_p_2_q_8.pth"
    imported = wsiseg("models", "import", weights, "-o", tmp_path / "city.safetensors")
    assert imported.returncode == 0, imported.stderr
    done = wsiseg(
        "predict", tmp_path / "street.png", "--model", tmp_path / "city.safetensors", "-o", tmp_path, "--json"
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["areas"] == {
        "unit": "px",
        "predicted": 2036 * 1013,
        "no_tissue": 0,
        "unread": 0,
        "not_analysed": 0,
    }
    assert summary["warnings"] == []
    rows = {row["name"]: row for row in summary["classes"]}
    labels = zarr.open_group(str(tmp_path / "street.wsiseg.ome.zarr"), mode="r")["labels/tissue/0"][:]
    assert labels.shape == (1013, 2036)
    assert (labels[880:990, 900:1100] == rows["road"]["id"]).mean() > 0.9
    assert rows["void"]["px"] == 0
    attributes = json.loads((tmp_path / "street.wsiseg.ome.zarr/labels/tissue/zarr.json").read_text())[
        "attributes"
    ]["ome"]
    assert all("unit" not in axis for axis in attributes["multiscales"][0]["axes"])
    refused = wsiseg(
        "predict",
        tmp_path / "street.png",
        "--model",
        tmp_path / "city.safetensors",
        "-o",
        tmp_path,
        "--slide-mpp",
        "0.5",
        "--overwrite",
    )
    assert refused.returncode == 2
    assert "photos" in refused.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["a.tif", "a.overlay.png"],  # the first result would be written over the second input
        ["a.tif", "--tissue", "a.overlay.png"],
        ["a.tif", "--overwrite", "--tissue", "a.overlay.png"],
    ],
)
def test_no_input_of_the_run_is_ever_written_over(tmp_path, model, arguments):
    write_slide(tmp_path / "a.tif")
    Image.new("RGB", (600, 480), (200, 120, 170)).save(tmp_path / "a.overlay.png")
    before = (tmp_path / "a.overlay.png").read_bytes()
    done = wsiseg("predict", *arguments, "--model", model, "--slide-mpp", "0.5", cwd=tmp_path)
    assert done.returncode == 2
    assert "overlap" in done.stderr
    assert (tmp_path / "a.overlay.png").read_bytes() == before


def test_an_output_folder_that_is_a_file_is_refused(tmp_path, model):
    write_slide(tmp_path / "a.tif")
    (tmp_path / "out").write_text("a file")
    done = wsiseg("predict", "a.tif", "--model", model, "-o", "out", cwd=tmp_path)
    assert done.returncode == 2
    assert "is a file" in done.stderr


def test_names_that_differ_in_case_alone_are_one_where_files_are(monkeypatch):
    from wsiseg.cli import predict
    from wsiseg.errors import UsageError

    monkeypatch.setattr(predict.sys, "platform", "linux")
    predict._check_ids(["x/A.svs", "y/a.svs"])
    monkeypatch.setattr(predict.sys, "platform", "darwin")
    with pytest.raises(UsageError, match="would both be written"):
        predict._check_ids(["x/A.svs", "y/a.svs"])


def test_also_exports_and_leaves_what_exists(tmp_path, model):
    slide = write_slide(tmp_path / "s.tif")
    mine = tmp_path / "s.geojson"
    mine.write_text("drawn by hand")
    command = ["predict", slide, "--model", model, "-o", tmp_path, "--also", "geojson", "--also", "csv"]
    done = wsiseg(*command)
    assert done.returncode == 0, done.stderr
    assert mine.read_text() == "drawn by hand"
    assert "s.geojson exists, left as it is" in done.stderr
    table = (tmp_path / "s.composition.csv").read_text()
    assert "necrosis" in table
    assert str(tmp_path / "s.composition.csv") in done.stdout
    done = wsiseg(*command, "--overwrite")
    assert done.returncode == 0, done.stderr
    assert json.loads(mine.read_text())["type"] == "FeatureCollection"
    refused = wsiseg("predict", slide, "--model", model, "-o", tmp_path, "--also", "docx")
    assert refused.returncode == 2
    assert "unknown --also 'docx'" in refused.stderr
