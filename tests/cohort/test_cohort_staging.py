"""Copies on a local disk: the same record, bounded room, and nothing left behind."""

import shutil
import subprocess
import sys

import pytest

from wsiseg.cohort.batch import run_batch
from wsiseg.cohort.staging import FOLDER, Staging, staged

HOLDER = """
import os, signal, sys
from pathlib import Path
from wsiseg.cohort.staging import Staging, staged
with staged(sys.argv[1], Staging(folder=Path(sys.argv[2]), most_bytes=10**9)) as copy:
    assert Path(copy).is_file() and copy != sys.argv[1]
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
"""


def left(folder):
    return [path.name for path in (folder / FOLDER).iterdir() if path.is_dir()]


def test_a_staged_slide_gives_the_same_bytes(tmp_path, slides, options_for, digests_of):
    staging = Staging(folder=tmp_path / "scratch", most_bytes=10**9)
    run_batch(str(slides / "a.tiff"), tmp_path / "plain", options_for())
    run_batch(str(slides / "a.tiff"), tmp_path / "staged", options_for(staging=staging))
    assert digests_of(tmp_path / "plain") == digests_of(tmp_path / "staged")
    assert left(tmp_path / "scratch") == []


def test_what_does_not_fit_is_read_in_place(tmp_path, slides):
    source = str(slides / "a.tiff")
    size = (slides / "a.tiff").stat().st_size
    with staged(source, Staging(folder=tmp_path, most_bytes=size - 1)) as place:
        assert place == source
    with staged(source, Staging(folder=tmp_path, most_bytes=2 * size - 1)) as first:
        assert first != source
        with staged(str(slides / "b.tiff"), Staging(folder=tmp_path, most_bytes=2 * size - 1)) as second:
            assert second == str(slides / "b.tiff")
    with staged("https://host/x.zarr", Staging(folder=tmp_path, most_bytes=size)) as place:
        assert place == "https://host/x.zarr"
    assert left(tmp_path) == []


def test_folders_are_copied_whole(tmp_path, slides):
    folder = tmp_path / "case.zarr"
    (folder / "0").mkdir(parents=True)
    (folder / "zarr.json").write_text("{}")
    (folder / "0" / "c").write_text("x")
    with staged(str(folder), Staging(folder=tmp_path / "scratch", most_bytes=10**6)) as copy:
        from pathlib import Path

        assert Path(copy).name == "case.zarr"
        assert (Path(copy) / "0" / "c").read_text() == "x"
    shutil.copy(slides / "a.tiff", tmp_path / "x.mrxs")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "Data0.dat").write_text("y")
    with staged(str(tmp_path / "x.mrxs"), Staging(folder=tmp_path / "scratch", most_bytes=10**9)) as copy:
        assert (Path(copy).with_suffix("") / "Data0.dat").read_text() == "y"


@pytest.mark.skipif(sys.platform == "win32", reason="needs kill")
def test_copies_of_killed_processes_are_swept_and_others_files_are_not(tmp_path, slides):
    (tmp_path / "somebody's").mkdir()
    command = [sys.executable, "-c", HOLDER, str(slides / "a.tiff"), str(tmp_path)]
    assert subprocess.run(command, timeout=120, check=False).returncode < 0
    assert len(left(tmp_path)) == 1
    with staged(str(slides / "b.tiff"), Staging(folder=tmp_path, most_bytes=10**9)):
        assert len(left(tmp_path)) == 1
    assert left(tmp_path) == []
    assert (tmp_path / "somebody's").is_dir()
