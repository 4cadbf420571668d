"""Hostile models, configs, annotations, masks, URLs, names: python benchmarks/faults/hostile_files.py.

Each case is one command in a child with a limit on time and memory. It passes where the command ends with
the exit code and within the words that are expected, in one line, without a traceback, and where no file
appears outside of its output folder. The table says what each gets.
"""

from __future__ import annotations

import argparse
import http.server
import json
import resource
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from hostile_cases import CASES
from hostile_input import Case

from wsiseg.phantom.slide_file import write_phantom_slide

TIME_LIMIT_S = 180
MEMORY_LIMIT = 8 * 2**30
"""Of address space: the network's libraries map some of it before they do anything."""


class _Redirect(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Send everything that starts with /redirect to a file of this machine."""
        if self.path.startswith("/redirect"):
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
        else:
            self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def try_case(case: Case, folder: Path, server: str) -> dict[str, Any]:
    """Run one case; return what it got."""
    shutil.rmtree(folder, ignore_errors=True)
    given, out = folder / "given", folder / "out"
    given.mkdir(parents=True)
    out.mkdir()
    arguments = [text.replace("{server}", server) for text in case.arguments(given, out)]
    before = sorted(folder.rglob("*"))
    try:
        child = subprocess.run(
            [sys.executable, "-m", "wsiseg", *arguments],
            capture_output=True, text=True, timeout=TIME_LIMIT_S, check=False, cwd=given, preexec_fn=_limit,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"case": case.name, "code": None, "said": f"not done after {TIME_LIMIT_S} s", "passed": False}
    lines = [line for line in child.stderr.strip().splitlines() if "warning" not in line]
    strays = [item for item in folder.rglob("*") if item not in before and out not in item.parents]
    one_line = case.code == 0 or len(lines) == 1
    wrong = case.wrong(out)
    passed = (
        child.returncode == case.code
        and one_line
        and "Traceback" not in child.stderr
        and case.words in child.stderr
        and not strays
        and not wrong
    )
    said = " / ".join(lines)[-300:] + (f" STRAY FILES {strays}" if strays else "") + wrong
    return {
        "case": case.name,
        "code": child.returncode,
        "said": said.replace(str(folder), ""),
        "passed": passed,
    }


def run(folder: Path, only: str | None = None) -> list[dict[str, Any]]:
    """Run all cases; return a line each."""
    folder.mkdir(parents=True, exist_ok=True)
    slide = folder / "case" / "slide.tif"
    lines = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Redirect) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for case in CASES:
            if only is not None and only not in case.name:
                continue
            shutil.rmtree(folder / "case", ignore_errors=True)
            (folder / "case").mkdir()
            write_phantom_slide(slide, seed=3, width_px=1024, height_px=768, mpp=0.5)
            line = try_case(case, folder / "case" / "tried", f"http://127.0.0.1:{server.server_port}")
            lines.append(line)
            if not line["passed"]:
                print(json.dumps(line))
        server.shutdown()
    shutil.rmtree(folder / "case", ignore_errors=True)
    (folder / "hostile.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8"
    )
    return lines


def table(lines: list[dict[str, Any]]) -> str:
    """Return a Markdown table: what each case got."""
    rows = ["| given | exit | what it says |", "|---|---:|---|"]
    for line in lines:
        said = line["said"].replace("|", "\\|").replace("<", "&lt;")
        rows.append(f"| {line['case'].replace('<', '&lt;')} | {line['code']} | {said or 'done'} |")
    return "\n".join(rows)


def main() -> None:
    """Run all cases and print the table; exit status 1 where one did not get what it should."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="cases whose name has this in it")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/faults"))
    given = parser.parse_args()
    lines = run(given.output, given.only)
    print(table(lines))
    sys.exit(any(not line["passed"] for line in lines))


if __name__ == "__main__":
    main()
