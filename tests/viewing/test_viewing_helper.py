"""The process that predicts for a window: the same bytes, what it tells, and how it ends."""

import threading

import pytest
from noise_slide import tree_hash
from test_viewing_watched_run import labels_of

from wsiseg import PredictOptions, segment_slide
from wsiseg.geometry import Region
from wsiseg.phantom.slide_file import write_phantom_slide
from wsiseg.viewing.helper import LAST, Helper

LIMIT_S = 240
OPTIONS = PredictOptions(runtime="torch", precision="fp32", tile_px=256, halo_px=64, block_px=512)
VIEW = Region(0, 0, 1400, 1000), (1000.0, 600.0)


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("slide") / "small.tiff"
    write_phantom_slide(path, seed=3, width_px=1400, height_px=1000, mpp=0.5)
    return str(path)


@pytest.fixture(scope="module")
def undisturbed(slide, tmp_path_factory):
    return segment_slide(slide, tmp_path_factory.mktemp("undisturbed"), OPTIONS).store


@pytest.fixture(scope="module")
def helper():
    made = Helper()
    yield made
    made.close()


class Job:
    """What a job said."""

    def __init__(self, helper, *command):
        self.events = []
        self._heard = threading.Condition()
        helper.begin(self._hear, *command)

    def _hear(self, *event):
        with self._heard:
            self.events.append(event)
            self._heard.notify_all()

    def wait(self, *names):
        """Return the first event of these names."""
        with self._heard:
            found = lambda: [event for event in self.events if event[0] in (*names, *LAST)]  # noqa: E731
            assert self._heard.wait_for(found, LIMIT_S)
            assert found()[0][0] in names, found()[0]
            return found()[0]


def test_live_then_a_run(helper, slide, undisturbed, tmp_path):
    """Parts and blocks are told; the labels seen from here are those that will be stored; the run resumes."""
    live = Job(helper, "live", slide, str(tmp_path), OPTIONS)
    begun = live.wait("begun")[1]
    levels = begun.levels()
    assert begun.done == frozenset()
    helper.tell("look", VIEW)
    _, at, labels = live.wait("part")
    levels.show_part(at, labels)
    wanted = labels_of(undisturbed)
    seen = levels.read(0, Region(0, 0, wanted.shape[1], wanted.shape[0]))
    where = at.slices_in(Region(0, 0, 0, 0))
    assert (seen[where] == wanted[where]).all()
    assert (seen == 255).sum() == seen.size - at.area
    block = live.wait("block")[1]
    levels.finished((block.y // 512, block.x // 512))
    assert (levels.read(0, block) == wanted[block.slices_in(Region(0, 0, 0, 0))]).all()
    helper.tell("stop")
    live.wait("stopped")

    run = Job(helper, "predict", slide, str(tmp_path), OPTIONS, None)
    assert run.wait("begun")[1].done >= {(block.y // 512, block.x // 512)}
    result = run.wait("finished")[1]
    assert result.summary["tasks_resumed"] >= 1
    assert tree_hash(result.store) == tree_hash(undisturbed)


def test_an_error_is_one_line(helper, slide, tmp_path):
    options = PredictOptions(model="no-such-model")
    _, reason = Job(helper, "predict", slide, str(tmp_path), options, None).wait("failed")
    assert "no-such-model" in reason
    assert "\n" not in reason
    assert "report" not in reason


def test_closing_leaves_a_run_that_goes_on(slide, undisturbed, tmp_path):
    helper = Helper()
    job = Job(helper, "live", slide, str(tmp_path), OPTIONS)
    job.wait("begun")
    process = helper._process
    helper.close()
    assert process.returncode == 0
    assert tree_hash(segment_slide(slide, tmp_path, OPTIONS).store) == tree_hash(undisturbed)


def test_what_was_prepared_is_as_it_would_be(slide, undisturbed, tmp_path):
    """What cannot be is said by a run, not by what prepares it; another run then begins as ever."""
    helper = Helper()
    helper.prepare(slide, str(tmp_path / "none"), PredictOptions(model="no-such-model"))
    helper.prepare(slide, str(tmp_path), OPTIONS)
    run = Job(helper, "predict", slide, str(tmp_path), OPTIONS, None)
    result = run.wait("finished")[1]
    assert run.events[0][0] == "begun"
    assert tree_hash(result.store) == tree_hash(undisturbed)
    assert not (tmp_path / "none").exists()
    helper.close()


def test_a_window_that_closes_does_not_wait_for_what_is_prepared(slide, tmp_path):
    helper = Helper()
    helper.prepare(slide, str(tmp_path), OPTIONS)
    process = helper._process
    helper.close()
    assert process.returncode is not None
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_dies_is_told_of_and_replaced(slide, tmp_path):
    helper = Helper()
    job = Job(helper, "live", slide, str(tmp_path), OPTIONS)
    job.wait("begun")
    helper._process.kill()
    assert "has ended" in job.wait("failed")[1]
    again = Job(helper, "live", slide, str(tmp_path), OPTIONS)
    again.wait("begun")
    helper.close()
