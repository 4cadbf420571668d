"""Which label an annotation's class name means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from wsiseg.annotations.annotation import Annotation
from wsiseg.class_map import NOT_ANALYSED, ClassMap
from wsiseg.errors import InputRefusedError, UsageError

SHOWN = 12


def label_values(
    annotations: Sequence[Annotation], classes: ClassMap, ignored: Iterable[str] = ()
) -> list[int]:
    """Return the label of each annotation: a class id, or 255 where its name is to be ignored.

    A name is looked up among the classes' names and annotation names, whatever its case; `ignored` adds
    to the class map's `ignored_names`. An area of a label image that has no such name is looked up by its
    value. Raises InputRefusedError that lists the unknown ones, UsageError for a name of two classes.
    """
    table = name_table(classes, ignored)
    found: list[int] = []
    unknown: Counter[str] = Counter()
    for item in annotations:
        label = table.get(_key(item.name))
        if label is None and item.label is not None and item.label in classes.ids:
            label = item.label
        if label is None:
            unknown[item.name] += 1
        found.append(NOT_ANALYSED if label is None else label)
    if unknown:
        listed = ", ".join(f"{name!r} ({count})" for name, count in sorted(unknown.items())[:SHOWN])
        more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
        valid = ", ".join(item.name for item in classes.classes)
        raise InputRefusedError(
            f"unknown annotation classes: {listed}{more}: the class map has {valid}; add them there under "
            f"annotation_names, or leave them out with --ignore NAME (or ignored_names in the class map)"
        )
    return found


def name_table(classes: ClassMap, ignored: Iterable[str] = ()) -> dict[str, int]:
    """Return the label of each known name, in lower case; UsageError where a name has two."""
    table: dict[str, int] = {}
    rows = [(item.id, name) for item in classes.classes for name in (item.name, *item.annotation_names)]
    for label, name in [*rows, *((NOT_ANALYSED, name) for name in (*classes.ignored_names, *ignored))]:
        known = table.setdefault(_key(name), label)
        if known != label:
            raise UsageError(f"the annotation name {name!r} is given to two classes: keep one of them")
    return table


def _key(name: str) -> str:
    return " ".join(name.split()).casefold()
