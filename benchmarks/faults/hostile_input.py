"""How hostile inputs are made: models, cards, annotations, manifests, pictures."""

from __future__ import annotations

import csv
import json
import os
import pickle
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsiseg.models.files import BUNDLED


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
    wrong: Callable[[Path], str] = lambda out: ""
    """(output folder) to what is wrong there, in a word; nothing where all is well."""


def bomb(path: Path) -> Path:
    """A pickle that writes a file when it is loaded."""

    class Bomb:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {path.parent / 'exploded'}",)

    path.write_bytes(pickle.dumps(Bomb()))
    return path


def model(path: Path, change: Callable[[dict[str, Any], dict[str, str], bytes], bytes]) -> Path:
    """The bundled model, its header (tensors, metadata) and data changed."""
    whole = (BUNDLED / "tissue8-demo.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    header, data = json.loads(whole[8 : 8 + length]), whole[8 + length :]
    metadata = header.pop("__metadata__")
    data = change(header, metadata, data)
    text = json.dumps({"__metadata__": metadata, **header}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def card(path: Path, **changes: Any) -> Path:
    """The bundled model with a card that lies."""

    def change(header: dict[str, Any], metadata: dict[str, str], data: bytes) -> bytes:
        key = next(key for key, value in metadata.items() if value.startswith("{"))
        metadata[key] = json.dumps(json.loads(metadata[key]) | changes)
        return data

    return model(path, change)


def written(path: Path, text: str) -> Path:
    """Write a text file."""
    path.write_text(text, encoding="utf-8")
    return path


def geojson(path: Path, rings: str, name: str = "benign epithelium") -> Path:
    """Write one annotation with these rings."""
    classification = json.dumps({"name": name})
    return written(
        path,
        '{"type":"FeatureCollection","features":[{"type":"Feature","geometry":{"type":"Polygon","coordinates":'
        f'{rings}}},"properties":{{"objectType":"annotation","classification":{classification}}}}}]}}',
    )


def png_bomb(path: Path, side: int = 60_000) -> Path:
    """A picture of a few kilobytes that claims to be gigabytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
    )
    return path


def slide(folder: Path) -> str:
    """Return the sound slide that lies beside a case's folders."""
    return str(folder.parents[1] / "slide.tif")


def predict_model(make: Callable[[Path], Path]) -> Callable[[Path, Path], list[str]]:
    """Return the command line that predicts with a model."""
    return lambda folder, out: [
        "predict", slide(folder), "-o", str(out), "--model", str(make(folder / "m.safetensors")),
    ]  # fmt: skip


def import_(make: Callable[[Path], Path], name: str) -> Callable[[Path, Path], list[str]]:
    """Return the command line that imports an annotation."""
    return lambda folder, out: ["import", str(make(folder / name)), "--slide", slide(folder), "-o", str(out)]


def evaluate(text: str) -> Callable[[Path, Path], list[str]]:
    """Return the command line that evaluates by a config."""
    return lambda folder, out: ["evaluate", str(written(folder / "c.yaml", text)), "-o", str(out)]


def batch(make: Callable[[Path], Path]) -> Callable[[Path, Path], list[str]]:
    """Return the command line of a batch of a manifest."""
    return lambda folder, out: ["batch", str(make(folder / "m.csv")), "-o", str(out), "-q"]


def many_rows(path: Path) -> Path:
    """Write a manifest of ten million rows."""
    with path.open("w", encoding="utf-8") as file:
        file.write("slide,id\n")
        for start in range(0, 10_000_000, 100_000):
            file.write("".join(f"a.tif,{number}\n" for number in range(start, start + 100_000)))
    return path


def one_row(path: Path, name: str) -> Path:
    """Write a manifest of the sound slide, by a name, with a formula as its note."""
    return written(path, f"slide,id,note\n{slide(path.parent)},{name},=HYPERLINK(1)\n")


def formulas(out: Path) -> str:
    """Say where a cell of a table would be run by a spreadsheet."""
    tables = list(out.rglob("*.csv"))
    for table in tables:
        with table.open(encoding="utf-8", newline="") as file:
            if any(cell[:1] in ("=", "@", "+") for row in csv.reader(file) for cell in row):
                return f"{table.name} has a formula"
    return "" if tables else "no tables"


def endless(path: Path) -> Path:
    """Write the start of an annotation of a billion points; of the rest only its size, 16 GB."""
    path.write_text(
        '{"type":"FeatureCollection","features":[{"type":"Feature","geometry":[[[', encoding="utf-8"
    )
    os.truncate(path, 2**34)
    return path


def huge_ring() -> str:
    """Return a ring of three million points."""
    return "[[" + ",".join(f"[{i % 3000},{i % 1999}]" for i in range(3_000_000)) + ",[0,0]]]"


def many_aliases() -> str:
    """Return YAML that stands for ten to the twelfth words."""
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    return "\n".join(lines)


def entities(kind: str) -> str:
    """XML that grows a billionfold, or that reads a file of this machine."""
    if kind == "laughs":
        inner = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
        head, body = f'<!ENTITY l0 "lol">{inner}', "&l9;"
    else:
        head, body = '<!ENTITY x SYSTEM "file:///etc/passwd">', "&x;"
    start = f'<?xml version="1.0"?><!DOCTYPE a [{head}]>'
    return f"{start}<ASAP_Annotations>{body}</ASAP_Annotations>"


def truncated(header: dict[str, Any], metadata: dict[str, str], data: bytes) -> bytes:
    """Leave the second half of the weights out."""
    return data[: len(data) // 2]


def reshaped(header: dict[str, Any], metadata: dict[str, str], data: bytes) -> bytes:
    """Give the first tensor one axis more."""
    name = next(iter(header))
    header[name]["shape"] = [*header[name]["shape"], 1]
    return data


def flipped(header: dict[str, Any], metadata: dict[str, str], data: bytes) -> bytes:
    """Change one byte of the weights."""
    return data[:1000] + bytes([data[1000] ^ 255]) + data[1001:]


def overlapping(header: dict[str, Any], metadata: dict[str, str], data: bytes) -> bytes:
    """Have the second tensor reach beyond the file."""
    second = list(header)[1]
    header[second]["data_offsets"] = [0, 2**62]
    return data
