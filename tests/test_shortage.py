"""What this machine lacks is told from what is wrong with an input, in whatever words a library says it."""

import errno
import os
import threading

import numpy as np
import pytest
import tifffile
import torch
from few_files import no_more_files

from wsiseg import shortage as module
from wsiseg.errors import SlideRefusedError
from wsiseg.shortage import FILES, MEMORY, ShortageError, blame_no_input, shortage
from wsiseg.slides import open_slide

POSIX = pytest.mark.skipif(os.name == "nt", reason="no such limit there")


def error_of(call):
    with pytest.raises(Exception) as caught:  # noqa: PT011
        call()
    return caught.value


def said(error):
    found = shortage(error)
    return found and str(found).removesuffix(", and the same command goes on from here")


def test_an_allocation_that_cannot_be_made_is_recognised():
    assert said(error_of(lambda: torch.empty(2**60, dtype=torch.uint8))) == MEMORY
    assert said(error_of(lambda: np.empty(2**60, np.uint8))) == MEMORY
    assert said(error_of(lambda: bytearray(2**60))) == MEMORY


@POSIX
def test_a_file_that_cannot_be_opened_is(tmp_path):
    def look():
        with no_more_files():
            list(tmp_path.iterdir())

    assert said(error_of(look)) == FILES


def test_an_error_that_comes_from_one_is():
    def fail():
        try:
            bytearray(2**60)
        except MemoryError as error:
            raise ValueError("cannot draw it") from error

    assert said(error_of(fail)) == MEMORY


def test_other_errors_are_not(tmp_path):
    assert said(error_of(lambda: torch.zeros(2) @ torch.zeros(3))) is None
    assert said(error_of(lambda: threading.Thread().join())) is None
    assert said(error_of(lambda: open(tmp_path / "none"))) is None  # noqa: PTH123, SIM115
    assert said(ValueError("out of memory: a text that may stand in a file")) is None
    assert said(OSError(errno.ENOSPC, "too many open files")) is None


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("Cannot load library x: failed to map segment from shared object", MEMORY),
        ("can't start new thread", MEMORY),
        ("Exception from src/plugin.cpp:921:\nResource temporarily unavailable\n", MEMORY),
        ("Cannot load library x: cannot open shared object file: Too many open files", FILES),
    ],
)
def test_what_was_seen_of_others_is(text, what):
    assert said(RuntimeError(text)) == what


def test_who_lacks_nothing_may_blame_the_input():
    blame_no_input(MemoryError("the file claims 2**60 bytes"))
    blame_no_input("damaged")


@POSIX
def test_who_can_open_nothing_may_not():
    with no_more_files(), pytest.raises(ShortageError, match="too many open files"):
        blame_no_input("damaged")


def test_who_has_no_memory_may_not(monkeypatch):
    monkeypatch.setattr(module, "SPARE_BYTES", 2**60)
    with pytest.raises(ShortageError, match="out of memory"):
        blame_no_input("damaged")


def test_damage_met_without_memory_is_not_called_unread(tmp_path, monkeypatch):
    path = tmp_path / "slide.tif"
    rgb = np.random.default_rng(1).integers(0, 256, (256, 256, 3), np.uint8)
    tifffile.imwrite(path, rgb, tile=(128, 128), photometric="rgb", compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        middle = tiff.pages[0].dataoffsets[0] + tiff.pages[0].databytecounts[0] // 2
    with path.open("r+b") as file:
        file.seek(middle)
        file.write(bytes(64))
    with open_slide(path) as slide:
        _, unread = slide.read_region_masked(0, slide.levels[0].region)
        assert unread.sum() == 128 * 128
    with open_slide(path) as slide:
        monkeypatch.setattr(module, "SPARE_BYTES", 2**60)
        with pytest.raises(ShortageError, match="out of memory"):
            slide.read_region_masked(0, slide.levels[0].region)


@POSIX
def test_no_slide_is_refused_for_want_of_open_files(tmp_path):
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, np.zeros((256, 256, 3), np.uint8), tile=(128, 128), photometric="rgb")
    open_slide(path).close()
    with no_more_files():
        error = error_of(lambda: open_slide(path))
    assert not isinstance(error, SlideRefusedError)
    assert said(error) == FILES or str(error).startswith(FILES)
