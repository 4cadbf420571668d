"""What every slide backend must do. A backend's test class inherits it and gives three fixtures."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from few_files import no_more_files

from wsiseg.errors import SlideReadError
from wsiseg.geometry import Region
from wsiseg.shortage import ShortageError
from wsiseg.slides import Slide, SlideClosedError, describe, open_slide

MARGIN = 400


class Padded:
    """What `read_region` must return, cut from a whole level with a wide border: the obvious way."""

    def __init__(self, pixels: np.ndarray, background: tuple[int, int, int]) -> None:
        height, width = pixels.shape[:2]
        self.wide = np.full((height + 2 * MARGIN, width + 2 * MARGIN, 3), background, np.uint8)
        self.wide[MARGIN:-MARGIN, MARGIN:-MARGIN] = pixels

    def read(self, region: Region) -> np.ndarray:
        x, y = region.x + MARGIN, region.y + MARGIN
        assert x >= 0
        assert y >= 0
        return self.wide[y : y + region.height, x : x + region.width]


class SlideContract:
    """Fixtures to give: `source`, `truth` (the pixels of each level), and `backend` where not the default."""

    mpp: tuple[float, float] | None = (0.5, 0.5)

    @pytest.fixture
    def source(self) -> Any:
        raise NotImplementedError

    @pytest.fixture
    def truth(self) -> list[np.ndarray]:
        raise NotImplementedError

    @pytest.fixture
    def backend(self) -> str | None:
        return None

    @pytest.fixture
    def slide(self, source: Any, backend: str | None) -> Iterator[Slide]:
        with open_slide(source, backend=backend) as slide:
            yield slide

    def test_levels_fit_the_file(self, slide: Slide, truth: list[np.ndarray]) -> None:
        assert [(level.height_px, level.width_px) for level in slide.levels] == [
            item.shape[:2] for item in truth
        ]
        assert slide.levels[0].downsample == 1
        for index, (fine, coarse) in enumerate(zip(slide.levels, slide.levels[1:], strict=False)):
            assert coarse.downsample == 2 ** (index + 1)
            assert coarse.width_px < fine.width_px
            assert coarse.height_px < fine.height_px
        assert slide.mpp == pytest.approx(self.mpp)

    def test_whole_levels(self, slide: Slide, truth: list[np.ndarray]) -> None:
        for level, expected in enumerate(truth):
            read = slide.read_region(level, slide.levels[level].region)
            assert read.dtype == np.uint8
            assert read.flags.c_contiguous
            np.testing.assert_array_equal(read, expected)

    def test_regions_in_and_across_the_edges(self, slide: Slide, truth: list[np.ndarray]) -> None:
        rng = np.random.default_rng(1)
        reference = [Padded(item, slide.background) for item in truth]
        for _ in range(40):
            level = int(rng.integers(len(truth)))
            height, width = truth[level].shape[:2]
            x, y = int(rng.integers(-150, width + 50)), int(rng.integers(-150, height + 50))
            region = Region(x, y, int(rng.integers(1, 300)), int(rng.integers(1, 300)))
            expected = reference[level].read(region)
            np.testing.assert_array_equal(slide.read_region(level, region), expected, err_msg=str(region))
            pixels, unread = slide.read_region_masked(level, region)
            np.testing.assert_array_equal(pixels, expected)
            assert unread.shape == (region.height, region.width)
            assert unread.dtype == np.bool_
            assert not unread.any()

    def test_outside_is_background(self, slide: Slide) -> None:
        for region in (Region(-300, -300, 20, 10), Region(10**9, 5, 20, 10), Region(5, 10**9, 20, 10)):
            pixels = slide.read_region(0, region)
            assert pixels.shape == (10, 20, 3)
            assert (pixels == slide.background).all()

    def test_empty_regions(self, slide: Slide) -> None:
        assert slide.read_region(0, Region(3, 4, 0, 7)).shape == (7, 0, 3)
        pixels, unread = slide.read_region_masked(0, Region(3, 4, 5, 0))
        assert (pixels.shape, unread.shape) == ((0, 5, 3), (0, 5))

    def test_nonsense_is_refused(self, slide: Slide) -> None:
        with pytest.raises(ValueError, match="expected 0 or more"):
            slide.read_region(0, Region(0, 0, -1, 5))
        for level in (-1, len(slide.levels)):
            with pytest.raises(ValueError, match=f"level {level}: expected 0 to {len(slide.levels) - 1}"):
                slide.read_region(level, Region(0, 0, 5, 5))

    def test_what_is_returned_belongs_to_the_caller(self, slide: Slide, truth: list[np.ndarray]) -> None:
        region = Region(10, 20, 60, 50)
        slide.read_region(0, region)[:] = 7
        slide.read_region_masked(0, region)[0][:] = 7
        np.testing.assert_array_equal(slide.read_region(0, region), truth[0][20:70, 10:70])

    def test_four_threads_read_the_same_bytes(self, slide: Slide, truth: list[np.ndarray]) -> None:
        rng = np.random.default_rng(2)
        reference = Padded(truth[0], slide.background)
        regions = [
            Region(int(x), int(y), 90, 80)
            for x, y in zip(rng.integers(-40, 600, 60), rng.integers(-40, 400, 60), strict=True)
        ]
        with ThreadPoolExecutor(4) as pool:
            for region, read in zip(
                regions, pool.map(lambda r: slide.read_region(0, r), regions), strict=True
            ):
                np.testing.assert_array_equal(read, reference.read(region))

    @pytest.mark.skipif(os.name == "nt", reason="no such limit there")
    def test_want_of_open_files_makes_nothing_unread(
        self, slide: Slide, source: Any, backend: str | None, truth: list[np.ndarray]
    ) -> None:
        with open_slide(source, backend=backend) as other:  # what is imported when it is needed, is now
            other.read_region_masked(0, other.levels[0].region)
        with no_more_files():
            try:
                pixels, unread = slide.read_region_masked(0, slide.levels[0].region)
            except ShortageError:
                pixels, unread = truth[0], np.zeros(1, bool)
        np.testing.assert_array_equal(pixels, truth[0])
        assert not unread.any()
        pixels, unread = slide.read_region_masked(0, slide.levels[0].region)
        np.testing.assert_array_equal(pixels, truth[0])
        assert not unread.any()

    def test_closed_slides_say_so(self, slide: Slide) -> None:
        slide.close()
        slide.close()
        for read in (slide.read_region, slide.read_region_masked):
            with pytest.raises(SlideClosedError, match="the slide is closed"):
                read(0, Region(0, 0, 5, 5))
        assert issubclass(SlideClosedError, SlideReadError)

    def test_closing_while_threads_read(self, slide: Slide, truth: list[np.ndarray]) -> None:
        reference = Padded(truth[0], slide.background)

        def read(index: int) -> bool:
            region = Region(index % 500, index % 300, 100, 100)
            try:
                pixels = slide.read_region(0, region)
            except SlideClosedError:
                return False
            np.testing.assert_array_equal(pixels, reference.read(region))
            return True

        with ThreadPoolExecutor(4) as pool:
            reads = [pool.submit(read, index) for index in range(60)]
            slide.close()
            done = [item.result() for item in reads]
        assert not read(0)
        assert len(done) == 60

    def test_reopened_slides_are_independent(self, slide: Slide, truth: list[np.ndarray]) -> None:
        again = slide.reopen()
        slide.close()
        with again:
            assert (again.source, again.name, again.backend) == (slide.source, slide.name, slide.backend)
            assert (again.levels, again.mpp) == (slide.levels, slide.mpp)
            np.testing.assert_array_equal(again.read_region(0, Region(1, 2, 30, 40)), truth[0][2:42, 1:31])

    def test_the_source_opens_it_again_elsewhere(self, slide: Slide, backend: str | None) -> None:
        if slide.backend == "array":
            pytest.skip("an array has no source outside of its process")
        source = pickle.loads(pickle.dumps(slide.source))  # noqa: S301
        with open_slide(source, backend=backend) as again:
            assert again.levels == slide.levels

    def test_description(self, slide: Slide) -> None:
        found = json.loads(json.dumps(describe(slide)))
        assert found["backend"] == slide.backend
        assert found["name"] == slide.name
        assert [item["width_px"] for item in found["levels"]] == [level.width_px for level in slide.levels]
        hidden = json.dumps(describe(slide, redact=True))
        assert slide.backend == "array" or slide.name not in hidden
