"""Tiled equals untiled: every pixel, borders included, at sizes that divide nothing."""

import numpy as np
import pytest
import torch
import zarr
from small_models import FIELD_PX, integer_model

from wsiseg import PredictOptions, segment_slide
from wsiseg.geometry import Region
from wsiseg.models.normalise import Segmenter

HALO_PX = 48
assert HALO_PX >= FIELD_PX


def noise(height, width, seed=0):
    """An RGB array with structure at several sizes."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (height // 16 + 2, width // 16 + 2, 3), np.uint8)
    smooth = coarse.repeat(16, 0).repeat(16, 1)[:height, :width]
    return (smooth // 2 + random.integers(0, 128, (height, width, 3), np.uint8)).astype(np.uint8)


def in_one_pass(model, rgb, halo_px, outside=(255, 255, 255)):
    """The reference: the region extended on all sides by the halo with background, one pass, cropped."""
    height, width = rgb.shape[:2]
    rows, columns = -(-height // 8) * 8 + 2 * halo_px, -(-width // 8) * 8 + 2 * halo_px
    extended = np.full((1, rows, columns, 3), outside, np.uint8)
    extended[0, halo_px : halo_px + height, halo_px : halo_px + width] = rgb
    with torch.inference_mode():
        ids = Segmenter(model)(torch.from_numpy(extended))[0].numpy()
    return ids[halo_px : halo_px + height, halo_px : halo_px + width]


def label_levels(store):
    group = zarr.open_group(str(store), mode="r")["labels/tissue"]
    return [group[str(level)][:] for level in range(len(list(group.array_keys())))]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 300), (257, 129), (613, 1031)])
@pytest.mark.parametrize("tile_px", [64, 256])
def test_tiled_equals_untiled(tmp_path, height, width, tile_px):
    model, rgb = integer_model(), noise(height, width)
    options = PredictOptions(
        model=model,
        slide_mpp=(1.0, 1.0),
        tissue="none",
        tile_px=tile_px,
        halo_px=HALO_PX,
        runtime="torch",
        precision="fp32",
    )
    result = segment_slide(rgb, tmp_path, options, name="array")
    np.testing.assert_array_equal(label_levels(result.store)[0], in_one_pass(model, rgb, HALO_PX))


def test_tiled_equals_untiled_over_several_blocks_with_openvino(tmp_path):
    model, rgb = integer_model(1), noise(2100, 2300)
    options = PredictOptions(
        model=model,
        slide_mpp=(1.0, 1.0),
        tissue="none",
        tile_px=512,
        halo_px=HALO_PX,
        runtime="openvino",
        precision="fp32",
    )
    result = segment_slide(rgb, tmp_path, options, name="array")
    np.testing.assert_array_equal(label_levels(result.store)[0], in_one_pass(model, rgb, HALO_PX))


def test_a_halo_smaller_than_the_field_does_show(tmp_path):
    """The comparison can fail: without context, tiles differ at their borders."""
    model, rgb = integer_model(), noise(257, 259)
    options = PredictOptions(
        model=model,
        slide_mpp=(1.0, 1.0),
        tissue="none",
        tile_px=64,
        halo_px=0,
        runtime="torch",
        precision="fp32",
    )
    result = segment_slide(rgb, tmp_path, options, name="array")
    assert (label_levels(result.store)[0] != in_one_pass(model, rgb, HALO_PX)).any()


def test_region_of_interest_equals_the_same_part_of_the_whole(tmp_path):
    model, rgb = integer_model(), noise(700, 900)
    common = {"model": model, "slide_mpp": (0.5, 0.5), "tile_px": 128, "halo_px": HALO_PX, "runtime": "torch"}
    whole = segment_slide(
        rgb, tmp_path, PredictOptions(**common, precision="fp32", tissue="none"), name="whole"
    )
    part = segment_slide(
        rgb,
        tmp_path,
        PredictOptions(**common, precision="fp32", tissue="none", roi=Region(101, 203, 301, 400)),
        name="part",
    )
    expected = label_levels(whole.store)[0]
    inside = np.zeros(expected.shape, bool)
    inside[203 // 2 : -(-603 // 2), 101 // 2 : -(-402 // 2)] = True
    np.testing.assert_array_equal(label_levels(part.store)[0], np.where(inside, expected, 255))
    areas = part.summary["areas"]
    assert areas["predicted"] == pytest.approx(inside.sum() * 1e-6)
    assert areas["not_analysed"] == pytest.approx((~inside).sum() * 1e-6)
    assert areas["no_tissue"] == areas["unread"] == 0
