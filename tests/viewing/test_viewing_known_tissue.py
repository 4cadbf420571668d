"""Tissue is found once for all jobs of a slide, and waiting for it can be stopped."""

import threading

import numpy as np
import pytest

from wsiseg import open_slide
from wsiseg.tiling.frame import frame_at
from wsiseg.tiling.tissue import find_tissue
from wsiseg.viewing import known_tissue
from wsiseg.viewing.known_tissue import KnownTissue
from wsiseg.viewing.stoppable import StoppedError

LIMIT_S = 120


@pytest.fixture
def slide():
    random = np.random.default_rng(2)
    return open_slide(random.integers(0, 256, (60, 80, 3), np.uint8).repeat(8, 0).repeat(8, 1))


def frame_of(slide, mpp):
    return frame_at(slide.levels[0], (0.5, 0.5), mpp)


def test_it_is_found_once_for_each_frame(slide, monkeypatch):
    found = []
    monkeypatch.setattr(
        known_tissue, "find_tissue", lambda *what: (found.append(what[1]), find_tissue(*what))[1]
    )
    known, never = KnownTissue(), threading.Event()
    one = known.find(slide, frame_of(slide, 1.0), never)
    assert known.find(slide, frame_of(slide, 1.0), never) is one
    assert (one.cells == find_tissue(slide, frame_of(slide, 1.0)).cells).all()
    known.find(slide, frame_of(slide, 2.0), never)
    assert [frame.mpp for frame in found] == [(1.0, 1.0), (2.0, 2.0)]


def test_who_waits_for_another_can_be_stopped(slide, monkeypatch):
    began, may_end, stop = threading.Event(), threading.Event(), threading.Event()

    def slow(*what):
        began.set()
        assert may_end.wait(LIMIT_S)
        return find_tissue(*what)

    monkeypatch.setattr(known_tissue, "find_tissue", slow)
    known = KnownTissue()
    first = threading.Thread(target=known.find, args=(slide, frame_of(slide, 1.0), threading.Event()))
    first.start()
    assert began.wait(LIMIT_S)
    stop.set()
    with pytest.raises(StoppedError):
        known.find(slide, frame_of(slide, 1.0), stop)
    may_end.set()
    first.join(LIMIT_S)
    assert not first.is_alive()
