"""PASCAL VOC 2012: JPEGImages, SegmentationClass, and the lists of ImageSets/Segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from wsiseg.datasets.folders import count_warning, need_all, need_folder, need_root, read_names
from wsiseg.datasets.pictures import Item, PictureSet, value_table
from wsiseg.datasets.voc_classes import VOC
from wsiseg.errors import InputRefusedError

OFFICIAL_COUNTS = {"train": 1464, "val": 1449, "trainval": 2913, "test": 1456}


class Extra(NamedTuple):
    """Further pictures (SBD, COCO): NAME.jpg and NAME.png for the names of a list, in VOC's ids."""

    names: Path
    images: Path
    labels: Path


def open_voc(root: Path, split: str = "val", extra: Sequence[Extra] = ()) -> PictureSet:
    """Open the pictures of a list, and those of further lists after them; the border (255) is ignored.

    A picture that an extra list repeats is taken once. The test list comes without truth. Raises
    InputRefusedError with the first file that is missing.
    """
    need_root(root)
    base = root / "VOC2012" if (root / "VOC2012").is_dir() else root
    images_in = need_folder(base / "JPEGImages", "expected the official layout of PASCAL VOC 2012")
    names = read_names(base / "ImageSets" / "Segmentation" / f"{split}.txt")
    with_truth = split != "test"
    labels_in = base / "SegmentationClass"
    if with_truth:
        need_folder(labels_in, "expected the official layout of PASCAL VOC 2012")
    items = [
        Item(name, images_in / f"{name}.jpg", labels_in / f"{name}.png" if with_truth else None)
        for name in names
    ]
    official = OFFICIAL_COUNTS.get(split)
    warnings = count_warning(len(items), official, f"PASCAL VOC 2012 {split}")
    if extra and not with_truth:
        raise InputRefusedError("data.extra: the split test takes no further pictures; leave it out")
    seen = set(names)
    for more in extra:
        new = [name for name in read_names(more.names) if name not in seen]
        seen.update(new)
        items += [Item(name, more.images / f"{name}.jpg", more.labels / f"{name}.png") for name in new]
    need_all([item.image for item in items], "pictures")
    need_all([item.labels for item in items if item.labels is not None], "label images")
    return PictureSet(
        dataset="voc",
        split=split,
        items=tuple(items),
        classes=VOC,
        values=value_table({label: label for label in VOC.ids}),
        official_count=None if extra else official,
        warnings=warnings,
    )
