"""Hostile models, configs, annotations, masks, URLs, names: python benchmarks/faults/hostile_files.py.

Each case is one command in a child with a limit on time and memory. It passes where the command ends with
the exit code and within the words that are expected, in one line, without a traceback, and where no file
appears outside of its output folder. The table says what each gets.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import pickle
import resource
import shutil
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsiseg.models.files import BUNDLED
from wsiseg.phantom.slide_file import write_phantom_slide

TIME_LIMIT_S = 180
MEMORY_LIMIT = 8 * 2**30
"""Of address space: the network's libraries map some of it before they do anything."""


@dataclass(frozen=True, slots=True)
class Case:
    """One hostile input."""

    name: str
    arguments: Callable[[Path, Path], list[str]]
    """(folder to write inputs into, output folder) to the command line."""
    code: int
    """Exit code that is expected."""
    words: str = ""
    """What the line has to say, among other things."""


def _bomb(path: Path) -> Path:
    """A pickle that writes a file when it is loaded."""

    class Bomb:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {path.parent / 'exploded'}",)

    path.write_bytes(pickle.dumps(Bomb()))
    return path


def _model(path: Path, change: Callable[[dict[str, Any], dict[str, str], bytes], bytes]) -> Path:
    """The bundled model, its header (tensors, metadata) and data changed."""
    whole = (BUNDLED / "tissue8-demo.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    header, data = json.loads(whole[8 : 8 + length]), whole[8 + length :]
    metadata = header.pop("__metadata__")
    data = change(header, metadata, data)
    text = json.dumps({"__metadata__": metadata, **header}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def _card(path: Path, **changes: Any) -> Path:
    """The bundled model with a card that lies."""

    def change(header: dict[str, Any], metadata: dict[str, str], data: bytes) -> bytes:
        key = next(key for key, value in metadata.items() if value.startswith("{"))
        metadata[key] = json.dumps(json.loads(metadata[key]) | changes)
        return data

    return _model(path, change)


def _text(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def _geojson(path: Path, rings: str, name: str = "benign epithelium") -> Path:
    classification = json.dumps({"name": name})
    return _text(
        path,
        '{"type":"FeatureCollection","features":[{"type":"Feature","geometry":{"type":"Polygon","coordinates":'
        f'{rings}}},"properties":{{"objectType":"annotation","classification":{classification}}}}}]}}',
    )


def _png_bomb(path: Path, side: int = 60_000) -> Path:
    """A picture of a few kilobytes that claims to be gigabytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
    )
    return path


def _slide(folder: Path) -> str:
    return str(folder.parents[1] / "slide.tif")


def _predict_model(make: Callable[[Path], Path]) -> Callable[[Path, Path], list[str]]:
    return lambda folder, out: [
        "predict", _slide(folder), "-o", str(out), "--model", str(make(folder / "m.safetensors")),
    ]  # fmt: skip


def _import(make: Callable[[Path], Path], name: str) -> Callable[[Path, Path], list[str]]:
    return lambda folder, out: ["import", str(make(folder / name)), "--slide", _slide(folder), "-o", str(out)]


def _evaluate(text: str) -> Callable[[Path, Path], list[str]]:
    return lambda folder, out: ["evaluate", str(_text(folder / "c.yaml", text)), "-o", str(out)]


def _huge_ring() -> str:
    return "[[" + ",".join(f"[{i % 3000},{i % 1999}]" for i in range(3_000_000)) + ",[0,0]]]"


def _many_aliases() -> str:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    return "\n".join(lines)


def _entities(kind: str) -> str:
    """XML that grows a billionfold, or that reads a file of this machine."""
    if kind == "laughs":
        inner = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
        head, body = f'<!ENTITY l0 "lol">{inner}', "&l9;"
    else:
        head, body = '<!ENTITY x SYSTEM "file:///etc/passwd">', "&x;"
    start = f'<?xml version="1.0"?><!DOCTYPE a [{head}]>'
    return f"{start}<ASAP_Annotations>{body}</ASAP_Annotations>"


def _truncated(header: dict[str, Any], metadata: dict[str, str], data: bytes) -> bytes:
    return data[: len(data) // 2]


def _reshaped(header: dict[str, Any], metadata: dict[str, str], data: bytes) -> bytes:
    name = next(iter(header))
    header[name]["shape"] = [*header[name]["shape"], 1]
    return data


def _flipped(header: dict[str, Any], metadata: dict[str, str], data: bytes) -> bytes:
    return data[:1000] + bytes([data[1000] ^ 255]) + data[1001:]


def _overlapping(header: dict[str, Any], metadata: dict[str, str], data: bytes) -> bytes:
    second = list(header)[1]
    header[second]["data_offsets"] = [0, 2**62]
    return data


CASES = (
    Case("model: a pickle named .safetensors", _predict_model(_bomb), 3),
    Case(
        "model: pickle bomb to import",
        lambda folder, out: [
            "models",
            "import",
            str(_bomb(folder / "bomb.pth")),
            "-o",
            str(out / "m.safetensors"),
        ],
        3,
    ),
    Case("model: cut in half", _predict_model(lambda path: _model(path, _truncated)), 3),
    Case("model: wrong shape", _predict_model(lambda path: _model(path, _reshaped)), 3),
    Case(
        "model: one byte of the weights flipped",
        _predict_model(lambda path: _model(path, _flipped)),
        3,
        "SHA-256",
    ),
    Case("model: offsets beyond the file", _predict_model(lambda path: _model(path, _overlapping)), 3),
    Case("card: an mpp of 1e9", _predict_model(lambda path: _card(path, mpp=1e9)), 3),
    Case("card: classes named as none", _predict_model(lambda path: _card(path, classes=[])), 3),
    Case("card: unknown key", _predict_model(lambda path: _card(path, run="rm -rf")), 3, "run"),
    Case(
        "card: another network",
        _predict_model(lambda path: _card(path, architecture={"name": "unet", "num_classes": 8})),
        3,
    ),
    Case("card: NaN as mean", _predict_model(lambda path: _card(path, mean=[float("nan")] * 3)), 3),
    Case(
        "config: unknown key",
        _evaluate("data: {dataset: cityscapes, root: x, rot: y}\nmodel: {checkpoint: x}\n"),
        2,
        "rot",
    ),
    Case("config: aliases that blow up", _evaluate(_many_aliases()), 2, "alias"),
    Case(
        "config: a Python object", _evaluate("data: !!python/object/apply:os.system ['touch exploded']\n"), 2
    ),
    Case("config: nested 100,000 deep", _evaluate("[" * 100_000), 2),
    Case("config: 5 MB", _evaluate("# " + "x" * 5_000_000), 2),
    Case(
        "annotation: not a number",
        _import(lambda path: _geojson(path, "[[[NaN,0],[9,9],[9,0],[NaN,0]]]"), "a.geojson"),
        3,
    ),
    Case(
        "annotation: 1e308",
        _import(lambda path: _geojson(path, "[[[1e308,0],[9,9],[9,-1e308],[1e308,0]]]"), "a.geojson"),
        3,
    ),
    Case(
        "annotation: crosses itself (drawn as it stands)",
        _import(lambda path: _geojson(path, "[[[0,0],[900,900],[900,0],[0,900],[0,0]]]"), "a.geojson"),
        0,
    ),
    Case(
        "annotation: three million points (drawn)",
        _import(lambda path: _geojson(path, _huge_ring()), "a.geojson"),
        0,
    ),
    Case(
        "annotation: unknown class",
        _import(lambda path: _geojson(path, "[[[0,0],[9,9],[9,0],[0,0]]]", "<script>"), "a.geojson"),
        3,
    ),
    Case("annotation: nested 100,000 deep", _import(lambda path: _text(path, "[" * 100_000), "a.geojson"), 3),
    Case(
        "annotation: XML entities that blow up",
        _import(lambda path: _text(path, _entities("laughs")), "a.xml"),
        3,
    ),
    Case(
        "annotation: XML that names /etc/passwd",
        _import(lambda path: _text(path, _entities("file")), "a.xml"),
        3,
    ),
    Case(
        "mask: a picture that claims 3.6 gigapixels",
        lambda folder, out: [
            "predict",
            _slide(folder),
            "-o",
            str(out),
            "--tissue",
            str(_png_bomb(folder / "m.png")),
        ],
        3,
    ),
    Case(
        "slide: a picture that claims 3.6 gigapixels",
        lambda folder, out: ["predict", str(_png_bomb(folder / "m.png")), "-o", str(out), "--slide-mpp", "1"],
        3,
    ),
    Case(
        "URL: redirects to a file of this machine", lambda folder, out: ["info", "{server}/redirect.zarr"], 3
    ),
    Case("URL: a file that is not there", lambda folder, out: ["info", "{server}/missing.zarr"], 3),
    Case(
        "name: markup in a slide's name",
        lambda folder, out: [
            "predict",
            str(shutil.copy(_slide(folder), folder / "<script>alert(1)<%2Fscript>.tif")),
            "-o",
            str(out),
        ],
        0,
    ),
    Case(
        "name: leads out of the folder (named by its last part)",
        lambda folder, out: ["predict", str(folder / ".." / ".." / "slide.tif"), "-o", str(out)],
        0,
    ),
)


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
            [sys.executable, "-m", "wsiseg.cli.main", *arguments],
            capture_output=True, text=True, timeout=TIME_LIMIT_S, check=False, cwd=given, preexec_fn=_limit,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"case": case.name, "code": None, "said": f"not done after {TIME_LIMIT_S} s", "passed": False}
    lines = [line for line in child.stderr.strip().splitlines() if "warning" not in line]
    strays = [item for item in folder.rglob("*") if item not in before and out not in item.parents]
    one_line = case.code == 0 or len(lines) == 1
    passed = (
        child.returncode == case.code
        and one_line
        and "Traceback" not in child.stderr
        and case.words in child.stderr
        and not strays
    )
    said = " / ".join(lines)[-300:] + (f" STRAY FILES {strays}" if strays else "")
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
