"""A batch in one process: states, what is left, locks, shards, and what is never taken for done."""

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from wsiseg.cohort.batch import DiskFullError, exit_code, run_batch
from wsiseg.cohort.book import Shard, StateBook, current_states, is_at_work
from wsiseg.cohort.state import read_states, summed
from wsiseg.errors import UsageError

HOLDER = """
import sys
from dataclasses import replace
from pathlib import Path
from wsiseg.cohort.book import Shard, StateBook
book = StateBook(Path(sys.argv[1]), Shard())
print("held", flush=True)
sys.stdin.read()
book.close()
"""


def states(output):
    return {row.id: row.state for row in current_states(output)}


def heard(say):
    """Return the slides that a batch said it ended."""
    return [text.split("] ")[1].split(":")[0] for text in say if text.startswith("[")]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, slides, options_for):
    """A batch over sound slides, a broken one and one that is not there; nobody changes it."""
    folder = tmp_path_factory.mktemp("cohort")
    (folder / "m.csv").write_text(
        f'slide,id,roi,skip,note\n{slides}/a.tiff,,,,=SUM(A1)\n{slides}/b.tiff,second,"0,0,400,400",,<i>x</i>\n'
        f"{slides}/broken.svs,,,,\n{slides}/gone.svs,,,,\n{slides}/c.tiff,,,out of focus,\n"
    )
    options = options_for()
    rows = run_batch(str(folder / "m.csv"), folder / "out", options)
    return folder, options, rows


def test_states_and_reasons(finished):
    folder, _, rows = finished
    out = folder / "out"
    assert states(out) == {
        "a": "done", "second": "done", "broken": "failed", "gone": "failed", "c": "skipped",
    }  # fmt: skip
    reasons = {row.id: row.reason for row in rows}
    assert "no TIFF" in reasons["broken"]
    assert "no such file" in reasons["gone"]
    assert "out of focus" in reasons["c"]
    assert summed(rows) == "2 done, 2 failed, 1 skipped"
    assert exit_code(rows) == 5
    assert not is_at_work(out)
    for name in ("a", "second"):
        assert (out / name / f"{name}.wsiseg.ome.zarr" / "zarr.json").is_file()
        assert (out / name / "index.html").is_file()


