"""Does the report of 500 slides open in under 3 s? python benchmarks/report.py --chromium PATH [-o FOLDER]

One generated slide is segmented, its result stands for all 500, every tenth one failed, and headless
Chromium opens the index: from the start of the navigation to the end of its load event, as the browser says.
Searching and sorting are timed too. With -o, pictures of the index and of a page are kept to be looked at.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

from tornado.websocket import websocket_connect

from wsiseg.cohort.entry import CohortSlide
from wsiseg.cohort.report.index import finished, write_report
from wsiseg.cohort.report.page import write_page
from wsiseg.cohort.state import SlideState
from wsiseg.phantom.slide_file import write_phantom_slide
from wsiseg.pipeline import segment_slide
from wsiseg.run.predict_options import PredictOptions

LIMIT_S = 3.0
TIMES = """(() => {
  const load = performance.getEntriesByType("navigation")[0].loadEventEnd;
  const time = (work) => {
    const start = performance.now();
    work();
    document.body.offsetHeight;
    return performance.now() - start;
  };
  return JSON.stringify({
    load_ms: load, rows: document.querySelectorAll("tbody tr").length,
    search_ms: time(() => choose({ q: "slide-04" })),
    found: document.querySelectorAll("tbody tr:not([hidden])").length,
    sort_ms: time(() => choose({ q: "", sort: "4", down: true })),
  });
})()"""


def make_cohort(folder: Path, count: int) -> Path:
    """Write a batch's folder with so many slides; return it."""
    write_phantom_slide(folder / "slide.tiff", seed=3, width_px=3000, height_px=2400, mpp=0.5)
    made = segment_slide(folder / "slide.tiff", folder / "made", PredictOptions(), name="slide")
    write_page(folder / "made", made.summary, source=str(folder / "slide.tiff"))
    output = folder / "cohort"
    slides, states = [], {}
    for number in range(count):
        name = f"slide-{number:03}"
        slides.append(CohortSlide(id=name, source=f"slides/{name}.svs", extra={"site": f"site {number % 7}"}))
        state = SlideState(id=name, state="done", seconds=1.0)
        if number % 10 == 9:
            states[name] = replace(state, state="failed", reason="no TIFF: expected a slide")
            continue
        states[name] = state
        home = output / name
        home.mkdir(parents=True)
        shutil.copy(folder / "made" / "slide.summary.json", home / f"{name}.summary.json")
        (home / f"{name}.wsiseg.ome.zarr").symlink_to(made.store.resolve())
        for file in ("index.html", "thumbnail.jpg"):
            shutil.copy(folder / "made" / file, home / file)
    assert finished(output, "slide-000") is not None
    started = time.perf_counter()
    write_report(output, slides, states)
    index = output / "index.html"
    print(
        f"index of {count} slides: {index.stat().st_size / 1e6:.1f} MB, {time.perf_counter() - started:.1f} s"
    )
    return output


class Browser:
    """A tab of headless Chromium, by the DevTools protocol."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._number = 0

    async def call(self, method: str, **parameters: Any) -> Any:
        """Return the result of a command."""
        self._number += 1
        await self._socket.write_message(
            json.dumps({"id": self._number, "method": method, "params": parameters})
        )
        while True:
            message = json.loads(await self._socket.read_message())
            if message.get("id") == self._number:
                return message["result"]

    async def open(self, address: str) -> None:
        """Navigate, and wait for the load event."""
        await self.call("Page.enable")
        await self.call("Page.navigate", url=address)
        while json.loads(await self._socket.read_message()).get("method") != "Page.loadEventFired":
            pass

    async def value(self, script: str) -> Any:
        """Return what a script gives."""
        return (await self.call("Runtime.evaluate", expression=script, awaitPromise=True))["result"]["value"]

    async def picture(self, path: Path) -> None:
        """Keep what is seen."""
        path.write_bytes(base64.b64decode((await self.call("Page.captureScreenshot"))["data"]))


async def look(port: int, cohort: Path, keep: Path | None) -> dict[str, Any]:
    """Open index and a page; return the times."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
        tab = next(item for item in json.load(answer) if item["type"] == "page")
    socket = await websocket_connect(tab["webSocketDebuggerUrl"], max_message_size=1 << 28)
    browser = Browser(socket)
    await browser.open((cohort / "index.html").as_uri())
    await asyncio.sleep(0.5)
    found: dict[str, Any] = json.loads(await browser.value(TIMES))
    if keep is not None:
        await browser.picture(keep / "index.png")
    await browser.open((cohort / "slide-000" / "index.html").as_uri())
    await browser.value("new Promise((done) => setTimeout(() => done(1), 1500))")
    assert await browser.value("document.getElementById('stage').dataset.ready") == "yes"
    if keep is not None:
        await browser.picture(keep / "page.png")
    socket.close()
    return found


def main() -> None:
    """Make, open, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--chromium", default=shutil.which("chromium") or "chromium")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("-o", "--output", type=Path, help="folder for pictures")
    given = parser.parse_args()
    if given.output is not None:
        given.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        cohort = make_cohort(folder, given.count)
        command = [given.chromium, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,1000"]
        command += [f"--user-data-dir={folder / 'browser'}", "--remote-debugging-port=0", "about:blank"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as browser:
            assert browser.stderr is not None
            try:
                line = next(line for line in browser.stderr if "DevTools listening on" in line)
                port = int(line.rsplit("/devtools", 1)[0].rsplit(":", 1)[1])
                found = asyncio.run(look(port, cohort, given.output))
            finally:
                browser.kill()
    print(json.dumps(found, indent=2))
    print(f"load event after {found['load_ms'] / 1000:.2f} s; wanted: under {LIMIT_S:g} s")
    assert found["rows"] == given.count


if __name__ == "__main__":
    main()
