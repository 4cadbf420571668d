"""What a label id means: its name, its colour, and whether it counts.

Label stores are uint8. Two ids never belong to a class: 254, a pixel that could not be read, and
255, a pixel that nobody looked at (outside the region of interest, or not computed yet).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from wsiseg.errors import UsageError

UNREAD = 254
NOT_ANALYSED = 255
RESERVED_NAMES = {UNREAD: "unread", NOT_ANALYSED: "not analysed"}
RESERVED_RGBA = {UNREAD: (255, 0, 255, 255), NOT_ANALYSED: (0, 0, 0, 0)}

Channel = Annotated[int, Field(ge=0, le=255)]


class LabelClass(BaseModel):
    """One class of a label map."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[int, Field(ge=0, le=253)]
    """Value in the label map."""
    name: Annotated[str, Field(min_length=1, max_length=100)]
    colour: tuple[Channel, Channel, Channel]
    """RGB."""
    background: bool = False
    """Left out of percentages (glass, void)."""
    predicted: bool = True
    """False for an output channel that a network has but that is never given to a pixel (void)."""
    annotation_names: tuple[str, ...] = ()
    """Other names of the class in annotation files."""


class ClassMap(BaseModel):
    """The classes of a label map, in the order of the network's output channels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    classes: Annotated[tuple[LabelClass, ...], Field(min_length=1, max_length=254)]

    @model_validator(mode="after")
    def _unique(self) -> Self:
        for what in ("id", "name"):
            values = [getattr(item, what) for item in self.classes]
            twice = sorted({str(value) for value in values if values.count(value) > 1})
            if twice:
                raise ValueError(f"class {what} {', '.join(twice)} is given more than once")
        return self

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def ids(self) -> tuple[int, ...]:
        """Label value of each output channel."""
        return tuple(item.id for item in self.classes)

    def by_id(self, label: int) -> LabelClass:
        """Return the class with this label value; KeyError where there is none."""
        for item in self.classes:
            if item.id == label:
                return item
        raise KeyError(label)

    def colour_table(self) -> list[tuple[int, tuple[int, int, int, int]]]:
        """Return (label value, RGBA) of every class and of the two reserved ids, by label value."""
        rows = [(item.id, (*item.colour, 255)) for item in self.classes]
        return sorted([*rows, *RESERVED_RGBA.items()])


def _classes(rows: Sequence[tuple[int, str, tuple[int, int, int]]]) -> ClassMap:
    return ClassMap(
        classes=tuple(
            LabelClass(id=label, name=name, colour=colour, background=name in ("background", "void"))
            for label, name, colour in rows
        )
    )


# Ids as in the published breast-biopsy label files, colours as published with them (Mehta et al., WACV 2018).
TISSUE8 = _classes(
    [
        (0, "background", (255, 255, 255)),
        (1, "benign epithelium", (130, 0, 130)),
        (2, "malignant epithelium", (0, 0, 130)),
        (3, "normal stroma", (255, 150, 255)),
        (4, "desmoplastic stroma", (150, 150, 255)),
        (5, "secretion", (0, 255, 0)),
        (6, "blood", (255, 255, 0)),
        (7, "necrosis", (255, 0, 0)),
    ]
)


def read_class_map(path: Path) -> ClassMap:
    """Read a class map from YAML (a mapping with the key `classes`).

    Raises UsageError with the key that is wrong.
    """
    import yaml

    try:
        return ClassMap.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: cannot be read as a class map: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path}: {where}: {first['msg']}") from error
