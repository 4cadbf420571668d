"""The paper's comparison: really measured on a small picture, and known numbers in its tables."""

import json
import sys

import pytest
from typer.testing import CliRunner

from wsiseg.cli.main import app
from wsiseg.errors import UsageError, WsisegError
from wsiseg.inference.runtime import choose_runtime
from wsiseg.models import MODELS
from wsiseg.models.build import REFERENCE
from wsiseg.profiling.measure import child
from wsiseg.profiling.measure import run as measuring
from wsiseg.profiling.measure.run import Plan, TooLargeError, job_of, run_child
from wsiseg.profiling.paper import run as paper_run
from wsiseg.profiling.paper.compared import NETWORKS, compared
from wsiseg.profiling.paper.plots import draw_paper
from wsiseg.profiling.paper.report import write_paper_report
from wsiseg.profiling.paper.run import choose_networks, measure_paper
from wsiseg.profiling.paper.tables import accuracies, comparison
from wsiseg.profiling.results import Missing, Results, read_results


def plan_for(*models, size=(64, 32), **changes):
    given = {
        "models": models,
        "sizes": [size],
        "choice": choose_runtime("torch", "fp32", "cpu"),
        "trials": 2,
        "warm_up": 1,
        "min_seconds": 0,
        "idle_seconds": 0,
        "threads": 1,
    }
    return Plan(**{**given, **changes})


def test_every_network_of_the_comparison_can_be_built():
    names = [item.model for item in NETWORKS]
    assert len(set(names)) == len(names)
    # The network for breast biopsies is compared by its scores there, not on this figure.
    assert {*names, "multi-resolution"} == {"espnet", "enet", "erfnet", *REFERENCE}
    assert set(names) <= {*MODELS, *REFERENCE}


def test_the_papers_ratios():
    found = {item.model: item.ratio for item in NETWORKS}
    assert (found["pspnet"], found["segnet"], found["erfnet"]) == (180, 81, 5.5)
    assert found["deeplab-v2"] == pytest.approx(120.99, abs=0.01)
    assert found["enet"] is found["sqnet"] is None
    assert compared("no such").voc is None


def test_networks_are_chosen_in_the_tables_order():
    assert choose_networks([]) == [item.model for item in NETWORKS]
    assert choose_networks(["pspnet", "enet"]) == ["espnet", "enet", "pspnet"]
    with pytest.raises(UsageError, match="unknown network of the paper 'unet'"):
        choose_networks(["unet"])


def test_the_command_measures_and_goes_on_where_it_was(tmp_path):
    folder = tmp_path / "paper"
    small = ["--size", "64x32", "--trials", "3", "--idle-seconds", "0", "--threads", "1"]
    small += ["--runtime", "torch", "--precision", "fp32", "--max-seconds", "1"]
    done = CliRunner().invoke(app, ["profile", "--paper", "sqnet", *small, "-o", str(folder)])
    assert done.exit_code == 0, done.output
    results = read_results(folder / "results.json")
    assert [item.model for item in results.measurements] == ["espnet", "sqnet"]
    assert [item.parameters for item in results.measurements] == [364_569, 15_974_228]
    assert all(item.latency.trials == 3 for item in results.measurements)
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "Not measured here" in text
    assert "x espnet" in done.output
    assert (folder / "plots" / "paper-speed-parameters.png").is_file()
    before = (folder / "results.json").read_bytes()
    again = CliRunner().invoke(app, ["profile", "--paper", "sqnet", *small, "-o", str(folder), "--json"])
    assert again.exit_code == 0, again.output
    assert "sqnet: measured before" in again.output
    assert (folder / "results.json").read_bytes() == before
    other = CliRunner().invoke(app, ["profile", "--paper", "sqnet", "--size", "64x64", "-o", str(folder)])
    assert isinstance(other.exception, UsageError)
    assert "give another folder" in str(other.exception)


def test_a_size_that_does_not_suit_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(UsageError, match="--size 64x40: segnet takes sides that are multiples of 32 px"):
        measure_paper(plan_for("espnet", "segnet", size=(64, 40)), tmp_path / "none")
    assert not (tmp_path / "none").exists()
    twice = CliRunner().invoke(app, ["profile", "--paper", "--size", "64x32", "--size", "32x32"])
    assert "at one size" in str(twice.exception)


