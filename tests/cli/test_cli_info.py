"""wsiseg info: what a person and a program get to see of slides and results."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from small_models import integer_model

from wsiseg import PredictOptions, segment_slide


def info(*arguments):
    command = [sys.executable, "-m", "wsiseg", "info", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture
def slide(tmp_path):
    path = tmp_path / "Jane Doe 1234.tif"
    tifffile.imwrite(
        path,
        np.full((256, 384, 3), 200, np.uint8),
        tile=(128, 128),
        photometric="rgb",
        resolution=(20000, 20000),
        resolutionunit=3,
    )
    return path


def test_table_for_a_person(slide):
    done = info(slide)
    assert done.returncode == 0, done.stderr
    assert "384 x 256 px" in done.stdout
    assert "0.5 x 0.5 um" in done.stdout


def test_json_for_a_program(slide):
    found = json.loads(info(slide, "--json").stdout)
    assert (found["width_px"], found["height_px"]) == (384, 256)
    assert found["mpp"] == [0.5, 0.5]
    assert found["name"] == slide.name


@pytest.mark.parametrize("flags", [["--redact"], ["--redact", "--json"]])
def test_redact_leaves_out_every_name(slide, flags):
    done = info(slide, *flags)
    assert done.returncode == 0
    assert "Doe" not in done.stdout + done.stderr
    assert "384" in done.stdout


def test_a_result_tells_how_it_was_made(slide, tmp_path):
    options = PredictOptions(
        model=integer_model(), tissue="none", halo_px=48, runtime="torch", precision="fp32"
    )
    store = segment_slide(slide, tmp_path / "out", options).store
    text = info(store).stdout
    assert "run.model.name: integer-0" in text
    assert "class 7: necrosis, rgb [255, 0, 0]" in text
    assert json.loads(info(store, "--json").stdout)["result"]["run"]["halo_px"] == 48
    assert "Doe" not in info(store, "--redact").stdout


@pytest.mark.parametrize("name", ["absent.svs", "notes.svs"])
def test_what_is_no_slide_ends_in_one_line(tmp_path, name):
    (tmp_path / "notes.svs").write_text("no slide")
    done = info(tmp_path / name)
    assert done.returncode == 3
    assert name in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
