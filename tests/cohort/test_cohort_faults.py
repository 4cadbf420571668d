"""Workers that die, hang or differ, a batch that is killed: nothing is lost, and the bytes are the same."""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic

import dask
import pytest

from wsiseg.cohort import crew as crew_module
from wsiseg.cohort import spread as spread_module
from wsiseg.cohort.batch import run_batch
from wsiseg.cohort.book import current_states
from wsiseg.cohort.clusters import AddressWorkers, LocalWorkers, connect
from wsiseg.cohort.crew import Crew
from wsiseg.cohort.finding import find_slides
from wsiseg.cohort.report.index import finished
from wsiseg.cohort.terms import settle_terms
from wsiseg.cohort.work import LostSchedulerError, SlideTask, scheduler_watched, workers_of
from wsiseg.errors import UsageError

pytest.importorskip("distributed")
HERE = Path(__file__).parent
ONE = LocalWorkers(cluster="local", workers=1, cpus=1)
TWO = LocalWorkers(cluster="local", workers=2, cpus=1)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, slides, options_for, digests_of):
    """The digests of a batch that nothing happened to."""
    out = tmp_path_factory.mktemp("undisturbed")
    run_batch(str(slides), out, options_for())
    return digests_of(out)


@pytest.fixture
def fault(tmp_path, monkeypatch):
    """Return the function that sets a fault for the workers that start from here on; it gives the mark."""

    def set_fault(kind, slide, lines):
        mark = tmp_path / "fault-happened"
        for key, value in {"": kind, "_SLIDE": slide, "_LINES": str(lines), "_MARK": str(mark)}.items():
            monkeypatch.setenv(f"FAULT{key}", value)
        return mark

    with dask.config.set({"distributed.worker.preload": [str(HERE / "worker_faults.py")]}):
        yield set_fault


def test_a_worker_killed_in_the_middle_of_a_slide(
    tmp_path, slides, options_for, fault, undisturbed, digests_of
):
    mark = fault("kill", "b", 4)
    out, said = tmp_path / "out", []
    rows = run_batch(str(slides), out, options_for(workers=TWO), say=said.append)
    assert mark.exists()
    assert {row.id: row.state for row in rows} == {
        "a": "done", "b": "done", "c": "done", "broken": "failed",
    }  # fmt: skip
    assert digests_of(out) == undisturbed
    assert (out / "index.html").is_file()


def test_a_slide_spread_over_two_workers_one_of_which_is_killed(
    tmp_path, slides, options_for, fault, undisturbed, digests_of
):
    mark = fault("kill-cell", "a", 3)
    out = tmp_path / "out"
    (row,) = run_batch(str(slides / "a.tiff"), out, options_for(workers=TWO, grain="block"))
    assert mark.exists()
    assert row.state == "done", row.reason
    assert digests_of(out) == {"a": undisturbed["a"]}
    assert not list((out / "a").glob("*.wsiseg-work"))


def test_a_worker_that_hangs_is_restarted(
    tmp_path, slides, options_for, fault, undisturbed, digests_of, monkeypatch
):
    mark = fault("hang", "a", 3)
    later = []
    out, said = tmp_path / "out", []

    def clock():
        """Time goes its way; once the worker hangs, half a day passes at every look until that is noticed."""
        if mark.exists() and not any("no progress" in text for text in said):
            later.append(50_000)
        return monotonic() + sum(later)

    monkeypatch.setattr(crew_module, "monotonic", clock)
    options = options_for(workers=ONE, hang_s=20_000)
    (row,) = run_batch(str(slides / "a.tiff"), out, options, say=said.append)
    assert row.state == "done"
    assert any("no progress for 20000 s" in text for text in said)
    assert digests_of(out) == {"a": undisturbed["a"]}


def test_a_slide_spread_by_block_goes_on_when_its_worker_hangs(
    tmp_path, slides, options_for, fault, undisturbed, digests_of, monkeypatch
):
    mark = fault("hang-cell", "a", 3)
    later = []
    out, said = tmp_path / "out", []

    def clock():
        """As above: half a day passes at every look from the hanging on, until that is noticed."""
        if mark.exists() and not any("no progress" in text for text in said):
            later.append(50_000)
        return monotonic() + sum(later)

    monkeypatch.setattr(spread_module, "monotonic", clock)
    options = options_for(workers=ONE, grain="block", hang_s=20_000)
    (row,) = run_batch(str(slides / "a.tiff"), out, options, say=said.append)
    assert row.state == "done", row.reason
    assert sum("no progress for 20000 s" in text for text in said) == 1
    assert digests_of(out) == {"a": undisturbed["a"]}


@contextmanager
def cluster_elsewhere(*fault):
    """A scheduler and its one worker in processes of their own: give where they are, and the scheduler."""
    command = [sys.executable, str(HERE / "dask_scheduler.py"), *fault]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as scheduler:
        try:
            address = scheduler.stdout.readline().strip()
            command = [sys.executable, "-m", "distributed.cli.dask_worker", address]
            command += ["--nthreads", "2", "--resources", "slide=1", "--memory-limit", "0"]
            command += ["--no-nanny", "--no-dashboard"]
            with subprocess.Popen(command, stderr=subprocess.DEVNULL) as worker:
                try:
                    yield AddressWorkers(cluster="address", scheduler=address), scheduler
                finally:
                    worker.kill()
        finally:
            scheduler.kill()


