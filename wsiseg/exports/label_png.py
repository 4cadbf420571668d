"""The label map as a palette PNG: pixel values are labels, the palette has the class colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wsiseg.class_map import NOT_ANALYSED
from wsiseg.errors import InputRefusedError
from wsiseg.exports.files import whole_file
from wsiseg.exports.label_store import LabelStore
from wsiseg.geometry import Region

DEFAULT_PX = 8192
"""The finest level whose longer side is at most this is taken, unless a level is given."""
LARGEST_PX = 170_000_000
"""What the import of a label image takes, too. A PNG is written from one array."""


def write_label_png(
    store: LabelStore, path: Path, level: int | None = None, *, overwrite: bool = False
) -> int:
    """Write one level; return which. 255 is transparent. Raises InputRefusedError for one too large."""
    from PIL import Image

    if level is None:
        sizes = [max(store.shape(number)) for number in range(len(store.levels))]
        level = next((number for number, size in enumerate(sizes) if size <= DEFAULT_PX), len(sizes) - 1)
    store.check_level(level)
    rows, columns = store.shape(level)
    if rows * columns > LARGEST_PX:
        raise InputRefusedError(
            f"level {level} has {columns} x {rows} px: a PNG takes at most {LARGEST_PX // 10**6} megapixels: "
            f"give a coarser one with --level {level + 1}"
        )
    labels = store.read(level, Region(0, 0, columns, rows))
    image = Image.frombytes("P", (columns, rows), labels.tobytes())
    palette = np.zeros((256, 3), np.uint8)
    for label, rgba in store.classes.colour_table():
        palette[label] = rgba[:3]
    image.putpalette(palette.tobytes())
    with whole_file(path, overwrite=overwrite) as file:
        image.save(file, format="PNG", transparency=NOT_ANALYSED)
    return level
