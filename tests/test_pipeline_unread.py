"""What could not be read is 254, counted and shouted about; it never becomes background."""

import numpy as np
import pytest
import tifffile
import zarr
from small_models import integer_model

from wsiseg import PredictOptions, segment_slide
from wsiseg.errors import EXIT_OK, EXIT_UNREAD, SlideRefusedError
from wsiseg.geometry import Region

TILE = 128


def write_tissue(path, height=1024, width=1280):
    random = np.random.default_rng(9)
    rgb = random.integers(90, 220, (height // 8, width // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    tifffile.imwrite(
        path,
        rgb,
        tile=(TILE, TILE),
        photometric="rgb",
        compression="jpeg",
        resolution=(20000, 20000),
        resolutionunit=3,
    )
    return rgb


def damage_tile(path, number):
    """Overwrite the middle of one encoded tile with noise that is no JPEG data."""
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        offset, length = page.dataoffsets[number], page.databytecounts[number]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\x00" * length)


def predicted(path, out, **changes):
    options = {
        "model": integer_model(),
        "tissue": "none",
        "tile_px": 256,
        "halo_px": 48,
        "runtime": "torch",
        "precision": "fp32",
    }
    result = segment_slide(path, out, PredictOptions(**(options | changes)))
    return result, zarr.open_group(str(result.store), mode="r")["labels/tissue/0"][:]


def test_a_damaged_tile_is_unread_and_nothing_else_changes(tmp_path):
    path = tmp_path / "damaged.tif"
    write_tissue(path)
    _, whole = predicted(path, tmp_path / "whole")
    damage_tile(path, 23)  # row 2, column 3 of 10: rows 256..384, columns 384..512 at 0.5 um/px
    result, labels = predicted(path, tmp_path / "damaged")
    lost = np.zeros(labels.shape, bool)
    lost[128:192, 192:256] = True
    np.testing.assert_array_equal(labels == 254, lost)
    far = np.ones(labels.shape, bool)
    far[128 - 48 : 192 + 48, 192 - 48 : 256 + 48] = False
    np.testing.assert_array_equal(labels[far], whole[far])
    assert result.summary["areas"]["unread"] == pytest.approx(64 * 64 * 1e-6)
    assert result.summary["unread_share"] == pytest.approx(64 * 64 / labels.size)
    assert any("254 (unread), not background" in text for text in result.summary["warnings"])
    assert result.exit_code == EXIT_UNREAD


def test_little_damage_is_told_but_not_an_error(tmp_path):
    path = tmp_path / "scratched.tif"
    write_tissue(path, 2048, 2560)
    damage_tile(path, 0)
    result, labels = predicted(path, tmp_path)
    assert (labels == 254).sum() == 64 * 64
    assert 0 < result.summary["unread_share"] <= 0.01
    assert result.exit_code == EXIT_OK
    assert result.summary["warnings"]


def test_unread_tissue_is_not_skipped_by_the_tissue_rule(tmp_path):
    path = tmp_path / "damaged.tif"
    write_tissue(path)
    damage_tile(path, 23)
    _, labels = predicted(path, tmp_path, tissue="auto")
    assert (labels == 254).sum() == 64 * 64


def test_real_slide_with_missing_files(shared_data, tmp_path):
    """Mirax2 lacks data files; a part of it that reaches over what is there and what is not."""
    path = shared_data / "slides" / "Mirax2-Fluorescence-2.mrxs"
    roi = Region(11_000, 104_000, 4_000, 3_000)
    result, labels = predicted(path, tmp_path, roi=roi, tile_px=1024, halo_px=64)
    share = result.summary["unread_share"]
    assert share > 0.01
    assert result.exit_code == EXIT_UNREAD
    assert (labels == 254).sum() == pytest.approx(result.summary["areas"]["unread"] * 1e6)
    assert any("fluorescence" in text for text in result.summary["warnings"])


@pytest.mark.parametrize("name", ["broken-not-a-tiff.svs", "unreadable.svs", "unopenable.tiff"])
def test_files_that_are_no_slide_are_refused_in_one_line(shared_data, tmp_path, name):
    with pytest.raises(SlideRefusedError) as refusal:
        predicted(shared_data / "slides" / name, tmp_path)
    assert "\n" not in str(refusal.value)
    assert name in str(refusal.value)
    assert not list(tmp_path.iterdir())
