"""Tiled logits are those of the whole picture, up-sampled at once; the tiling does not show."""

import numpy as np
import pytest
import torch
from small_models import FIELD_PX, integer_model

from wsiseg.errors import SlideReadError
from wsiseg.evaluation.tiled_logits import TiledLogits, whole_frame
from wsiseg.geometry import Region
from wsiseg.models.normalise import Segmenter
from wsiseg.slides.array import ArraySlide
from wsiseg.tiling.frame import FrameReader

CPU = torch.device("cpu")
HALO_PX = -(-FIELD_PX // 8) * 8 + 8


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def picture(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def strips(tiled, wanted=lambda region: True):
    return [strip for tile in tiled.tiles(wanted) for strip in tile.strips()]


def assembled(tiled):
    logits = np.full((8, *tiled.region.shape), np.nan, np.float32)
    for region, part, unread in strips(tiled):
        at = (slice(None), *region.slices_in(tiled.region))
        assert np.isnan(logits[at]).all()
        assert unread is None
        logits[at] = part.numpy()
    assert not np.isnan(logits).any()
    return logits


@pytest.mark.parametrize("factor", [1.0, 2.0, 4.0, 4 / 3])
def test_logits_are_those_of_the_whole_picture(factor, monkeypatch):
    model, slide = integer_model(2), ArraySlide(picture(240, 328))
    frame = whole_frame(slide, factor)
    tiled = TiledLogits(model, CPU, slide, frame, tile_px=64, halo_px=HALO_PX)
    found = assembled(tiled)
    whole = Region(0, 0, frame.width_px, frame.height_px)
    around = Region(
        -HALO_PX, -HALO_PX, *(-(-side // 8) * 8 + 2 * HALO_PX for side in (whole.width, whole.height))
    )
    rgb, _ = FrameReader(slide, frame, slide.background).read(around)
    with torch.inference_mode():
        low = Segmenter(model).logits(torch.from_numpy(rgb[None]))
        rows, columns = whole.slices_in(around)
        large = torch.nn.functional.interpolate(low[:, :, rows, columns], size=(240, 328), mode="bilinear")[0]
    assert np.allclose(found, large.numpy(), rtol=0, atol=1e-2)
    if float(factor).is_integer():
        assert np.array_equal(found.argmax(0), large.numpy().argmax(0))
    monkeypatch.setattr("wsiseg.evaluation.tiled_logits.STRIP_VALUES", 8 * 328 * 7)
    again = TiledLogits(model, CPU, slide, frame, tile_px=128, halo_px=HALO_PX)
    assert np.array_equal(assembled(again), found)


def test_logits_of_the_frame_itself_are_not_upsampled():
    model, slide = integer_model(2), ArraySlide(picture(240, 328))
    half = ArraySlide(FrameReader(slide, whole_frame(slide, 2.0)).read(Region(0, 0, 164, 120))[0])
    found = [
        assembled(TiledLogits(model, CPU, *given, tile_px=side, halo_px=HALO_PX, upsampled=upsampled))
        for given, side, upsampled in (
            ((slide, whole_frame(slide, 2.0)), 64, False),
            ((half, whole_frame(half, 1.0)), 96, True),
        )
    ]
    assert found[0].shape == (8, 120, 164)
    assert np.array_equal(*found)


def test_a_picture_that_is_no_multiple_of_the_factor_is_covered():
    slide = ArraySlide(picture(101, 67))
    for factor in (4.0, 4 / 3, 3.7):
        frame = whole_frame(slide, factor)
        tiled = TiledLogits(integer_model(), CPU, slide, frame, tile_px=16, halo_px=0)
        assert assembled(tiled).shape == (8, 101, 67)


def test_unwanted_tiles_are_not_looked_at():
    slide = ArraySlide(picture(128, 128))
    seen = []

    def wanted(region):
        seen.append(region)
        return region.x == 0

    tiled = TiledLogits(integer_model(), CPU, slide, whole_frame(slide, 2.0), tile_px=32, halo_px=8)
    regions = [region for region, _, _ in strips(tiled, wanted)]
    assert regions == [Region(0, 0, 64, 64), Region(0, 64, 64, 64)]
    assert len(seen) == 4


class Damaged(ArraySlide):
    """Its first 40 columns cannot be read."""

    def _read_inside(self, level, inside):
        if inside.x < 40:
            raise SlideReadError("damaged")
        return super()._read_inside(level, inside)


def test_what_cannot_be_read_is_marked():
    slide = Damaged(picture(64, 128))
    tiled = TiledLogits(integer_model(), CPU, slide, whole_frame(slide, 2.0), tile_px=32, halo_px=8)
    unread = np.zeros((64, 128), bool)
    for region, _, missing in strips(tiled):
        if missing is not None:
            unread[region.slices_in(slide.levels[0].region)] = missing
    assert unread[:, :40].all()
    assert not unread[:, 96:].any()
