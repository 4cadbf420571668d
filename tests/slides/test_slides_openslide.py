from __future__ import annotations

import ctypes
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
import tifffile
from contracts.slide_contract import SlideContract
from slide_files import halves, picture, write_tiff

from wsiseg.errors import SlideReadError, SlideRefusedError
from wsiseg.geometry import Region
from wsiseg.slides import masked, open_slide
from wsiseg.slides.openslide_backend import OpenSlideSlide

MIRAX = Path("slides") / "Mirax2-Fluorescence-2.mrxs"
NDPI = Path("slides") / "fluorescence-DAPI-2-(387).ndpi"


class TestOpenSlide(SlideContract):
    @pytest.fixture
    def backend(self) -> str:
        return "openslide"

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        # Sizes that halve exactly: OpenSlide interpolates where a level's factor is no whole number.
        return write_tiff(tmp_path / "a.tiff", halves(picture(704, 448), 2), compression="deflate")

    @pytest.fixture
    def truth(self) -> list[np.ndarray]:
        return halves(picture(704, 448), 2)


class Counting(OpenSlideSlide):
    """Records its handles."""

    def __init__(self, path: Path) -> None:
        self.handles: list[Any] = []
        super().__init__(path)

    def _open(self) -> Any:
        self.handles.append(super()._open())
        return self.handles[-1]

    def alive(self) -> int:
        count = 0
        for handle in self.handles:
            try:
                _ = handle.level_count
            except ctypes.ArgumentError:  # how openslide-python refuses a closed handle
                pass
            else:
                count += 1
        return count


