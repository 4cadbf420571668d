"""An interrupted run, run again, ends in the same bytes; nothing half-written is ever taken for whole."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from noise_slide import tree_hash, write_noise_slide
from resume_child import options_for

from wsiseg import segment_slide
from wsiseg.errors import UsageError
from wsiseg.pyramid.journal import Journal

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return write_noise_slide(tmp_path_factory.mktemp("slide") / "noise.tif")


@pytest.fixture(scope="module")
def undisturbed(slide, tmp_path_factory):
    folders = {}
    for ngff in ("0.5", "0.4"):
        folders[ngff] = tmp_path_factory.mktemp("undisturbed")
        segment_slide(slide, folders[ngff], options_for(ngff))
    return folders


def store_of(folder):
    return folder / "noise.wsiseg.ome.zarr"


def kill_after(slide, out, lines, ngff):
    """Run in a child that dies by kill -9 once its journal has that many lines."""
    child = [sys.executable, str(HERE / "resume_child.py"), str(slide), str(out), ngff, str(lines)]
    assert subprocess.run(child, cwd=HERE, timeout=240).returncode not in (0, 1)
    journal = out / "noise.wsiseg-work" / "journal.jsonl"
    assert journal.read_bytes().count(b"\n") >= lines


@pytest.mark.parametrize(("lines", "ngff"), [(1, "0.5"), (3, "0.5"), (7, "0.5"), (12, "0.5"), (5, "0.4")])
def test_killed_and_run_again_gives_the_same_bytes(slide, undisturbed, tmp_path, lines, ngff):
    kill_after(slide, tmp_path, lines, ngff)
    assert not (tmp_path / "noise.summary.json").exists()
    result = segment_slide(slide, tmp_path, options_for(ngff))
    assert result.summary["tasks_resumed"] >= lines - 2
    assert tree_hash(store_of(tmp_path)) == tree_hash(store_of(undisturbed[ngff]))
    assert sorted(item.name for item in tmp_path.iterdir()) == [
        "noise.overlay.png",
        "noise.summary.json",
        "noise.wsiseg.ome.zarr",
    ]
    assert not list(tmp_path.rglob("*.partial"))
    areas = json.loads((undisturbed[ngff] / "noise.summary.json").read_text())["areas"]
    assert result.summary["areas"] == areas


def test_number_of_workers_does_not_change_a_byte(slide, undisturbed, tmp_path):
    segment_slide(slide, tmp_path, options_for(workers=1))
    assert tree_hash(store_of(tmp_path)) == tree_hash(store_of(undisturbed["0.5"]))


def test_finished_is_recognised_and_left_alone(slide, tmp_path):
    segment_slide(slide, tmp_path, options_for())
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    assert segment_slide(slide, tmp_path, options_for()).was_finished
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == before


def test_other_settings_on_a_finished_output_are_refused_by_name(slide, undisturbed):
    with pytest.raises(UsageError, match=r"halo_px: was 48, now 64.*--overwrite"):
        segment_slide(slide, undisturbed["0.5"], options_for(halo_px=64))


def test_other_settings_on_an_unfinished_output_are_refused_by_name(slide, tmp_path):
    kill_after(slide, tmp_path, 4, "0.5")
    before = tree_hash(tmp_path)
    with pytest.raises(UsageError, match=r"begun with other settings.*ngff: was 0.5, now 0.4"):
        segment_slide(slide, tmp_path, options_for("0.4"))
    assert tree_hash(tmp_path) == before
    assert not segment_slide(slide, tmp_path, options_for("0.4", overwrite=True)).was_finished


def test_second_process_on_one_output_is_refused(slide, tmp_path):
    journal = Journal(tmp_path / "noise.wsiseg-work", store_of(tmp_path))
    try:
        with pytest.raises(UsageError, match="being written by another process"):
            segment_slide(slide, tmp_path, options_for())
    finally:
        journal.close()


@pytest.mark.parametrize("damage", ["torn line", "short file", "missing file"])
def test_what_the_journal_says_is_checked_against_the_files(slide, undisturbed, tmp_path, damage):
    kill_after(slide, tmp_path, 6, "0.5")
    journal = tmp_path / "noise.wsiseg-work" / "journal.jsonl"
    shard = next(store_of(tmp_path).glob("labels/tissue/0/c/*/*"))
    if damage == "torn line":
        with journal.open("ab") as file:
            file.write(b'{"task":"label/0/0/1","by')
    elif damage == "short file":
        os.truncate(shard, shard.stat().st_size // 2)
    else:
        shard.unlink()
    segment_slide(slide, tmp_path, options_for())
    assert tree_hash(store_of(tmp_path)) == tree_hash(store_of(undisturbed["0.5"]))


def test_a_folder_that_is_no_run_of_ours_is_never_touched(slide, tmp_path):
    store_of(tmp_path).mkdir()
    (store_of(tmp_path) / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="no run that can be resumed"):
        segment_slide(slide, tmp_path, options_for())
    assert (store_of(tmp_path) / "thesis.txt").read_text() == "years of work"


def test_output_inside_of_an_input_is_refused_even_with_overwrite(tmp_path):
    (tmp_path / "slide.zarr").mkdir()
    from wsiseg.run.output import OutputPaths

    for folder, source in [
        (tmp_path / "slide.zarr", tmp_path / "slide.zarr"),
        (tmp_path, tmp_path / "slide.wsiseg.ome.zarr" / "0"),
        (tmp_path, tmp_path / "slide.overlay.png"),
    ]:
        with pytest.raises(UsageError, match="overlap"):
            OutputPaths.of(folder, "slide").check_apart_from(source)


def test_another_slide_under_the_same_name_is_refused(slide, tmp_path):
    copy = tmp_path / slide.name
    copy.write_bytes(slide.read_bytes())
    segment_slide(copy, tmp_path, options_for())
    tifffile.imwrite(
        copy, np.full((1333, 1222, 3), 77, np.uint8), tile=(256, 256), photometric="rgb", compression="zlib"
    )
    with pytest.raises(UsageError, match=r"slide\.fingerprint"):
        segment_slide(copy, tmp_path, options_for())