def test_the_state_file_is_plain_csv(finished):
    folder = finished[0]
    with (folder / "out" / "wsiseg-batch" / "state.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ["a", "second", "broken", "gone", "c"]
    assert {"state", "reason", "seconds", "updated"} <= rows[0].keys()


def test_a_second_run_does_nothing_and_a_retry_only_what_failed(finished, tmp_path):
    folder, options, _ = finished
    out = tmp_path / "out"
    shutil.copytree(folder / "out", out)
    said = []
    run_batch(str(folder / "m.csv"), out, options, say=said.append)
    assert heard(said) == []
    run_batch(str(folder / "m.csv"), out, replace(options, retry_failed=True), say=said.append)
    assert heard(said) == ["broken", "gone"]


@pytest.mark.parametrize("harm", ["summary", "store", "work"])
def test_a_part_of_a_result_is_never_done(finished, tmp_path, harm):
    folder, options, _ = finished
    out = tmp_path / "out"
    shutil.copytree(folder / "out", out)
    if harm == "summary":
        (out / "a" / "a.summary.json").unlink()
    elif harm == "store":
        shutil.rmtree(out / "a" / "a.wsiseg.ome.zarr")
    else:
        (out / "a" / "a.wsiseg-work").mkdir()
    said = []
    rows = run_batch(str(folder / "m.csv"), out, options, say=said.append)
    assert heard(said)[0].startswith("a")
    state = next(row for row in rows if row.id == "a")
    if harm == "summary":  # a store that nobody vouches for is not overwritten
        assert (state.state, "no run that can be resumed" in state.reason) == ("failed", True)
    else:
        assert state.state == "done"


def test_other_settings_are_refused_by_name(finished, options_for):
    folder = finished[0]
    with pytest.raises(UsageError, match="tissue: was none, now auto"):
        run_batch(str(folder / "m.csv"), folder / "out", options_for({"tissue": "auto"}))
    pytest.importorskip("openvino")
    other = options_for({"runtime": "openvino"}, retry_failed=True)
    with pytest.raises(UsageError, match=r"runtime\.name: was torch, now openvino"):
        run_batch(str(folder / "m.csv"), folder / "out", other)


def test_a_changed_row_is_done_again(finished, tmp_path, slides):
    folder, options, _ = finished
    out = tmp_path / "out"
    shutil.copytree(folder / "out", out)
    (tmp_path / "m.csv").write_text(f'slide,roi\n{slides}/a.tiff,"0,0,500,500"\n')
    (row,) = run_batch(str(tmp_path / "m.csv"), out, options)
    assert row.state == "failed"
    assert "roi_l0" in row.reason


def test_two_batches_do_not_share_a_folder(tmp_path, slides, options_for):
    out = tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        assert is_at_work(out)
        with pytest.raises(UsageError, match="written by another batch"):
            run_batch(str(slides / "a.tiff"), out, options_for())
        with pytest.raises(UsageError, match=r"in 1 part\(s\), not 2"):
            run_batch(str(slides / "a.tiff"), out, options_for(shard=Shard(1, 2)))
        holder.communicate(timeout=60)
    (row,) = run_batch(str(slides / "a.tiff"), out, options_for())
    assert row.state == "done"


def test_shards_give_what_one_process_gives(finished, slides, tmp_path, options_for, digests_of):
    folder = finished[0]
    out = tmp_path / "out"
    for index in (1, 2, 3):
        run_batch(str(folder / "m.csv"), out, options_for(shard=Shard(index, 3)))
    assert states(out) == states(folder / "out")
    assert digests_of(out) == digests_of(folder / "out")
    with pytest.raises(UsageError, match="every shard needs the same list"):
        run_batch(str(slides / "a.tiff"), out, options_for(shard=Shard(1, 3)))


def test_what_was_running_when_its_process_died_is_pending(tmp_path, slides, options_for):
    out = tmp_path / "out"
    from wsiseg.cohort.finding import find_slides

    book = StateBook(out, Shard())
    book.begin(find_slides(str(slides / "?.tiff")), {})
    book.put("a", "running", attempts=1)
    book.put("b", "running", attempts=5)
    book.flush()
    assert is_at_work(out)
    assert states(out)["a"] == "running"
    book._lock.release()  # as the system does for a process that died
    assert states(out) == {"a": "pending", "b": "pending", "c": "pending"}


def test_a_slide_that_kills_its_process_is_given_up(tmp_path, slides):
    from wsiseg.cohort.batch import MOST_ATTEMPTS, _left_to_do
    from wsiseg.cohort.finding import find_slides

    found = find_slides(str(slides / "?.tiff"))
    for death in range(MOST_ATTEMPTS):
        book = StateBook(tmp_path, Shard())
        book.begin(found, {})
        assert "a" in [slide.id for slide in _left_to_do(book, found, retry_failed=False)], death
        book.put("a", "running", attempts=book["a"].attempts + 1)
        book.close()
    book = StateBook(tmp_path, Shard())
    book.begin(found, {})
    assert [slide.id for slide in _left_to_do(book, found, retry_failed=False)] == ["b", "c"]
    assert "ended 5 times" in book["a"].reason
    assert [slide.id for slide in _left_to_do(book, found, retry_failed=True)] == ["a", "b", "c"]
    book.close()


def test_a_full_disk_stops_the_batch_and_fails_no_slide(tmp_path, slides, options_for, monkeypatch):
    import errno

    from wsiseg.pyramid.store import ResultStore

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ResultStore, "write", full)
        with pytest.raises(DiskFullError, match="No space left"):
            run_batch(str(slides / "a.tiff"), tmp_path, options_for())
    assert states(tmp_path) == {"a": "pending"}
    rows = run_batch(str(slides / "a.tiff"), tmp_path, options_for())
    assert {row.state for row in rows} == {"done"}


def test_outputs_keep_apart_from_inputs(tmp_path, slides, options_for):
    (tmp_path / "a").mkdir()
    shutil.copy(slides / "a.tiff", tmp_path / "a" / "a.tiff")
    with pytest.raises(UsageError, match="overlap"):
        run_batch(str(tmp_path / "a" / "a.tiff"), tmp_path, options_for())
    (tmp_path / "results.csv").write_text(f"slide\n{slides}/b.tiff\n")
    with pytest.raises(UsageError, match="overlap"):
        run_batch(str(tmp_path / "results.csv"), tmp_path, options_for())


def test_damaged_accounts_are_refused_or_left_out(tmp_path, slides):
    folder = tmp_path / "wsiseg-batch"
    folder.mkdir()
    with pytest.raises(UsageError, match="no batch was begun"):
        current_states(tmp_path)
    (folder / "batch.json").write_text("[]")
    with pytest.raises(UsageError, match="damaged"):
        current_states(tmp_path)
    content = {"format": 1, "settings": {}, "terms": None, "slides": [{"id": "../x"}]}
    (folder / "batch.json").write_text(json.dumps(content))
    with pytest.raises(UsageError, match="damaged"):
        current_states(tmp_path)
    (folder / "state.csv").write_text("id,state\nx,done\n\x00,,,\n")
    assert read_states(tmp_path) == {}
    assert Path(slides).is_dir()
