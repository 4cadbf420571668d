"""Regions in PNGs, tiled and up-sampled: scored as the whole picture would be."""

import numpy as np
import pytest
import torch
from PIL import Image
from small_models import FIELD_PX, integer_model

from wsiseg.class_map import TISSUE8
from wsiseg.datasets.pictures import value_table
from wsiseg.errors import InputRefusedError
from wsiseg.evaluation.by_case import score_case
from wsiseg.evaluation.confusion import Confusion
from wsiseg.evaluation.region_case import RegionCase, decoded_region
from wsiseg.evaluation.tiled_logits import TiledLogits, whole_frame
from wsiseg.models.normalise import Segmenter

CPU = torch.device("cpu")
HALO_PX = -(-FIELD_PX // 8) * 8 + 8
VALUES = value_table({label: label for label in TISSUE8.ids})
SHAPE = (336, 464)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    rgb = np.repeat(np.repeat(rng.integers(0, 256, (42, 58, 3), np.uint8), 8, 0), 8, 1)
    labels = np.repeat(np.repeat(rng.integers(0, 8, (21, 29), np.uint8), 16, 0), 16, 1)
    labels[:40, :300] = 255
    Image.fromarray(rgb).save(tmp_path / "rgb.png")
    Image.fromarray(np.repeat(labels[..., None], 3, 2)).save(tmp_path / "label.png")
    return tmp_path / "rgb.png", tmp_path / "label.png", rgb, labels


def whole(model, rgb, factor):
    """Labels of the picture in one piece, with as much white around it as a tile sees."""
    height, width = SHAPE[0] // factor, SHAPE[1] // factor
    small = rgb.reshape(height, factor, width, factor, 3).mean(axis=(1, 3))
    small = np.floor(small + 0.5).astype(np.uint8)
    down, right = -height % 8 + HALO_PX, -width % 8 + HALO_PX
    padded = np.pad(small, ((HALO_PX, down), (HALO_PX, right), (0, 0)), constant_values=255)
    with torch.inference_mode():
        logits = Segmenter(model).logits(torch.from_numpy(padded[None]))
        logits = logits[..., HALO_PX : HALO_PX + height, HALO_PX : HALO_PX + width]
        large = torch.nn.functional.interpolate(logits, size=SHAPE, mode="bilinear")
    return large[0].argmax(0).numpy().astype(np.uint8)


@pytest.mark.parametrize(("factor", "tile_px"), [(1, 64), (2, 64), (4, 32)])
def test_tiled_scores_are_those_of_the_whole_picture(files, factor, tile_px):
    image, label, rgb, truth = files
    model = integer_model(1)
    expected = whole(model, rgb, factor)
    assert len(np.unique(expected)) > 2
    confusion = Confusion(TISSUE8.ids)
    confusion.add(truth, expected)
    with decoded_region(image, label, VALUES) as region:
        frame = whole_frame(region.slide, factor)
        tiled = TiledLogits(model, CPU, region.slide, frame, tile_px=tile_px, halo_px=HALO_PX)
        case = RegionCase("r", "r", region, tiled, np.arange(8, dtype=np.uint8))
        pieces = list(case.pieces())
        score = score_case(case, TISSUE8.ids, worst_windows=1)
    assert len(pieces) > 3
    for piece in pieces:
        rows, columns = slice(piece.region.y, piece.region.bottom), slice(piece.region.x, piece.region.right)
        assert np.array_equal(piece.prediction, expected[rows, columns])
        assert np.array_equal(piece.truth, truth[rows, columns])
    assert np.array_equal(score.confusion.counts, confusion.counts)
    assert score.confusion.counts.sum() == (truth != 255).sum()
    at = score.worst[0].region
    assert np.array_equal(score.worst[0].rgb, rgb[at.y : at.bottom, at.x : at.right])


def test_tiles_without_truth_are_left_out(files):
    image, label, _, truth = files
    truth[:, 64:] = 255
    Image.fromarray(truth).save(label)
    with decoded_region(image, label, VALUES) as region:
        tiled = TiledLogits(
            integer_model(), CPU, region.slide, whole_frame(region.slide, 1.0), tile_px=64, halo_px=8
        )
        pieces = list(RegionCase("r", "r", region, tiled, np.arange(8, dtype=np.uint8)).pieces())
    assert {piece.region.x for piece in pieces} == {0}


def test_pairs_that_do_not_fit_are_refused(files):
    image, label, _, truth = files

    def opened(labels):
        Image.fromarray(labels).save(label)
        with decoded_region(image, label, VALUES):
            pass

    with pytest.raises(InputRefusedError, match=r"is 464 x 336 px, its labels are 463 x 336"):
        opened(truth[:, :-1])
    with pytest.raises(InputRefusedError, match="holds the value 9"):
        opened(np.where(truth == 3, np.uint8(9), truth))
    with pytest.raises(InputRefusedError, match="is a colour picture"):
        opened(np.dstack([truth, truth, truth + 1]))
