"""Real crops: the scale comes from the name, scores only where there is enough truth."""

import numpy as np
import pytest
from PIL import Image

from wsiseg.errors import InputRefusedError
from wsiseg.evaluation.real_crops import assumed_mpp, enlarge_labels, resample_by_area, score_crops


@pytest.mark.parametrize(("name", "mpp"), [("1222_1_1200_4800_4.png", 1.0), ("a_1.33.png", 0.3325)])
def test_scale_is_read_from_the_name(name, mpp):
    assert assumed_mpp(name) == pytest.approx(mpp)


@pytest.mark.parametrize("name", ["crop.png", "crop_x.png", "crop_0.png", "crop_4.jpg"])
def test_names_without_a_scale_are_refused(name):
    with pytest.raises(InputRefusedError, match="no scale"):
        assumed_mpp(name)


def test_resampling_is_an_area_mean():
    rgb = np.random.default_rng(0).integers(0, 256, (12, 9, 3), dtype=np.uint8)
    small = resample_by_area(rgb, 1 / 3)
    assert small.shape == (4, 3, 3)
    assert small[1, 2] == pytest.approx(rgb[3:6, 6:9].mean(axis=(0, 1)), abs=0.6)
    assert resample_by_area(rgb, 1.0) is rgb


def test_labels_are_enlarged_by_nearest_neighbour():
    labels = np.array([[1, 2], [3, 4]], np.uint8)
    assert enlarge_labels(labels, (4, 4)).tolist() == [[1, 1, 2, 2]] * 2 + [[3, 3, 4, 4]] * 2


def write(folder, name, truth):
    for part in ("rgb", "label"):
        (folder / part).mkdir(exist_ok=True)
    Image.fromarray(np.full((*truth.shape, 3), 200, np.uint8)).save(folder / "rgb" / name)
    Image.fromarray(np.repeat(truth[..., None], 3, axis=2)).save(folder / "label" / name)


def test_only_classes_with_enough_truth_are_scored(tmp_path):
    truth = np.full((64, 64), 3, np.uint8)
    truth[:10, :10] = 6
    write(tmp_path, "x_2.png", truth)
    seen = []

    def predict(rgb):
        seen.append(rgb.shape)
        return np.full(rgb.shape[:2], 3, np.uint8)

    (row,) = score_crops(tmp_path, predict, 1.0)
    assert seen == [(32, 32, 3)]
    assert row.assumed_mpp == 0.5
    assert row.iou == {"normal stroma": pytest.approx((4096 - 100) / 4096)}


def test_a_folder_without_crops_is_refused(tmp_path):
    with pytest.raises(InputRefusedError, match=r"no rgb/\*.png"):
        score_crops(tmp_path, lambda rgb: rgb[..., 0], 1.0)


def test_the_three_real_crops_are_read(shared_data):
    rows = score_crops(shared_data / "breast_patches", lambda rgb: np.full(rgb.shape[:2], 4, np.uint8), 1.0)
    assert [row.assumed_mpp for row in rows] == pytest.approx([1.0, 0.3325, 0.3325])
    assert all(count >= 1000 for row in rows for count in row.truth_px.values())
    assert "necrosis" not in {name for row in rows for name in row.iou}
