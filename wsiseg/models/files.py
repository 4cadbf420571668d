"""Model files: safetensors whose metadata hold a card. Reading a card or checking a file needs no torch.

Format: https://huggingface.co/docs/safetensors (8 bytes little-endian header length, JSON, data).
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsiseg.errors import ModelRefusedError
from wsiseg.models.card import ModelCard, parse_card, plain

CARD_KEY = "wsiseg_card"
DEFAULT_MODEL = "tissue8-demo"
SUFFIX = ".safetensors"
BUNDLED = Path(__file__).parent / "bundled"
MAX_HEADER_BYTES = 8 << 20
ITEM_BYTES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}


@dataclass(frozen=True)
class Entry:
    """One tensor of a file; the bytes are at start..stop, counted from the end of the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class Header:
    """What a file says it holds; checked to fill the file exactly."""

    metadata: dict[str, str]
    entries: dict[str, Entry]
    data_start: int


def list_models() -> tuple[str, ...]:
    """Return the names of the models that come with wsiseg."""
    return tuple(sorted(path.name.removesuffix(SUFFIX) for path in BUNDLED.glob(f"*{SUFFIX}")))


def find_model(name_or_path: str | Path) -> Path:
    """Return the file of a bundled name or of a path. Raises ModelRefusedError where there is none."""
    if str(name_or_path) in list_models():
        return BUNDLED / f"{name_or_path}{SUFFIX}"
    path = Path(name_or_path)
    if path.is_file():
        return path
    names = ", ".join(list_models()) or "none installed"
    found = "is a folder" if path.is_dir() else "does not exist"
    raise ModelRefusedError(
        f"model {str(name_or_path)!r} {found}: give a {SUFFIX} file or a bundled name ({names})"
    )


def read_card(name_or_path: str | Path) -> ModelCard:
    """Return the card of a bundled model or a file; the tensors are not read, nor checked.

    Raises ModelRefusedError where the file is damaged or has no card.
    """
    path = find_model(name_or_path)
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            head = length.to_bytes(8, "little") + file.read(min(length, MAX_HEADER_BYTES))
        header = parse_header(head, path.stat().st_size, path.name)
    except OSError as error:
        raise ModelRefusedError(f"{path.name}: cannot be read: {error.strerror}") from error
    return card_of(header, path.name)


def read_verified(name_or_path: str | Path) -> tuple[ModelCard, bytes]:
    """Return the card and the file's bytes, its tensors checked against the card's SHA-256."""
    path = find_model(name_or_path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelRefusedError(f"{path.name}: cannot be read: {error.strerror}") from error
    header = parse_header(data, len(data), path.name)
    card = card_of(header, path.name)
    found = digest(header, data)
    if card.weights_sha256 is None:
        raise ModelRefusedError(f"{path.name}: its card has no weights_sha256; write it with save_model")
    if found != card.weights_sha256:
        raise ModelRefusedError(
            f"{path.name}: the SHA-256 of its weights is {found[:12]}..., but its card says "
            f"{card.weights_sha256[:12]}...: damaged or altered, get the file again"
        )
    return card, data


def card_of(header: Header, where: str) -> ModelCard:
    """Return the card in a header. Raises ModelRefusedError where there is none."""
    if CARD_KEY not in header.metadata:
        raise ModelRefusedError(
            f"{where}: safetensors without a wsiseg card; weights come in through `wsiseg models import`"
        )
    return parse_card(header.metadata[CARD_KEY], where)


def parse_header(data: bytes, file_bytes: int, where: str) -> Header:
    """Return the header at the start of `data`, checked against the size of the whole file."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > MAX_HEADER_BYTES or 8 + length > file_bytes:
        raise ModelRefusedError(f"{where}: is no safetensors file, or is cut short: get the file again")
    try:
        raw: Any = json.loads(data[8 : 8 + length])
        metadata = raw.pop("__metadata__", {})
        entries = {name: _entry(value) for name, value in raw.items()}
        if not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError("metadata is not text")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelRefusedError(
            f"{where}: its safetensors header is damaged ({plain(str(error))}): get the file again"
        ) from error
    end = 0
    for entry in sorted(entries.values(), key=lambda item: (item.start, item.stop)):
        if entry.start != end:
            raise ModelRefusedError(f"{where}: its tensors overlap or leave gaps: get the file again")
        end = entry.stop
    if 8 + length + end != file_bytes:
        raise ModelRefusedError(
            f"{where}: has {file_bytes} bytes, but its header describes {8 + length + end}: "
            "cut short or damaged, get the file again"
        )
    return Header(metadata, entries, 8 + length)


def digest(header: Header, data: bytes) -> str:
    """Return the SHA-256 over every tensor's name, dtype, shape and bytes, by name; the card is not in it."""
    state = hashlib.sha256()
    for name, entry in sorted(header.entries.items()):
        state.update(json.dumps([name, entry.dtype, list(entry.shape)]).encode())
        state.update(memoryview(data)[header.data_start + entry.start : header.data_start + entry.stop])
    return state.hexdigest()


def _entry(value: dict[str, Any]) -> Entry:
    dtype, shape, (start, stop) = value["dtype"], value["shape"], value["data_offsets"]
    whole = [*shape, start, stop]
    if not all(isinstance(item, int) and not isinstance(item, bool) and item >= 0 for item in whole):
        raise ValueError("a shape or an offset is not a whole number")
    if stop - start != math.prod(shape) * ITEM_BYTES[dtype]:
        raise ValueError("a tensor's bytes do not match its shape")
    return Entry(dtype, tuple(shape), start, stop)
