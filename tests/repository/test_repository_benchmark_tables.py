"""A benchmark's table goes to its place in the page, and is kept by --resume only where all is the same."""

import importlib
import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "tables", raising=False)
    yield importlib.import_module("tables")
    sys.modules.pop("tables", None)


@pytest.fixture
def docs(tmp_path):
    (tmp_path / "benchmarks.md").write_text(
        "before\n<!-- some -->\nold\n<!-- end -->\nafter\n", encoding="utf-8"
    )
    return tmp_path


def given(tables, *arguments):
    options = tables.parser("A benchmark.", "some")
    options.add_argument("slides", nargs="*")
    options.add_argument("--repeats", type=int, default=3)
    return options.parse_args(arguments)


def test_a_table_replaces_what_stood_in_its_place(tables, docs):
    tables.report(given(tables), [{"what": "a", "MP/s": 12.3456}], "A note.", docs=docs)
    text = (docs / "benchmarks.md").read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- some -->\n| what | MP/s |\n|---|---|\n| a | 12.35 |\n\nA note.")
    assert text.endswith("\n<!-- end -->\nafter\n")
    assert "old" not in text


def test_resume_keeps_the_same_and_nothing_else(tables, docs):
    tables.report(given(tables, "/one/place/slide.svs"), [{"what": "a"}], docs=docs)
    assert tables.finished(given(tables, "/another/place/slide.svs", "--resume"), docs)
    assert not tables.finished(given(tables, "/one/place/slide.svs"), docs)
    assert not tables.finished(given(tables, "/one/place/slide.svs", "--resume", "--repeats", "4"), docs)
    assert not tables.finished(given(tables, "/one/place/slide.svs", "--resume", "--table", "other"), docs)
    path = docs / "benchmarks" / "some.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    assert "place" not in path.read_text(encoding="utf-8")  # no folder of this machine
    content["machine"]["wsiseg"] = "0.0.1"
    path.write_text(json.dumps(content), encoding="utf-8")
    assert not tables.finished(given(tables, "/one/place/slide.svs", "--resume"), docs)


def test_no_docs_writes_nothing(tables, docs):
    before = (docs / "benchmarks.md").read_text(encoding="utf-8")
    tables.report(given(tables, "--no-docs"), [{"what": "a"}], docs=docs)
    assert (docs / "benchmarks.md").read_text(encoding="utf-8") == before
    assert not (docs / "benchmarks").exists()


@pytest.mark.parametrize(
    "name", ["throughput", "limit", "graph", "reading", "precision", "peers", "scale", "memory", "plot"]
)
def test_the_page_has_a_place_for_every_result(name):
    text = (BENCHMARKS.parent / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert text.count(f"<!-- {name} -->\n") == 1
    assert (BENCHMARKS / f"{name}.py").is_file()
