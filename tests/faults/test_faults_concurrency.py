"""Readers while a run writes: what is not there yet is 255, and what is there is final."""

import threading

import numpy as np
import pytest
import zarr
from faults_files import files_of
from resume_child import options_for

from wsiseg import segment_slide
from wsiseg.class_map import NOT_ANALYSED
from wsiseg.errors import OutputBusyError


def labels_of(out):
    group = zarr.open_group(str(out / "noise.wsiseg.ome.zarr"), mode="r")["labels/tissue"]
    return {name: array[...] for name, array in group.arrays()}


@pytest.mark.parametrize("ngff", ["0.5", "0.4"])
def test_readers_see_what_is_final_or_nothing(slide, tmp_path, ngff):
    seen, lock = [], threading.Lock()

    def look(done, of):
        with lock:
            seen.append(labels_of(tmp_path))

    segment_slide(slide, tmp_path, options_for(ngff, workers=2), progress=look)
    final = labels_of(tmp_path)
    assert len(seen) >= 4
    for levels in seen:
        for name, labels in levels.items():
            there = labels != NOT_ANALYSED
            np.testing.assert_array_equal(labels[there], final[name][there])
    assert (final["0"] != NOT_ANALYSED).all()
    assert any((levels["0"] == NOT_ANALYSED).any() for levels in seen)


def test_a_second_run_on_the_same_output_is_refused_and_harms_nothing(slide, undisturbed, tmp_path):
    refused = []

    def begin_another(done, of):
        if refused:
            return
        try:
            segment_slide(slide, tmp_path, options_for(overwrite=True))
        except OutputBusyError as error:
            refused.append(str(error))

    segment_slide(slide, tmp_path, options_for(workers=1), progress=begin_another)
    assert refused
    assert all("is being written by another process" in line for line in refused)
    assert files_of(tmp_path) == undisturbed
