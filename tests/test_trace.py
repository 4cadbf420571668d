"""predict --trace: where the time went, outside the store, without moving a byte of it."""

import contextlib
import json
import threading
import time

import numpy as np
import pytest
import tifffile
from PIL import Image
from resume_child import options_for

from wsiseg import segment_slide
from wsiseg.exports.trace_picture import draw_trace
from wsiseg.trace import BINS, NO_TRACE, Trace


class Clock:
    """Time that passes only when told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(time, "perf_counter", made)
    return made


def spend(clock, trace, *steps):
    """Go through nested stages: ("read", 1.0, ("decode", 2.0)) spends 1 s in read and 2 s in decode in it."""
    for step in steps:
        if isinstance(step, float):
            clock.now += step
        else:
            with trace.span(step[0]):
                spend(clock, trace, *step[1:])


def test_time_belongs_to_the_innermost_stage(clock):
    trace = Trace()
    spend(
        clock,
        trace,
        ("tile", 0.5, ("read", 1.0, ("decode", 2.0), 0.25), ("network", 4.0)),
        3.0,
        ("write", 1.0),
    )
    account = trace.account()
    assert account["paths"] == {
        "tile": 0.5,
        "tile;read": 1.25,
        "tile;read;decode": 2.0,
        "tile;network": 4.0,
        "write": 1.0,
    }
    assert account["stages"]["read"] == {"seconds": 1.25, "calls": 1}
    assert account["seconds"] == 11.75
    assert account["threads"] == 1
    line = account["timeline"]
    assert sum(line["stages"]["network"]) == pytest.approx(4.0)
    assert len(line["stages"]["network"]) == int(11.75 / line["bin_seconds"]) + 1


def test_an_error_ends_its_spans(clock):
    trace = Trace()
    with contextlib.suppress(OSError), trace.span("tile"), trace.span("read"):
        clock.now += 1.0
        raise OSError("torn")
    spend(clock, trace, ("write", 2.0))
    assert trace.account()["paths"] == {"tile": 0.0, "tile;read": 1.0, "write": 2.0}


def test_threads_are_added_up(clock):
    trace = Trace()
    for _ in range(3):
        thread = threading.Thread(target=spend, args=(clock, trace, ("network", 2.0)))
        thread.start()
        thread.join()
    account = trace.account()
    assert account["threads"] == 3
    assert account["stages"]["network"] == {"seconds": 6.0, "calls": 3}


def test_a_long_run_takes_no_more_room(clock):
    trace = Trace()
    for _ in range(300):
        spend(clock, trace, ("network", 50.0), ("write", 10.0))
    line = trace.account()["timeline"]
    assert len(line["stages"]["network"]) <= BINS
    assert sum(line["stages"]["network"]) == pytest.approx(15_000.0)
    assert sum(line["stages"]["write"]) == pytest.approx(3_000.0)
    assert line["bin_seconds"] * BINS >= 18_000


def test_busy_is_of_all_streams(clock):
    trace = Trace()
    trace.note("streams", 2)
    for _ in range(10):
        spend(clock, trace, ("network", 8.0), ("read", 2.0))
    assert trace.account()["network"]["busy"] == pytest.approx(0.4, abs=0.02)


def test_decodes_are_counted_by_tile():
    trace = Trace()
    for tile in (1, 2, 3, 1):
        trace.decoded(tile)
    assert trace.account()["source_tiles"] == {"decoded": 4, "distinct": 3, "times_each": 1.333}


def test_nobody_looking_costs_nothing():
    with NO_TRACE.span("read"):
        NO_TRACE.decoded((0, 1))


def test_predicting_with_it_writes_beside_the_store(tmp_path):
    slide = tmp_path / "noise.tif"
    rgb = np.random.default_rng(5).integers(0, 256, (50, 60, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    tifffile.imwrite(slide, rgb, tile=(256, 256), photometric="rgb", compression="jpeg")
    traced = segment_slide(slide, tmp_path / "traced", options_for(trace=True))
    plain = segment_slide(slide, tmp_path / "plain", options_for())

    def bytes_of(store):
        return {file.relative_to(store): file.read_bytes() for file in store.rglob("*") if file.is_file()}

    assert bytes_of(traced.store) == bytes_of(plain.store)
    assert not list((tmp_path / "plain").glob("*.trace.*"))
    account = json.loads((tmp_path / "traced" / "noise.trace.json").read_text())
    assert {"plan", "read", "decode", "network", "stitch", "write", "halve"} <= set(account["stages"])
    assert account["source_tiles"]["distinct"] == 15  # of the only level
    assert account["network"]["streams"] == 1  # torch takes turns
    with Image.open(tmp_path / "traced" / "noise.trace.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert (200, 55, 45) in colours  # the network
    again = segment_slide(slide, tmp_path / "traced", options_for(trace=True))
    assert again.was_finished


def test_a_picture_of_next_to_nothing_can_be_drawn(tmp_path):
    draw_trace(tmp_path / "t.png", Trace().account(), "nothing \x1b[31m")
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")