@pytest.mark.parametrize(("grain", "when"), [("slide", "b"), ("block", "3")])
def test_the_scheduler_dies_and_the_command_is_run_again(
    tmp_path, slides, options_for, undisturbed, digests_of, grain, when
):
    out = tmp_path / "out"
    with cluster_elsewhere(when) as (workers, scheduler):
        with pytest.raises(LostSchedulerError, match="the same command goes on from here"):
            run_batch(str(slides), out, options_for(workers=workers, grain=grain))
        assert scheduler.wait(timeout=60) not in (0, 1)
    assert {row.state for row in current_states(out)} <= {"pending", "done"}
    with cluster_elsewhere() as (workers, _):
        rows = run_batch(str(slides), out, options_for(workers=workers, grain=grain))
    assert {row.id: row.state for row in rows} == {
        "a": "done", "b": "done", "c": "done", "broken": "failed",
    }  # fmt: skip
    assert digests_of(out) == undisturbed
    assert not list(out.glob("*/*.wsiseg-work"))


def test_whatever_is_asked_of_a_client_without_a_scheduler_says_that_it_is_lost():
    with cluster_elsewhere() as (workers, _), connect(workers) as client:
        client.wait_for_workers(1, timeout=60)
        with scheduler_watched(client):
            assert len(workers_of(client)) == 1
        client.close()  # what a client does by itself some time after its scheduler has died
        for ask in (lambda: workers_of(client), lambda: client.submit(len, [1]).result(timeout=60)):
            with pytest.raises(LostSchedulerError), scheduler_watched(client):
                ask()
        with pytest.raises(UsageError), scheduler_watched(client):
            raise UsageError("of our own")


def test_a_worker_with_other_programs_is_refused_by_name(tmp_path, slides, options_for):
    predict = options_for().predict
    terms = settle_terms([str(predict.model)], "torch", "fp32", "cpu")
    (slide,) = find_slides(str(slides / "a.tiff"))
    other = {**terms, "versions": {**terms["versions"], "numpy": "0.1"}}
    task = SlideTask(slide=slide, output=tmp_path, options=predict, terms=other)
    said = []
    with connect(ONE) as client, pytest.raises(UsageError, match=r"versions\.numpy: was 0\.1, now"):
        list(Crew(client, 600, said.append).do([task]))
    assert said[0].startswith("worker tcp://127.0.0.1:")
    assert not (tmp_path / "a").exists()


def test_a_killed_batch_goes_on_where_it_was(
    tmp_path, slides, options_for, model_file, undisturbed, digests_of
):
    out = tmp_path / "out"
    command = [sys.executable, str(HERE / "killed_batch.py"), str(slides), str(out), str(model_file)]
    done = subprocess.run(command, timeout=240, check=False, capture_output=True, text=True)
    assert done.returncode not in (0, 1), done.stderr
    before = [row.id for row in current_states(out) if row.state == "done"]
    assert len(before) <= 1
    rows = run_batch(str(slides), out, options_for())
    assert [row.id for row in rows if row.state == "failed"] == ["broken"]
    assert digests_of(out) == undisturbed


def test_an_input_that_disappears_fails_alone(tmp_path, slides, options_for, undisturbed, digests_of):
    for name in ("a", "b"):
        shutil.copy(slides / f"{name}.tiff", tmp_path / f"{name}.tiff")
    options = options_for()

    def say(text):
        if text.startswith("[1/2]"):
            (tmp_path / "b.tiff").unlink()

    rows = run_batch(str(tmp_path), tmp_path / "out", options, say=say)
    assert [row.state for row in rows] == ["done", "failed"]
    assert "no such file" in rows[1].reason
    shutil.copy(slides / "b.tiff", tmp_path / "b.tiff")
    rows = run_batch(str(tmp_path), tmp_path / "out", replace(options, retry_failed=True))
    assert digests_of(tmp_path / "out") == {name: undisturbed[name] for name in ("a", "b")}


def mount(*arguments):
    """Return the exit code of mount."""
    command = [shutil.which("mount"), *arguments]
    return subprocess.run(command, check=False, capture_output=True, timeout=60).returncode


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 1 MB; skipped where this process may not mount one."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root, to mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    if mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)):
        pytest.skip("may not mount a small disk here")
    try:
        yield disk
    finally:
        subprocess.run([shutil.which("umount"), str(disk)], check=True, timeout=60)


def test_a_disk_that_fills(small_disk, slides, options_for, undisturbed, digests_of):
    out = small_disk / "out"
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(800_000))
    with suppress(OSError):  # the slide's, or that of the account of it: both are full
        run_batch(str(slides / "a.tiff"), out, options_for())
    assert finished(out, "a") is None
    ballast.unlink()
    assert mount("-o", "remount,size=64m", str(small_disk)) == 0
    (row,) = run_batch(str(slides / "a.tiff"), out, options_for(retry_failed=True))
    assert row.state == "done"
    assert digests_of(out) == {"a": undisturbed["a"]}
