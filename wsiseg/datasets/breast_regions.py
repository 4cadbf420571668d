"""Regions of slides as pairs of PNGs, by list files as the breast biopsy data have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wsiseg.class_map import TISSUE8, ClassMap, read_class_map
from wsiseg.config import RegionsData
from wsiseg.datasets.folders import MAX_LIST_BYTES, need_all, need_root, need_some
from wsiseg.datasets.pictures import Values, value_table
from wsiseg.errors import InputRefusedError

PHANTOMS = "# phantoms: generated tissue, of no patient"
"""First line of a list of generated regions; what learns from them is marked as a demonstration."""


@dataclass(frozen=True, slots=True)
class RegionPair:
    """One line of the list."""

    image: Path
    labels: Path
    group: str
    """The patient; the region itself where none is given."""
    diagnosis: str = ""
    """As it stands in the list; empty where none does."""

    @property
    def name(self) -> str:
        """The picture's name without its ending."""
        return self.image.stem


@dataclass(frozen=True, slots=True)
class RegionList:
    """The regions of one list."""

    pairs: tuple[RegionPair, ...]
    classes: ClassMap
    values: Values
    """From the label images' values to label ids."""
    split: str
    phantoms: bool = False
    """The list says that its regions are generated."""

    def __len__(self) -> int:
        return len(self.pairs)


def open_regions(data: RegionsData) -> RegionList:
    """Open the regions of a config. Raises InputRefusedError with the first file that is missing."""
    need_root(data.root)
    path = data.root / data.list
    rows, phantoms = _read_list(path)
    classes = TISSUE8 if data.classes is None else read_class_map(data.root / data.classes)
    pairs = tuple(
        RegionPair(data.root / image, data.root / labels, _group(Path(image).stem, data.patient_until), told)
        for image, labels, told in rows
    )
    need_some(len(pairs), path, "rgb.png, label.png")
    need_all([pair.image for pair in pairs], "pictures")
    need_all([pair.labels for pair in pairs], "label images")
    names = [pair.name for pair in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputRefusedError(f"{path}: {twice[0]!r} stands there more than once: list each region once")
    values = value_table({label: label for label in classes.ids}, ignored=(254, 255))
    return RegionList(pairs, classes, values, path.stem, phantoms)


def diagnosis_of(pair: RegionPair, names: Sequence[str]) -> int:
    """Return the place of a region's diagnosis among `names`, which the list counts from 1.

    Raises InputRefusedError where the list gives none, or another one.
    """
    if pair.diagnosis.isascii() and pair.diagnosis.isdigit() and 1 <= int(pair.diagnosis) <= len(names):
        return int(pair.diagnosis) - 1
    raise InputRefusedError(
        f"{pair.name}: its diagnosis in the list is {pair.diagnosis[:40]!r}: expected 1 to {len(names)} "
        f"({', '.join(names)})"
    )


def _group(name: str, until: str | None) -> str:
    return name if until is None else name.partition(until)[0]


def _read_list(path: Path) -> tuple[list[tuple[str, str, str]], bool]:
    """Return (picture, labels, diagnosis or "") per line, and whether the list is one of phantoms."""
    try:
        if path.stat().st_size > MAX_LIST_BYTES:
            raise InputRefusedError(f"{path}: is too large for a list of regions")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputRefusedError(f"{path}: the list cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputRefusedError(f"{path}: is no text: expected rgb.png, label.png per line") from error
    pairs = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) not in (2, 3) or not all(cells[:2]):
            raise InputRefusedError(
                f"{path.name}, line {number}: {line.strip()[:80]!r}: expected rgb.png, label.png[, diagnosis]"
            )
        pairs.append((cells[0], cells[1], cells[2] if len(cells) == 3 else ""))
    return pairs, PHANTOMS in lines[:1]
