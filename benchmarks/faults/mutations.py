"""Damage to a slide, drawn from a seed: bytes flipped or blanked, files cut short, tags and keys altered."""

from __future__ import annotations

import json
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tifffile

ABSURD = (0, 1, 3, 255, 65_535, 2**31 - 1, 2**31, 2**32 - 1)
Damage = Callable[[random.Random, Path], str]
"""Alters a file in place and says what it did."""


def mutate(kind: str, source: Path, target: Path, seed: int) -> tuple[Path, str]:
    """Copy a slide to `target` and damage the copy; return its path and what was done."""
    rng = random.Random(seed)
    if source.is_dir():
        shutil.copytree(source, target, copy_function=shutil.copyfile)
        files = sorted(item for item in target.rglob("*") if item.is_file())
        named = [item for item in files if item.suffix == ".json" or item.name.startswith(".z")]
        about = named if named and rng.random() < 0.5 else files
        file = rng.choice(about)
    else:
        file = target
        shutil.copyfile(source, target)
    file.chmod(0o644)
    damages = list(BYTES)
    if kind == "tiff":
        damages += [alter_tag] * 4
    elif kind == "dicom":
        damages += [alter_element] * 4
    elif file.suffix == ".json" or file.name.startswith(".z"):
        damages = [*BYTES, *[alter_json] * 8]
    else:
        damages.append(remove)
    said = rng.choice(damages)(rng, file)
    return target, said if file == target else f"{file.relative_to(target).as_posix()}: {said}"


def flip_one(rng: random.Random, file: Path) -> str:
    """One byte gets another value."""
    return _flip(rng, file, 1)


def flip_many(rng: random.Random, file: Path) -> str:
    """Two to a hundred bytes get other values."""
    return _flip(rng, file, rng.randint(2, 100))


def flip_head(rng: random.Random, file: Path) -> str:
    """One byte of the first kilobyte gets another value."""
    return _flip(rng, file, 1, 1024)


def cut_short(rng: random.Random, file: Path) -> str:
    """The file ends early."""
    content = file.read_bytes()
    length = rng.randrange(len(content)) if content else 0
    file.write_bytes(content[:length])
    return f"cut to {length} of {len(content)} bytes"


def blank_page(rng: random.Random, file: Path) -> str:
    """A run of bytes becomes zero, as a lost disk page does."""
    content = bytearray(file.read_bytes())
    if not content:
        return "nothing: the file is empty"
    start = rng.randrange(len(content))
    length = min(rng.choice((16, 512, 4096)), len(content) - start)
    content[start : start + length] = bytes(length)
    file.write_bytes(content)
    return f"{length} bytes zeroed at {start}"


def remove(rng: random.Random, file: Path) -> str:
    """The file is gone."""
    file.unlink()
    return "removed"


BYTES: tuple[Damage, ...] = (flip_one, flip_many, flip_head, cut_short, blank_page)


def _flip(rng: random.Random, file: Path, count: int, within: int | None = None) -> str:
    content = bytearray(file.read_bytes())
    if not content:
        return "nothing: the file is empty"
    places = [rng.randrange(min(len(content), within or len(content))) for _ in range(count)]
    for place in places:
        content[place] ^= rng.randint(1, 255)
    file.write_bytes(content)
    return f"{count} bytes flipped at {places[:4]}"


def alter_tag(rng: random.Random, file: Path) -> str:
    """A TIFF tag of any directory gets another number: an absurd one, or one that is a little off."""
    try:
        with tifffile.TiffFile(file) as tiff:
            order = tiff.byteorder
            tags = [
                (tag.code, tag.valueoffset, tag.dtype, tag.count)
                for page in tiff.pages
                for tag in page.tags.values()
            ]
    except Exception as error:  # the original is sound, so this says that the campaign itself is wrong
        raise RuntimeError(f"{file}: tifffile cannot list the tags: {error}") from error
    code, offset, dtype, count = rng.choice(tags)
    layout = {1: "B", 3: "H", 4: "I", 5: "I", 16: "Q", 17: "q", 13: "I", 18: "Q"}.get(int(dtype))
    if layout is None:  # text: the description
        return _flip(rng, file, rng.randint(1, 4), None)
    layout = order + layout
    size = struct.calcsize(layout)
    place = offset + size * rng.randrange(min(count * (2 if int(dtype) == 5 else 1), 64))
    content = bytearray(file.read_bytes())
    (was,) = struct.unpack_from(layout, content, place)
    now = rng.choice((*ABSURD, was + 1, was * 2, max(0, was - 1), was // 2)) % 256**size
    struct.pack_into(layout, content, place, now % (2**63) if layout[-1] == "q" else now)
    file.write_bytes(content)
    return f"tag {code}: {was} became {now}"


DICOM_WORDS = (
    "Rows", "Columns", "NumberOfFrames", "TotalPixelMatrixRows", "TotalPixelMatrixColumns", "BitsAllocated",
    "SamplesPerPixel", "PhotometricInterpretation", "ImageType", "DimensionOrganizationType",
    "SharedFunctionalGroupsSequence", "SeriesInstanceUID", "PixelData", "ImagedVolumeWidth",
)  # fmt: skip


def alter_element(rng: random.Random, file: Path) -> str:
    """A DICOM element gets another value or is left out."""
    import pydicom

    dataset = pydicom.dcmread(file)
    word = rng.choice([word for word in DICOM_WORDS if word in dataset])
    was = dataset[word].value
    if rng.random() < 0.3 or not isinstance(was, int | str):
        del dataset[word]
        said = f"{word} left out"
    else:
        now: Any = rng.choice((0, 1, 65_535, was * 2 % 65_536)) if isinstance(was, int) else "OTHER"
        if word.startswith("TotalPixel"):
            now = rng.choice((0, 1, 2**32 - 1, was * 2))
        if word == "NumberOfFrames":
            now = str(rng.choice((0, 1, 2**31 - 1)))
        dataset[word].value = now
        said = f"{word}: {was} became {now}"
    dataset.save_as(file)
    return said


def alter_json(rng: random.Random, file: Path) -> str:
    """A value anywhere in a JSON file becomes something else, or goes."""
    content = json.loads(file.read_text(encoding="utf-8"))
    places = list(_places(content))
    if not places:
        file.write_text("[" * 100_000, encoding="utf-8")
        return "replaced by 100,000 open brackets"
    holder, key = rng.choice(places)
    was = holder[key]
    choices: list[Any] = [None, -1, 0, 2**40, 1e308, "", "../../escape", [], {}, [was], {"": was}, True]
    if isinstance(was, int | float) and not isinstance(was, bool):
        choices += [was + 1, was * 2, was / 2]
    now = rng.choice([*choices, "gone"])
    if now == "gone":
        del holder[key]
    else:
        holder[key] = now
    file.write_text(json.dumps(content), encoding="utf-8")
    return f"{key}: {str(was)[:60]} became {str(now)[:60]}"


def _places(value: Any) -> Any:
    """Yield (container, key) of every value in nested lists and mappings."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items):
        yield value, key
        yield from _places(item)
