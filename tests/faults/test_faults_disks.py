"""Disks that fill, vanish or may not be written: a clear line, and a store that the same command finishes."""

import os
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile
from faults_files import files_of
from resume_child import options_for

from wsiseg import segment_slide
from wsiseg.cli import main as program
from wsiseg.errors import SlideReadError

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits and rights as Linux has them")
HERE = Path(__file__).parent
STORE = "noise.wsiseg.ome.zarr"


@contextmanager
def small_files(most):
    """Let no file of this process grow beyond so many bytes: its writes fail as those to a full disk do."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@LINUX
@pytest.mark.parametrize("most", [2_000, 40_000])  # of the journal; of a block of labels
def test_a_disk_that_takes_no_more(slide, undisturbed, tmp_path, most):
    with small_files(most), pytest.raises(OSError, match="File too large"):
        segment_slide(slide, tmp_path, options_for())
    assert not (tmp_path / "noise.summary.json").exists()
    segment_slide(slide, tmp_path, options_for())
    assert files_of(tmp_path) == undisturbed


@LINUX
def test_the_command_says_so_in_one_line(slide, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["wsiseg", "predict", str(slide), "-o", str(tmp_path / "out"), "-q"])
    monkeypatch.setattr(
        sys, "argv", [*sys.argv, "--slide-mpp", "1", "--runtime", "torch", "--tissue", "none"]
    )
    with small_files(2_000), pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "File too large" in line
    assert line.endswith("once that is mended, the same command goes on from here")


def test_an_output_folder_that_vanishes_and_comes_back(slide, undisturbed, tmp_path):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"

    def vanish(done, of):
        if not elsewhere.exists():
            out.rename(elsewhere)

    with pytest.raises(OSError, match="No such file"):
        segment_slide(slide, out, options_for(workers=1), progress=vanish)
    shutil.rmtree(out, ignore_errors=True)  # what the run may still have written where nothing was mounted
    elsewhere.rename(out)
    assert not (out / "noise.summary.json").exists()
    segment_slide(slide, out, options_for())
    assert files_of(out) == undisturbed


@pytest.mark.parametrize("what", ["vanishes", "changes"])
def test_a_slide_that_does_not_stay_is_not_called_unread(undisturbed, slide, tmp_path, what):
    copy, out = tmp_path / slide.name, tmp_path / "out"
    shutil.copyfile(slide, copy)

    def happen(done, of):
        if what == "vanishes":
            copy.unlink(missing_ok=True)
        else:
            tifffile.imwrite(copy, np.full((64, 64, 3), 9, np.uint8), tile=(64, 64), photometric="rgb")

    with pytest.raises(SlideReadError, match="changed or vanished while it was read, so nothing is kept"):
        segment_slide(copy, out, options_for(workers=1), progress=happen)
    assert list(out.iterdir()) == []
    shutil.copyfile(slide, copy)
    segment_slide(copy, out, options_for())
    assert files_of(out) == undisturbed


def without_rights(*arguments):
    command = [sys.executable, str(HERE / "limited_command.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


@LINUX
def test_a_slide_that_may_not_be_read(slide, tmp_path):
    copy = tmp_path / slide.name
    shutil.copyfile(slide, copy)
    copy.chmod(0)
    done = without_rights("info", copy)
    assert done.returncode == 3, done.stderr
    (line,) = done.stderr.splitlines()
    assert "ermission denied" in line
    assert slide.name in line


@LINUX
def test_a_folder_that_may_not_be_written(slide, tmp_path):
    out = tmp_path / "out"
    out.mkdir(0o555)
    done = without_rights("predict", slide, "-o", out, "-q", "--slide-mpp", 1, "--runtime", "torch")
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert "Permission denied" in line
    assert line.endswith("once that is mended, the same command goes on from here")
    assert list(out.iterdir()) == []


@pytest.fixture
def read_only_disk(tmp_path):
    """A disk mounted read-only; skipped where this process may not mount one."""
    mount = shutil.which("mount")
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or mount is None:
        pytest.skip("needs root, to mount a disk read-only")
    disk = tmp_path / "disk"
    disk.mkdir()
    asked = [mount, "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", str(disk)]
    if subprocess.run(asked, check=False, capture_output=True, timeout=60).returncode:
        pytest.skip("may not mount a disk here")
    try:
        yield disk
    finally:
        subprocess.run([shutil.which("umount"), str(disk)], check=True, timeout=60)


def test_a_read_only_disk(slide, read_only_disk):
    with pytest.raises(OSError, match="Read-only file system"):
        segment_slide(slide, read_only_disk / "out", options_for())
