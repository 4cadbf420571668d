"""Labels and macro images name patients, and so do folders: nothing of either gets into an output."""

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from faults_files import files_of
from small_models import integer_model

from wsiseg import PredictOptions, segment_slide
from wsiseg.cohort.report.page import write_page
from wsiseg.slides import open_slide

OF_THE_RUN = re.compile(rb"[0-9a-f]{32}|<dt>seconds</dt><dd>[0-9.]*</dd>")
"""The digest of the slide's bytes, and how long it took."""
PATIENT = "Doe^Jane 1961-02-03"


def write_svs(path: Path, *, with_label: bool) -> Path:
    """As a ScanScope does: level 0 in tiles, a thumbnail, and then label and macro in strips."""
    rgb = np.random.default_rng(3).integers(90, 220, (80, 96, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    head = f"Aperio Image Library v12\r\n{rgb.shape[1]}x{rgb.shape[0]}"
    label = np.zeros((120, 100, 3), np.uint8)
    label[::2] = (255, 0, 255)
    with tifffile.TiffWriter(path) as tiff:
        options = {"photometric": "rgb", "metadata": None}
        text = f"{head} |AppMag = 20|MPP = 0.5"
        tiff.write(rgb, tile=(128, 128), compression="zlib", description=text, **options)
        tiff.write(rgb[::8, ::8], description=f"{head} -> 96x80", compression="lzw", **options)
        if with_label:
            for name, kind in (("label", 1), ("macro", 9)):
                text = f"Aperio Image Library v12\r\n{name} 100x120"
                tiff.write(label, description=text, subfiletype=kind, compression="lzw", **options)
    return path


def results(slide, out):
    """Predict, and draw the page of the report; return the files, without what is of the run alone."""
    options = PredictOptions(
        model=integer_model(), tissue="none", tile_px=256, halo_px=48, runtime="torch", precision="fp32"
    )
    result = segment_slide(slide, out, options)
    write_page(out, result.summary, source=str(slide))
    return {name: OF_THE_RUN.sub(b"", data) for name, data in files_of(out).items()}


def test_a_label_image_changes_nothing_that_is_written(tmp_path):
    found = {}
    for name in ("with", "without"):
        (tmp_path / name).mkdir()
        slide = write_svs(tmp_path / name / "case.svs", with_label=name == "with")
        with open_slide(slide) as opened:
            images = set(opened.associated_images())
        assert ({"label", "macro"} <= images) == (name == "with")
        found[name] = results(slide, tmp_path / name / "out")
    assert found["with"].keys() == found["without"].keys()
    assert "index.html" in found["with"]
    assert "thumbnail.jpg" in found["with"]
    differ = [name for name, data in found["with"].items() if data != found["without"][name]]
    assert differ == []


@pytest.mark.parametrize("relative", [False, True])
def test_no_folder_is_named_in_an_output(tmp_path, monkeypatch, relative):
    folder = tmp_path / PATIENT
    folder.mkdir()
    slide = write_svs(folder / "case.svs", with_label=True)
    monkeypatch.chdir(tmp_path)
    results(Path(PATIENT) / "case.svs" if relative else slide, tmp_path / "out")
    everything = {item.name: item.read_bytes() for item in (tmp_path / "out").rglob("*") if item.is_file()}
    assert "case.summary.json" in everything
    for name, data in everything.items():
        for secret in (PATIENT, "Doe^Jane", str(tmp_path), tmp_path.name):
            assert secret.encode() not in data, f"{name} names {secret}"
