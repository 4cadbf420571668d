"""predict --confidence: a second pyramid beside the labels, that moves none of them."""

import itertools
import json

import numpy as np
import pytest
import tifffile
import torch
import zarr
from resume_child import options_for
from small_models import integer_model
from typer.testing import CliRunner

from wsiseg import PredictOptions, segment_slide
from wsiseg.cli.main import app
from wsiseg.errors import UsageError
from wsiseg.geometry import Region
from wsiseg.models import Model
from wsiseg.models.normalise import Segmenter
from wsiseg.pyramid.levels import halve_confidence

SHAPE = (701, 1222)
ROI = Region(40, 60, 900, 500)


def doubtful_model(**changes):
    """Whole-number logits are far apart: the temperature brings them close enough to doubt."""
    card = {"temperature": 300.0, "temperature_note": "on test noise"}
    return integer_model(**(card | changes))


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("slide") / "noise.tif"
    rgb = np.random.default_rng(5).integers(0, 256, (90, 80, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    tifffile.imwrite(
        path, rgb[: SHAPE[0], : SHAPE[1]], tile=(256, 256), photometric="rgb", compression="zlib"
    )
    return path


def options(**changes):
    return options_for(**({"model": doubtful_model(), "confidence": True} | changes))


@pytest.fixture(scope="module", params=["0.5", "0.4"])
def made(request, slide, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    return request.param, segment_slide(slide, folder, options(ngff=request.param, roi=ROI))


def levels(store, group):
    root = zarr.open_group(str(store), mode="r")[group]
    return [root[str(level)][:] for level in range(len(list(root.array_keys())))]


def files_below(store, *, without=()):
    return {
        str(file.relative_to(store)): file.read_bytes()
        for file in store.rglob("*")
        if file.is_file() and not str(file.relative_to(store)).startswith(without)
    }


def test_values_are_the_softmax_of_the_stitched_network(made, slide):
    """Against one pass over the whole picture, and 0 where nobody looked."""
    _, result = made
    rgb, model = tifffile.imread(slide), doubtful_model()
    rows, columns = 704 + 96, 1224 + 96
    extended = np.full((1, rows, columns, 3), 255, np.uint8)
    extended[0, 48 : 48 + SHAPE[0], 48 : 48 + SHAPE[1]] = rgb
    with torch.inference_mode():
        _, expected = Segmenter(model, confidence=True)(torch.from_numpy(extended))
    expected = expected[0].numpy()[48 : 48 + SHAPE[0], 48 : 48 + SHAPE[1]]
    inside = np.zeros(SHAPE, bool)
    inside[ROI.y : ROI.bottom, ROI.x : ROI.right] = True
    found = levels(result.store, "confidence")[0]
    np.testing.assert_array_equal(found == 0, ~inside)
    difference = np.abs(found.astype(int) - expected)[inside]
    assert difference.max() <= 1  # the last bit of an exponential may differ from shape to shape
    assert (difference == 0).mean() > 0.999
    assert len(np.unique(expected[inside])) > 50


def test_levels_are_exactly_the_2x_steps(made):
    found = levels(made[1].store, "confidence")
    assert [item.shape for item in found] == [item.shape for item in levels(made[1].store, "labels/tissue")]
    for finer, coarser in itertools.pairwise(found):
        np.testing.assert_array_equal(coarser, halve_confidence(finer))


def test_two_validators_accept_it(made):
    import yaozarrs

    version, result = made
    if version == "0.5":
        from ome_zarr_models.v05.image import Image
    else:
        from ome_zarr_models.v04.image import Image
    root = zarr.open_group(str(result.store), mode="r")
    assert Image.from_zarr(root)
    assert Image.from_zarr(root["confidence"])
    yaozarrs.validate_zarr_store(str(result.store))
    yaozarrs.validate_zarr_store(str(result.store / "confidence"))


def test_the_store_says_what_the_values_mean(made):
    version, result = made
    group = zarr.open_group(str(result.store), mode="r")["confidence"]
    own = dict(group.attrs)["wsiseg"]
    assert own["values"] == {"0": "not analysed", "1": "unread", "2": "no tissue, by the tissue rule"}
    assert own["temperature"] == 300.0
    assert own["calibrated"] is True
    assert "value / 255" in own["probability"]
    content = dict(group.attrs)["ome"] if version == "0.5" else dict(group.attrs)
    scales = [item["coordinateTransformations"][0]["scale"] for item in content["multiscales"][0]["datasets"]]
    assert scales[:2] == [[1.0, 1.0], [2.0, 2.0]]
    assert group["0"].fill_value == 0


def test_summary_counts_what_is_stored(made):
    _, result = made
    labels = levels(result.store, "labels/tissue")[0]
    values = levels(result.store, "confidence")[0]
    assert result.summary["run"]["confidence"] == {"temperature": 300.0, "fitted": True}
    seen = 0
    for row in result.summary["classes"]:
        mine = values[(labels == row["id"]) & (values >= 3)]
        if not mine.size:
            assert row["confidence"] is None
            continue
        seen += 1
        said = row["confidence"]
        assert said["mean"] == pytest.approx(mine.mean() / 255, abs=1e-4)
        tenths = np.minimum(mine.astype(int) * 10 // 255, 9)
        expected = 100 * np.bincount(tenths, minlength=10) / mine.size
        np.testing.assert_allclose(said["histogram"], expected, atol=1e-3)
    assert seen > 3


def test_everything_else_is_the_same_to_the_byte(made, slide, tmp_path):
    version, result = made
    plain = segment_slide(slide, tmp_path, options(ngff=version, roi=ROI, confidence=False))
    root = ("zarr.json",) if version == "0.5" else (".zattrs", ".zmetadata")  # they hold the run record
    assert files_below(result.store, without=("confidence", *root)) == files_below(plain.store, without=root)
    assert "confidence" not in plain.summary["run"]
    assert all("confidence" not in row for row in plain.summary["classes"])


def test_interrupted_and_run_again_gives_the_same_bytes(slide, tmp_path, monkeypatch):
    from wsiseg.pyramid.journal import Journal

    whole = segment_slide(slide, tmp_path / "whole", options())
    append = Journal._append
    calls = []

    def fail_later(journal, entry):
        calls.append(entry)
        if len(calls) > 9:
            raise OSError("pulled the plug")
        append(journal, entry)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_append", fail_later)
        with pytest.raises(OSError, match="pulled the plug"):
            segment_slide(slide, tmp_path / "again", options(workers=1))
    store = tmp_path / "again" / "noise.wsiseg.ome.zarr"
    # A confidence that was lost after its line was written: found by its size, and made again.
    next(store.glob("confidence/0/c/*/*")).unlink()
    again = segment_slide(slide, tmp_path / "again", options())
    assert again.summary["tasks_resumed"] >= 1
    assert files_below(again.store) == files_below(whole.store)
    assert again.summary["classes"] == whole.summary["classes"]


def test_a_finished_result_without_it_is_not_taken_for_one_with_it(slide, tmp_path):
    segment_slide(slide, tmp_path, options(confidence=False))
    with pytest.raises(UsageError, match=r"confidence.fitted: was absent, now True"):
        segment_slide(slide, tmp_path, options())


def test_damage_and_glass_are_told_apart_from_doubt(tmp_path):
    rgb = np.full((512, 512, 3), 255, np.uint8)
    rgb[:256, :256] = (
        np.random.default_rng(1).integers(60, 200, (32, 32, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    )
    path = tmp_path / "half.tif"
    tifffile.imwrite(path, rgb, tile=(128, 128), photometric="rgb", compression="jpeg")
    with tifffile.TiffFile(path) as tiff:
        offset, length = tiff.pages[0].dataoffsets[1], tiff.pages[0].databytecounts[1]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(bytes(length))
    result = segment_slide(path, tmp_path, options(tissue="auto"))
    values, labels = levels(result.store, "confidence")[0], levels(result.store, "labels/tissue")[0]
    lost = np.zeros(labels.shape, bool)
    lost[:128, 128:256] = True
    np.testing.assert_array_equal(labels == 254, lost)
    np.testing.assert_array_equal(values == 1, lost)
    assert (values[400:, 400:] == 2).all()
    assert (values[16:112, 16:112] >= 3).all()
    assert (values != 0).all()


def test_without_calibration_the_name_says_so(tmp_path):
    """On the command line, with the bundled model."""
    from wsiseg.phantom.slide_file import write_phantom_slide

    slide = tmp_path / "phantom.tiff"
    write_phantom_slide(slide, seed=3, width_px=600, height_px=500, mpp=1.0)
    done = CliRunner().invoke(app, ["predict", str(slide), "-o", str(tmp_path), "--confidence", "-q"])
    assert done.exit_code == 0
    store = tmp_path / "phantom.wsiseg.ome.zarr"
    assert not (store / "confidence").exists()
    values = levels(store, "uncalibrated_confidence")[0]
    assert values.max() > 200
    summary = json.loads((tmp_path / "phantom.summary.json").read_text())
    assert summary["run"]["confidence"] == {"temperature": 1.0, "fitted": False}
    assert any("never calibrated" in text for text in summary["warnings"])


def test_a_photo_has_it_too(tmp_path):
    model = doubtful_model(domain="photo", mpp=None, input_scale=0.5)
    rgb = np.random.default_rng(2).integers(0, 256, (120, 200, 3), np.uint8)
    chosen = PredictOptions(model=model, confidence=True, runtime="openvino", precision="fp32")
    result = segment_slide(rgb, tmp_path, chosen, name="street")
    values = levels(result.store, "confidence")[0]
    assert values.shape == (120, 200)
    assert values.min() >= 3
    assert isinstance(model, Model)
