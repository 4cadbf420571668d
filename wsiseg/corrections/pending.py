"""A merge that must not be torn: written aside whole, applied, then forgotten.

A merge touches files of several levels. What it sets stands in one file before the first of them is touched;
whoever finds that file does the merge again, which is the same twice as once.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import InputRefusedError
from wsiseg.exports.files import whole_file
from wsiseg.geometry import Region

_NAME = re.compile(r"pending-(\d{1,9})-(\d{1,9})\.npy")


def write_pending(folder: Path, region: Region, labels: NDArray[np.uint8]) -> Path:
    """Bring a merge to the disk; return its file. `labels` is (region.height, region.width) uint8."""
    path = folder / f"pending-{region.x}-{region.y}.npy"
    with whole_file(path, overwrite=True) as file:
        np.save(file, labels, allow_pickle=False)
    return path


def read_pending(folder: Path, whole: Region) -> list[tuple[Path, Region, NDArray[np.uint8]]]:
    """Return the merges that were cut short: file, rectangle, labels. There is one at most, unless by hand.

    Raises InputRefusedError for a file that is no such merge, or reaches beyond `whole`.
    """
    found = []
    for path in sorted(folder.glob("pending-*.npy")):
        name = _NAME.fullmatch(path.name)
        try:
            labels = np.load(path, allow_pickle=False, mmap_mode="r")  # sizes are checked against the file's
        except (OSError, ValueError, EOFError) as error:
            raise InputRefusedError(f"{path}: is damaged ({error}): move it away") from error
        if name is None or labels.ndim != 2 or labels.dtype != np.uint8:
            raise InputRefusedError(f"{path}: holds no merge of corrections: move it away")
        region = Region(int(name[1]), int(name[2]), labels.shape[1], labels.shape[0])
        if not region.area or region.intersect(whole) != region:
            raise InputRefusedError(f"{path}: reaches beyond the labels: move it away")
        found.append((path, region, np.array(labels)))
    return found