@pytest.fixture
def damaged(shared_data: Path, tmp_path: Path) -> tuple[Path, Region]:
    """The SVS with one damaged tile, and that tile's rectangle."""
    path = tmp_path / "damaged.svs"
    shutil.copyfile(shared_data / "slides" / "CMU-1-Small-Region.svs", path)
    path.chmod(0o644)
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        offset, count = page.dataoffsets[57], page.databytecounts[57]
    data = bytearray(path.read_bytes())
    data[offset + count // 2 : offset + count] = bytes(count - count // 2)
    path.write_bytes(data)
    return path, Region(7 * 240, 5 * 240, 240, 240)


def test_unread_is_what_touches_the_damage(damaged: tuple[Path, Region], shared_data: Path) -> None:
    path, tile = damaged
    with Counting(path) as bad, open_slide(shared_data / "slides" / "CMU-1-Small-Region.svs") as good:
        whole = bad.levels[0].region
        with pytest.raises(SlideReadError, match=r"damaged\.svs: level 0, x 1500, y 1100, 400 x 400 px"):
            bad.read_region(0, Region(1500, 1100, 400, 400))
        pixels, unread = bad.read_region_masked(0, whole)
        expected = np.zeros(whole.shape, bool)
        for y in range(tile.y // 256 * 256, tile.bottom, 256):
            for x in range(tile.x // 256 * 256, tile.right, 256):
                expected[y : y + 256, x : x + 256] = True
        np.testing.assert_array_equal(unread, expected)
        np.testing.assert_array_equal(pixels[~unread], good.read_region(0, whole)[~unread])
        assert (pixels[unread] == bad.background).all()
        assert bad.alive() <= 1
    assert bad.alive() == 0
    assert len(bad.handles) <= 40


def test_one_threads_damage_is_not_anothers(damaged: tuple[Path, Region], shared_data: Path) -> None:
    """All handles of a slide that one thread kills are shared with threads that read sound regions."""
    path, tile = damaged
    with Counting(path) as bad, open_slide(shared_data / "slides" / "CMU-1-Small-Region.svs") as good:
        sound = Region(100, 200, 300, 300)
        expected = good.read_region(0, sound)
        barrier = threading.Barrier(4)

        def work(index: int) -> None:
            barrier.wait()
            for _ in range(12):
                if index % 2:
                    with pytest.raises(SlideReadError):
                        bad.read_region(0, tile)
                else:
                    np.testing.assert_array_equal(bad.read_region(0, sound), expected)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        assert bad.alive() <= 1
    assert bad.alive() == 0


def test_closing_waits_for_the_last_reader(shared_data: Path) -> None:
    slide = Counting(shared_data / "slides" / "CMU-1-Small-Region.svs")
    inside, go = threading.Event(), threading.Event()

    def read(handle: Any) -> Any:
        inside.set()
        assert go.wait(20)
        return handle.read_region((0, 0), 0, (5, 5)).size

    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(slide._pool.call, read, (openslide.OpenSlideError,))
        assert inside.wait(20)
        slide.close()
        assert slide.alive() == 1
        go.set()
        assert result.result() == (5, 5)
    assert slide.alive() == 0


def test_mirax_with_missing_data_files(shared_data: Path) -> None:
    with Counting(shared_data / MIRAX) as slide:
        assert slide.background == (128, 128, 128)
        assert slide.objective_power == 20
        assert slide.mpp == pytest.approx((0.3225, 0.3225))
        scanned = Region(9153 + 4000, 102664 + 4000, 900, 700)
        for level in (0, 1):
            region = Region(scanned.x >> level, scanned.y >> level, scanned.width, scanned.height)
            with pytest.raises(SlideReadError, match=r"Data000[56]\.dat"):
                slide.read_region(level, region)
            pixels, unread = slide.read_region_masked(level, region)
            assert unread.all()
            assert (pixels == slide.background).all()
        beside = Region(2000, 2000, 600, 600)  # never scanned: readable, background
        pixels, unread = slide.read_region_masked(0, beside)
        assert not unread.any()
        assert (pixels == slide.background).all()
        pixels, unread = slide.read_region_masked(3, Region(scanned.x >> 3, scanned.y >> 3, 300, 200))
        assert not unread.any()
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 1000
        assert slide.alive() <= 1
    assert slide.alive() == 0


def test_the_work_is_bounded_where_all_is_damaged(shared_data: Path) -> None:
    with OpenSlideSlide(shared_data / MIRAX) as slide:
        tried = []
        original = slide._read_inside

        def counting(level: int, region: Region) -> np.ndarray:
            tried.append(region)
            return original(level, region)

        slide._read_inside = counting  # type: ignore[method-assign]
        region = Region(52 * 256, 417 * 256, 4 * 256, 4 * 256)
        assert slide.read_region_masked(0, region)[1].all()
        assert len(tried) <= 16 * 4 / 3 + 1 + 4
        assert {item.area for item in tried} >= {masked.CELL_PX**2}


def test_transparency_becomes_the_slides_background(shared_data: Path) -> None:
    """At the rim of a MIRAX scan the alpha is partial; elsewhere nothing was scanned."""
    with OpenSlideSlide(shared_data / MIRAX) as slide, openslide.OpenSlide(shared_data / MIRAX) as reference:
        level, size = 5, (400, 300)
        x, y = (9153 // 32 - 20) * 32, (102664 // 32 - 20) * 32
        rgba = np.asarray(reference.read_region((x, y), level, size)).astype(float)
        alpha = rgba[..., 3:] / 255
        expected = rgba[..., :3] * alpha + np.array(slide.background) * (1 - alpha)
        read = slide.read_region(level, Region(x // 32, y // 32, *size))
        assert 0 < (alpha == 0).mean() < 1
        np.testing.assert_allclose(read, expected, atol=0.51)


def test_ndpi(shared_data: Path) -> None:
    with open_slide(shared_data / NDPI) as slide:
        assert (slide.vendor, slide.backend, slide.objective_power) == ("hamamatsu", "openslide", 40)
        assert [level.downsample for level in slide.levels] == [1, 2, 4, 8, 16, 32, 64]
        assert slide.associated_images() == {"macro": (1188, 406)}
        with openslide.OpenSlide(shared_data / NDPI) as reference:
            expected = np.asarray(reference.read_region((1200, 1600), 2, (200, 100)).convert("RGB"))
        np.testing.assert_array_equal(slide.read_region(2, Region(300, 400, 200, 100)), expected)


def test_no_slide(tmp_path: Path) -> None:
    (tmp_path / "a.svs").write_text("nothing")
    with pytest.raises(SlideRefusedError, match=r"a\.svs: OpenSlide cannot open it"):
        OpenSlideSlide(tmp_path / "a.svs")
