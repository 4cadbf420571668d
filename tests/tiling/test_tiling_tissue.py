import json

import numpy as np
import pytest
from PIL import Image

from wsiseg.errors import InputRefusedError
from wsiseg.geometry import Region
from wsiseg.slides import open_slide
from wsiseg.slides.slide import Level
from wsiseg.tiling.frame import Frame, frame_at
from wsiseg.tiling.tissue import all_tissue, cell_px_for, find_tissue
from wsiseg.tiling.tissue_file import read_tissue_file

PINK = (205, 140, 180)
GLASS = (242, 242, 241)


def slide_with(*patches, colour=PINK, glass=GLASS, size=(1600, 2000)):
    """A slide of noisy glass with rectangles of tissue; opened."""
    random = np.random.default_rng(4)
    rgb = np.empty((*size, 3), np.uint8)
    rgb[:] = glass
    for x, y, width, height in patches:
        rgb[y : y + height, x : x + width] = colour
    noise = random.integers(-3, 4, rgb.shape)
    return open_slide(np.clip(rgb + noise, 0, 255).astype(np.uint8))


def label_frame(slide, mpp=1.0, slide_mpp=0.5):
    return frame_at(slide.levels[0], (slide_mpp, slide_mpp), mpp)


def test_tissue_is_found_and_glass_is_not():
    slide = slide_with((300, 400, 500, 300))
    mask = find_tissue(slide, label_frame(slide))
    assert mask.cell_px == 32
    assert mask.cells.shape == (25, 32)
    truth = np.zeros(mask.cells.shape, bool)
    truth[200 // 32 : -(-350 // 32), 150 // 32 : -(-400 // 32)] = True
    assert mask.cells[truth].all()
    assert mask.cells.sum() <= truth.sum() * 2.2  # one more cell all around
    assert not mask.any_in(Region(600, 500, 200, 200))
    assert mask.any_in(Region(140, 190, 40, 40))


def test_pixels_are_the_cells_spread_out():
    slide = slide_with((300, 400, 500, 300))
    mask = find_tissue(slide, label_frame(slide))
    region = Region(17, 33, 401, 503)
    spread = mask.cells.repeat(32, 0).repeat(32, 1)
    np.testing.assert_array_equal(mask.pixels(region), spread[33 : 33 + 503, 17 : 17 + 401])


def test_a_slide_of_glass_alone_has_no_tissue():
    slide = slide_with()
    assert not find_tissue(slide, label_frame(slide)).cells.any()


def test_a_slide_of_tissue_alone_is_all_tissue():
    slide = slide_with((0, 0, 2000, 1600))
    assert find_tissue(slide, label_frame(slide)).cells.all()


def test_pale_tissue_is_found():
    slide = slide_with((300, 400, 500, 300), colour=(240, 222, 233))
    assert find_tissue(slide, label_frame(slide)).any_in(Region(200, 250, 100, 50))


@pytest.mark.parametrize("void", [(0, 0, 0), (5, 4, 6)])
def test_what_was_never_scanned_is_not_tissue(void):
    slide = slide_with((1000, 0, 1000, 1600), colour=void)
    assert not find_tissue(slide, label_frame(slide)).any_in(Region(600, 0, 400, 800))


def test_real_slide_has_tissue_and_glass(shared_data):
    with open_slide(shared_data / "slides" / "CMU-1-Small-Region.svs") as slide:
        mask = find_tissue(slide, frame_at(slide.levels[0], (0.499, 0.499), 1.0))
    assert 0.4 < mask.cells.mean() < 0.7
    assert mask.any_in(Region(500, 700, 64, 64))
    assert not mask.any_in(Region(100, 700, 64, 64))


@pytest.mark.parametrize(
    ("mpp", "cell_px"), [(1.0, 32), (0.5, 64), (0.25, 128), (0.05, 512), (10.0, 8), (0.93, 32)]
)
def test_cells_are_a_power_of_two(mpp, cell_px):
    assert cell_px_for((mpp, mpp)) == cell_px


FRAME = Frame(mpp=(1.0, 1.0), width_px=1000, height_px=800, factor_l0=(2.0, 2.0))


def test_image_file(tmp_path):
    slide = slide_with()
    mask = np.zeros((80, 100), np.uint8)
    mask[40:44, 50:54] = 7
    Image.fromarray(mask).save(tmp_path / "mask.png")
    cells = read_tissue_file(tmp_path / "mask.png", slide.levels[0], FRAME).cells
    expected = np.zeros((25, 32), bool)
    expected[400 // 32 : -(-440 // 32), 500 // 32 : -(-540 // 32)] = True
    np.testing.assert_array_equal(cells, expected)


def test_geojson_file_with_a_hole(tmp_path):
    slide = slide_with()
    square = [[200, 200], [1800, 200], [1800, 1400], [200, 1400], [200, 200]]
    hole = [[800, 600], [1200, 600], [1200, 1000], [800, 1000], [800, 600]]
    geometry = {"type": "Polygon", "coordinates": [square, hole]}
    document = {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "geometry": geometry, "properties": {}}],
    }
    (tmp_path / "mask.geojson").write_text(json.dumps(document))
    mask = read_tissue_file(tmp_path / "mask.geojson", slide.levels[0], FRAME)
    assert mask.any_in(Region(150, 150, 30, 30))
    assert not mask.any_in(Region(450, 350, 60, 60))
    assert not mask.any_in(Region(0, 0, 60, 60))
    assert mask.cells.mean() == pytest.approx((1600 * 1200 - 400 * 400) / (2048 * 1600), rel=0.12)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.png", None, "no such file"),
        ("broken.png", b"no image", "cannot be read as an image"),
        ("broken.geojson", b"{", "not valid GeoJSON"),
        ("empty.geojson", b'{"type": "FeatureCollection", "features": []}', "holds no polygon"),
        ("nan.geojson", b'{"type": "Polygon", "coordinates": [[[0, 0], [NaN, 1], [2, 2]]]}', "not finite"),
        ("text.geojson", b'{"type": "Polygon", "coordinates": [["a", "b", "c"]]}', "not a list of"),
    ],
)
def test_hostile_files_are_refused_in_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputRefusedError, match=message) as refusal:
        read_tissue_file(path, slide_with().levels[0], FRAME)
    assert "\n" not in str(refusal.value)