def test_calls_end_with_the_time_but_not_before_the_third():
    job = job_of(
        plan_for("espnet", trials=10**9, warm_up=10**9, max_seconds=1e-6, operators=False), "espnet", (64, 32)
    )
    done = child.run(job)
    assert len(done.times_ms) == done.images == child.LEAST_TRIALS
    assert done.warm_up == 1


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", TooLargeError),
        ("raise MemoryError", TooLargeError),
        (
            "raise RuntimeError('DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes')",
            TooLargeError,
        ),
        ("raise RuntimeError('something else')", WsisegError),
    ],
)
def test_a_process_without_memory_is_told_from_one_with_another_fault(code, error, monkeypatch):
    monkeypatch.setattr(measuring, "child_command", lambda job, answer: [sys.executable, "-c", code])
    with pytest.raises(WsisegError, match="could not be measured") as raised:
        run_child(job_of(plan_for("espnet"), "espnet", (64, 32)))
    assert type(raised.value) is error


def test_a_network_that_is_too_large_is_named_and_the_others_go_on(monkeypatch, one_measurement, tmp_path):
    def measure_one(plan, model, size):
        if model == "segnet":
            raise TooLargeError("segnet could not be measured: its process was killed")
        if model == "sqnet":
            raise WsisegError("sqnet could not be measured: something else")
        return one_measurement.model_copy(update={"model": model})

    monkeypatch.setattr(paper_run, "measure_one", measure_one)
    results = measure_paper(plan_for("espnet", "sqnet", "segnet", "pspnet"), tmp_path)
    assert [item.model for item in results.measurements] == ["espnet", "pspnet"]
    assert [item.what for item in results.missing] == ["sqnet", "segnet"]
    assert "more memory" in results.missing[1].remedy
    assert "something else" in results.missing[0].reason
    rows = {row[0]: row for row in comparison(results).rows}
    assert list(rows) == ["espnet", "sqnet", "segnet", "pspnet"]
    assert rows["segnet"][1:4] == ["not available", "-", "81"]
    assert len({len(row) for row in rows.values()} | {len(comparison(results).headings)}) == 1
    assert read_results(tmp_path / "results.json") == results


@pytest.fixture
def compared_results(one_measurement):
    (first, *_), power = [one_measurement], one_measurement.power
    larger = first.model_copy(
        update={
            "model": "pspnet",
            "parameters": 180 * first.parameters,
            "file_bytes": 90 * first.file_bytes,
            "latency": first.latency.model_copy(update={"times_ms": (2200.0, 2420.0, 2860.0)}),
            "power": (power[1].model_copy(update={"gross_w": 15.0}),),
        }
    )
    return Results(
        machine={"processor": "known"},
        measurements=(first, larger),
        missing=(Missing(what="fcn8s", reason="too large", remedy="more memory"),),
    )


def test_ratios_stand_beside_the_papers(compared_results):
    table = comparison(compared_results)
    rows = {row[0]: dict(zip(range(99), row, strict=False)) for row in table.rows}
    psp = rows["pspnet"]
    assert (psp[2], psp[3]) == ("180", "180")
    assert (psp[5], psp[6]) == ("90", "-")
    assert (psp[9], psp[10]) == ("22", "22 (a standard GPU), about 1 FPS (laptop)")
    assert (psp[11], psp[12], psp[13]) == ("15.0", "2.50", "77 (laptop's battery)")
    assert (rows["espnet"][2], rows["espnet"][9]) == ("1.00", "1.00")
    assert rows["fcn8s"][1] == "not available"
    alone = compared_results.model_copy(update={"measurements": compared_results.measurements[1:]})
    assert [comparison(alone).rows[0][at] for at in (2, 5, 9, 12)] == ["-"] * 4
    assert ["pspnet", "85.40", "-", "-"] in table_rows(accuracies())
    assert ["espnet", "63.01", "60.34", "82.18"] in table_rows(accuracies())


def table_rows(table):
    return [list(row) for row in table.rows]


def test_plots_and_report(compared_results, tmp_path):
    drawn = draw_paper(compared_results.measurements)
    assert list(drawn) == [
        "paper-accuracy-parameters.png",
        "paper-speed-parameters.png",
        "paper-power-speed.png",
    ]
    assert all(data.startswith(b"\x89PNG") for data in drawn.values())
    assert draw_paper(()) == {}
    written = {path.name for path in write_paper_report(compared_results, tmp_path)}
    assert {"results.json", "report.md", "report.html", *drawn} <= written
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "VOC mIoU, published" in text
    assert "too large" in text
    assert json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["measurements"]
