"""Computing what is looked at: in view first, nearest first, into a store that a whole run goes on with."""

import shutil
import threading

import numpy as np
import pytest
import tifffile
from noise_slide import tree_hash
from resume_child import options_for
from test_viewing_watched_run import labels_of

from wsiseg import segment_slide
from wsiseg.errors import OutputBusyError
from wsiseg.geometry import Region
from wsiseg.tiling.grid import TileGrid
from wsiseg.viewing.live import LiveSession
from wsiseg.viewing.live_run import LiveRun
from wsiseg.viewing.looked_at import View, passes_over, tiles_of

LIMIT_S = 120
TILE_PX = 256
WHOLE = Region(0, 0, 1222, 1333)
GRID = TileGrid.fit(8000, 6000, tile_px=1024, halo_px=128, block_px=2048)


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("slide") / "noise.tif"
    random = np.random.default_rng(6)
    rgb = random.integers(0, 256, (90, 80, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    tifffile.imwrite(path, rgb[:1333, :1222], tile=(256, 256), photometric="rgb", compression="zlib")
    return path


@pytest.fixture(scope="module")
def undisturbed(slide, tmp_path_factory):
    return segment_slide(slide, tmp_path_factory.mktemp("undisturbed"), options_for()).store


class Live:
    """A session in a thread, and what it told."""

    def __init__(self, slide, folder, **options):
        self.session = LiveSession()
        self.parts, self.blocks = [], []
        self.levels = None
        self.result = self.error = None
        self._told = threading.Condition()
        self._thread = threading.Thread(target=self._run, args=(slide, folder, options_for(**options)))
        self._thread.start()

    def _run(self, slide, folder, options):
        try:
            self.result = self.session.run(
                slide,
                folder,
                options,
                on_start=self._started,
                on_block=lambda at: self._keep(self.blocks, at),
                on_part=lambda at: self._keep(self.parts, at),
            )
        except Exception as error:
            self.error = error
        with self._told:
            self._told.notify_all()

    def _started(self, plan, levels):
        with self._told:
            self.levels = levels
            self._told.notify_all()

    def _keep(self, where, at):
        with self._told:
            where.append(at)
            self._told.notify_all()

    def wait(self, condition):
        with self._told:
            assert self._told.wait_for(lambda: condition() or self.error, LIMIT_S)
        assert self.error is None

    def end(self):
        self.session.stop()
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive()


@pytest.fixture
def live(slide, tmp_path):
    running = Live(slide, tmp_path, workers=1)
    yield running
    running.end()


def test_in_view_first_and_the_nearest_of_it():
    view = View(Region(900, 900, 1300, 1300), (1500.0, 1500.0))  # of 4 blocks, 2 x 2 tiles each
    tiles = tiles_of(view, GRID)
    assert tiles[0] == Region(1024, 1024, 1024, 1024)
    in_view = {tile for tile in tiles if tile.intersect(view.region).area}
    assert set(tiles[: len(in_view)]) == in_view
    assert len(in_view) == 9
    assert len(tiles) == 16, "the blocks are made whole"
    rest = [(tile.y // 2048, tile.x // 2048) for tile in tiles[9:]]
    assert all(rest.count(block) == rest[rest.index(block) :].count(block) for block in rest)
    assert [block for number, block in enumerate(rest) if block not in rest[:number]][-1] == (1, 1)


@pytest.mark.parametrize(
    ("region", "tiles"),
    [
        (Region(0, 0, 2001, 2000), 0),  # more than 4 MP
        (Region(0, 0, 2000, 2000), 4),
        (Region(-3000, -3000, 3100, 3100), 4),  # 4 MP of what is there
        (Region(-500, 100, 400, 400), 0),
        (Region(7900, 5900, 500, 500), 4),  # clipped: 2 x 2 tiles in the corner's block
    ],
)
def test_how_much_is_computed_of_a_view(region, tiles):
    assert len(tiles_of(View(region, (0.0, 0.0)), GRID)) == tiles


def test_passes_cover_what_is_missing_of_a_view_where_they_are_fewer():
    view = View(Region(900, 930, 1300, 1300), (2100.0, 2100.0))  # 9 tiles of the grid
    tiles = [tile for tile in tiles_of(view, GRID) if tile.intersect(view.region).area]
    assert len(tiles) == 9
    passes = passes_over(view, GRID, tiles)
    assert passes[0] == Region(864 + 1024, 896 + 1024, 1024, 1024), "nearest to the cursor"
    assert {(made.x, made.y) for made in passes} == {(x, y) for x in (864, 1888) for y in (896, 1920)}
    covered = np.zeros((6000, 8000), np.uint8)
    for made in passes:
        covered[made.slices_in(GRID.region)] += 1
    assert (covered[view.region.grow(8).slices_in(GRID.region)] == 1).all()
    corner = next(tile for tile in tiles if tile.x == tile.y == 0)
    assert passes_over(view, GRID, [corner]) == [], "one tile is as soon there as one pass"
    rest = [tile for tile in tiles if tile.y < 1024]  # the upper three
    assert {made.y for made in passes_over(view, GRID, rest)} == {896}


def test_passes_show_labels_until_the_tiles_are_there(live, undisturbed):
    """A view on the corner of four tiles is seen by one pass; then the tiles' labels take its place."""
    first = []

    def keep(where, at):
        if not live.parts:
            rows, columns = live.levels.shapes[0]
            first.append(live.levels.read(0, Region(0, 0, columns, rows)))
        tell(where, at)

    tell, live._keep = live._keep, keep
    live.session.look((Region(400, 400, 200, 200), (500.0, 500.0)))
    live.wait(lambda: len(live.blocks) == 4)
    assert live.parts[0] == Region(384, 384, 128, 128), "in the first of the four blocks"
    wanted = labels_of(undisturbed)
    seen = first[0][384:512, 384:512]
    assert (seen != 255).all()
    assert (seen == wanted[384:512, 384:512]).mean() > 0.5, "it is the same network"
    found = live.levels.read(0, Region(0, 0, 1024, 1024))
    assert (found == wanted[:1024, :1024]).all()


def test_tiles_are_shown_before_their_block_is_whole(live, undisturbed):
    """The first of the block's four tiles shows what will be stored, the rest 255, at each level."""
    seen = []

    def look(levels):
        for level in range(3):
            rows, columns = levels.shapes[level]
            seen.append(levels.read(level, Region(0, 0, columns, rows)))

    tell = live._keep
    live._keep = lambda where, at: (seen or look(live.levels), tell(where, at))
    live.session.look((Region(600, 600, 100, 100), (650.0, 650.0)))
    live.wait(lambda: live.parts)
    first = live.parts[0]
    assert first == Region(512, 512, TILE_PX, TILE_PX)
    for level, found in enumerate(seen):
        rows, columns = (slice(at.start >> level, at.stop >> level) for at in first.slices_in(WHOLE))
        assert (found[rows, columns] == labels_of(undisturbed, level)[rows, columns]).all()
        assert (np.delete(np.delete(found, rows, 0), columns, 1) == 255).all()
        assert (found == 255).sum() == found.size - (TILE_PX >> level) ** 2


def test_a_whole_run_does_the_rest_with_the_same_bytes(live, slide, undisturbed, tmp_path):
    live.session.look((Region(600, 600, 100, 100), (650.0, 650.0)))
    live.wait(lambda: live.blocks)
    live.end()
    assert live.blocks == [Region(512, 512, 512, 512)]
    journal = (tmp_path / "noise.wsiseg-work" / "journal.jsonl").read_text()
    assert journal.count('"label/0/') == 1
    result = segment_slide(slide, tmp_path, options_for())
    assert result.summary["tasks_resumed"] == 1
    assert tree_hash(result.store) == tree_hash(undisturbed)
    clean = segment_slide(slide, tmp_path / "clean", options_for()).summary
    assert result.summary["areas"] == clean["areas"]
    assert result.summary["classes"] == clean["classes"]


def test_what_went_out_of_view_is_not_computed(slide, tmp_path, monkeypatch):
    """While the first tile is in work the view moves on; nothing of the first view is made."""
    may_go = threading.Event()
    began = threading.Event()
    compute = LiveRun._segment_tile

    def wait(run, tile):
        began.set()
        assert may_go.wait(LIMIT_S)
        return compute(run, tile)

    monkeypatch.setattr(LiveRun, "_segment_tile", wait)
    live = Live(slide, tmp_path, workers=1)
    live.session.look((Region(0, 0, 400, 400), (10.0, 10.0)))
    assert began.wait(LIMIT_S)
    live.session.look(None)
    live.session.look((Region(1030, 1030, 100, 100), (1040.0, 1040.0)))
    may_go.set()
    live.wait(lambda: live.blocks)
    live.end()
    assert all(part.x >= 1024 and part.y >= 1024 for part in live.parts)
    assert live.blocks == [Region(1024, 1024, 198, 309)]


def test_memory_is_bounded_while_the_view_moves(slide, tmp_path, monkeypatch):
    monkeypatch.setattr("wsiseg.viewing.live_run.MOST_PARTS", 2)
    monkeypatch.setattr("wsiseg.viewing.looked_at.MOST_VIEW_PX", 20_000)
    kept = []
    look = LiveRun.look

    def note(run, view):
        look(run, view)
        with run._changed:  # a part is added to both in one go
            kept.append((set(run._parts), set(run._levels._partial)))

    monkeypatch.setattr(LiveRun, "look", note)
    live = Live(slide, tmp_path, workers=1)
    for block in ((0, 0), (0, 512), (512, 0), (512, 512), (0, 1024)):
        before = len(live.parts)
        live.session.look((Region(block[1] + 10, block[0] + 10, 50, 50), (block[1] + 30.0, block[0] + 30.0)))
        live.wait(lambda before=before: len(live.parts) > before)
        live.session.look(None)
    live.end()
    assert max(len(parts) for parts, _ in kept) <= 3  # 2, and the one that was in work
    assert all(shown <= parts for parts, shown in kept)


def test_a_store_has_one_writer(live, slide, tmp_path):
    live.wait(lambda: live.levels)
    with pytest.raises(OutputBusyError):
        segment_slide(slide, tmp_path, options_for())
    live.end()
    assert segment_slide(slide, tmp_path, options_for()).summary["state"] == "finished"


def test_a_finished_result_is_given_back(slide, undisturbed):
    live = Live(slide, undisturbed.parent)
    live.wait(lambda: live.result)
    assert live.result.was_finished
    assert live.result.store == undisturbed
    live.end()


def test_of_a_slide_that_vanishes_nothing_is_kept(slide, tmp_path):
    """What vanishes with its disk reads as damaged: a run that goes on must not find that as unread."""
    copy = tmp_path / "gone.tif"
    shutil.copyfile(slide, copy)
    live = Live(copy, tmp_path / "out", workers=1)
    live.wait(lambda: live.levels)
    copy.unlink()
    live.end()
    assert "vanished" in str(live.error)
    assert not (tmp_path / "out" / "gone.wsiseg.ome.zarr").exists()


def test_stopped_before_it_begins(slide, tmp_path):
    session = LiveSession()
    session.stop()
    nothing = {"on_start": None, "on_block": None, "on_part": None}
    assert session.run(slide, tmp_path / "out", options_for(), **nothing) is None
    assert not (tmp_path / "out").exists()


def test_a_failing_task_ends_the_session_and_says_why(slide, tmp_path, monkeypatch):
    def full(*_):
        raise OSError("no space left on device")

    live = Live(slide, tmp_path, workers=2)
    live.wait(lambda: live.levels)
    monkeypatch.setattr("wsiseg.pyramid.store.ResultStore.write", full)
    live.session.look((Region(600, 600, 100, 100), (650.0, 650.0)))
    live._thread.join(LIMIT_S)
    assert not live._thread.is_alive()
    assert "no space" in str(live.error)