def test_mask_of_another_shape_is_refused(tmp_path):
    Image.new("L", (300, 100)).save(tmp_path / "mask.png")
    with pytest.raises(InputRefusedError, match="does not have the slide's aspect"):
        read_tissue_file(tmp_path / "mask.png", slide_with().levels[0], FRAME)


def test_all_tissue_covers_the_frame():
    assert all_tissue(FRAME).cells.shape == (25, 32)
    assert all_tissue(FRAME).cells.all()


@pytest.mark.parametrize(
    "mask",
    [
        np.full((80, 100), 256, np.uint16),  # 0 in its low byte
        np.full((80, 100), 0.25, np.float32),
        np.full((80, 100), 1, np.uint8),
    ],
)
def test_whatever_is_not_0_in_a_mask_is_tissue(tmp_path, mask):
    Image.fromarray(mask).save(tmp_path / "mask.tiff")
    assert read_tissue_file(tmp_path / "mask.tiff", slide_with().levels[0], FRAME).cells.all()


def test_many_polygons_cost_what_they_cover(tmp_path):
    """10,000 nuclei over a map of 10 million mask pixels: drawn whole each, it would time out."""
    frame = Frame(mpp=(1.0, 1.0), width_px=25_600, height_px=25_600, factor_l0=(1.0, 1.0))
    places = [(x * 256 + 100, y * 256 + 100) for x in range(100) for y in range(100)]
    rings = [[[[x, y], [x + 9, y], [x + 9, y + 9], [x, y]]] for x, y in places]
    (tmp_path / "mask.geojson").write_text(json.dumps({"type": "MultiPolygon", "coordinates": rings}))
    cells = read_tissue_file(tmp_path / "mask.geojson", Level(25_600, 25_600, 1.0), frame).cells
    expected = np.zeros((800, 800), bool)
    expected[3::8, 3::8] = True
    assert cells[expected].all()
    assert cells.sum() <= 4 * expected.sum()


def test_strips_do_not_show(monkeypatch):
    """In strips of one cell or in one piece, the cells are the same."""
    from wsiseg.tiling import tissue

    random = np.random.default_rng(8)
    specks = [
        (*random.integers(0, 1500, 2).tolist(), *random.integers(8, 90, 2).tolist()) for _ in range(120)
    ]
    slide = slide_with(*specks)
    frame = label_frame(slide)
    whole = find_tissue(slide, frame).cells
    assert 0.1 < whole.mean() < 0.95
    monkeypatch.setattr(tissue, "STRIP_PX", 1)
    np.testing.assert_array_equal(find_tissue(slide, frame).cells, whole)
