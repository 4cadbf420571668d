"""The report: escaped, self-contained, and no more sure than the results that it shows."""

import base64
import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from wsiseg.cohort.batch import run_batch
from wsiseg.cohort.book import current_states, read_slides
from wsiseg.cohort.report.html import document, json_in_html
from wsiseg.cohort.report.index import write_report
from wsiseg.cohort.report.page import write_page
from wsiseg.errors import InputRefusedError
from wsiseg.run.output import read_summary

EVIL = "<script>alert('x')</script>\"'&"
CHROMIUM = os.environ.get("WSISEG_CHROMIUM", "")


class Page(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.scripts, self.text, self.policy = [], [], "", ""
        self._inside = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "meta" and dict(attrs).get("http-equiv") == "Content-Security-Policy":
            self.policy = dict(attrs)["content"]

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts.append(data)
        elif self._inside != "style":
            self.text += data

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def out(tmp_path_factory, slides, options_for):
    """A finished batch; nobody changes it."""
    folder = tmp_path_factory.mktemp("reported")
    with (folder / "m.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["slide", "id", "roi", "diagnosis", "state", "age"])
        writer.writerow([slides / "a.tiff", "case 1", "0,0,600,600", EVIL, "WA", "-3"])
        writer.writerow([slides / "b.tiff", "two", "", "=HYPERLINK(1)", "", "7"])
        writer.writerow([slides / "broken.svs", "", "", "", "", ""])
    run_batch(str(folder / "m.csv"), folder / "out", options_for())
    return folder / "out"


def pages(out):
    return [out / "index.html", *sorted(out.glob("*/index.html"))]


def test_pages_need_nothing_but_themselves(out):
    assert len(pages(out)) == 3
    for path in pages(out):
        page = Page(path)
        for tag, attrs in page.tags:
            for key in ("src", "href", "action", "data"):
                target = attrs.get(key, "")
                assert not re.match(r"(?i)\s*(https?:|//|javascript:|file:)", target), (path, tag, target)
            assert not any(key.startswith("on") for key in attrs), (path, tag)
        assert not page.all("link")
        assert not page.all("iframe")
        assert "default-src 'none'" in page.policy
        assert "Not for diagnostic use." in page.text


def test_the_policy_lets_only_our_script_run(out):
    for path in pages(out):
        page = Page(path)
        data, code = page.scripts
        json.loads(data)
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        assert f"script-src 'sha256-{digest}'" in page.policy


def test_names_are_text_and_never_markup(out):
    page = Page(out / "index.html")
    assert EVIL in page.text
    assert len(page.all("script")) == 2
    raw = document(EVIL, "", "index.js", {"name": EVIL}).decode()
    assert raw.count("<script") == 2
    assert "</script>alert" not in raw
    assert json.loads(json_in_html({"name": EVIL}).encode()) == {"name": EVIL}


def test_index_has_a_row_per_slide(out):
    page = Page(out / "index.html")
    rows = [attrs for attrs in page.all("tr") if "data-state" in attrs]
    assert [row["data-state"] for row in rows] == ["done", "done", "failed"]
    assert [attrs["href"] for attrs in page.all("a")] == ["case%201/index.html", "two/index.html"]
    assert len(page.all("img")) == 2
    assert "no TIFF" in page.text
    assert "3 slides: 2 done, 1 failed" in page.text


def test_page_shows_labels_and_slide_of_one_area(out):
    page = Page(out / "two" / "index.html")
    pictures = {}
    for attrs in page.all("img"):
        content = base64.b64decode(attrs["src"].split(",", 1)[1])
        pictures[attrs["id"]] = np.asarray(Image.open(io.BytesIO(content)))
    data = json.loads(page.scripts[0])
    assert pictures["slide"].shape == (800, 1100, 3)
    assert (data["width"], data["height"], data["um_per_px"]) == (1100, 800, 1.0)
    assert pictures["labels"].shape == (800, 1100)
    import zarr

    stored = zarr.open_group(out / "two" / "two.wsiseg.ome.zarr", mode="r")["labels/tissue/0"][:]
    assert np.array_equal(pictures["labels"], stored)
    boxes = {attrs["data-label"] for attrs in page.all("input") if "data-label" in attrs}
    assert boxes == {*"01234567", "254", "255"}
    for text in ("random", "mm²", "Random weights, for tests", "numpy"):
        assert text in page.text


def test_tables_for_analysis(out):
    with (out / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ["case 1", "two", "broken"]
    assert rows[0]["diagnosis"] == EVIL
    assert rows[1]["diagnosis"] == "'=HYPERLINK(1)"
    assert (rows[0]["manifest_state"], rows[0]["state"], rows[0]["age"]) == ("WA", "done", "-3")
    summary = read_summary(out / "two" / "two.summary.json")
    for item in summary["classes"]:
        name = item["name"].replace(" ", "_")
        assert float(rows[1][f"{name}_mm2"]) == pytest.approx(item["mm2"])
    assert float(rows[0]["not_analysed_mm2"]) > 0
    assert rows[2]["predicted_mm2"] == ""
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(out / "results.parquet").to_pylist()
    assert table[1]["diagnosis"] == "=HYPERLINK(1)"
    assert table[1]["predicted_mm2"] == pytest.approx(summary["areas"]["predicted"])
    assert table[2]["predicted_mm2"] is None


def test_report_is_made_anew_from_what_is_there(out, tmp_path):
    copy = tmp_path / "out"
    shutil.copytree(out, copy)
    for path in (copy / "index.html", copy / "two" / "index.html", copy / "results.csv"):
        path.unlink()
    (copy / "case 1" / "case 1.summary.json").write_text("{}")
    states = {row.id: row for row in current_states(copy)}
    write_report(copy, read_slides(copy), states)
    page = Page(copy / "index.html")
    assert [attrs["href"] for attrs in page.all("a")] == ["two/index.html"]
    assert "its result is gone" in page.text
    assert (copy / "two" / "index.html").is_file()
    assert (copy / "results.csv").is_file()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("areas", {}),
        ("classes", [{}]),
        ("run", []),
        ("warnings", 7),
        ("seconds", "<b>"),
        ("unread_share", {}),
    ],
)
def test_a_summary_that_somebody_changed_spoils_no_report(out, tmp_path, key, value):
    copy = tmp_path / "out"
    shutil.copytree(out, copy)
    path = copy / "two" / "two.summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    states = {row.id: row for row in current_states(copy)}
    write_report(copy, read_slides(copy), states)
    page = Page(copy / "index.html")
    assert [attrs["href"] for attrs in page.all("a")] == ["case%201/index.html"]
    assert "its summary is damaged" in page.text
    assert "3 slides: 1 pending, 1 done, 1 failed" in page.text


def test_a_damaged_store_has_no_page(out, tmp_path):
    copy = tmp_path / "two"
    shutil.copytree(out / "two", copy)
    summary = read_summary(copy / "two.summary.json")
    (copy / "two.wsiseg.ome.zarr" / "0" / "zarr.json").write_text("{")
    with pytest.raises(InputRefusedError, match=r"can(not)? be read"):
        write_page(copy, summary)


@pytest.mark.skipif(not CHROMIUM, reason="needs a browser: set WSISEG_CHROMIUM to chromium")
def test_a_browser_sorts_filters_and_paints(out):
    def dom(address):
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000"]
        done = subprocess.run(
            [*command, "--dump-dom", address], capture_output=True, text=True, timeout=120, check=True
        )
        return done.stdout

    index = (out / "index.html").as_uri()
    found = dom(f"{index}#sort=1&down=1&state=done")
    rows = re.findall(r'<tr class="\w+" data-state="\w+"( hidden="")?>.*?<td>(?:<a[^>]*>)?([^<]+)<', found)
    assert [name for hidden, name in rows if not hidden] == ["two", "case 1"]
    assert "1 of 3 shown" in dom(f"{index}#q=tiff")
    assert 'data-ready="yes"' in dom((out / "two" / "index.html").as_uri())
