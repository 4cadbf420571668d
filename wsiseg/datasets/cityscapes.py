"""Cityscapes: leftImg8bit/SPLIT/CITY/*_leftImg8bit.png with gtFine/SPLIT/CITY/*_gtFine_labelIds.png."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from wsiseg.class_map import NOT_ANALYSED
from wsiseg.datasets.cityscapes_classes import CATEGORIES, CITYSCAPES, LABEL_ID_COUNT, LABEL_IDS
from wsiseg.datasets.folders import count_warning, need_all, need_folder, need_root, need_some
from wsiseg.datasets.pictures import Item, PictureSet, Values, value_table
from wsiseg.errors import InputRefusedError

OFFICIAL_COUNTS = {"train": 2975, "val": 500, "test": 1525}
_IMAGE_END = "_leftImg8bit.png"

LABEL_ID_VALUES: Values = value_table(
    dict.fromkeys(range(LABEL_ID_COUNT), NOT_ANALYSED)
    | {value: label for label, value in enumerate(LABEL_IDS)}
)
"""Void is ignored; so is 255, which is how -1 (licence plates) gets into a file of 8 bits."""
TRAIN_ID_VALUES: Values = value_table({label: label for label in CITYSCAPES.ids})


def open_cityscapes(
    root: Path, split: str = "val", labels: Literal["labelIds", "labelTrainIds"] = "labelIds"
) -> PictureSet:
    """Open one split: 19 classes by trainId, 7 categories, void as 255.

    The test split comes without truth. Raises InputRefusedError with the first file that is missing.
    """
    need_root(root)
    images_in = need_folder(root / "leftImg8bit" / split, "expected the official layout of Cityscapes")
    images = sorted(images_in.glob(f"*/*{_IMAGE_END}"))
    need_some(len(images), images_in, f"CITY/*{_IMAGE_END}")
    names = [path.name.removesuffix(_IMAGE_END) for path in images]
    wanted: list[Path | None] = [None] * len(images)
    if split != "test":
        truth_in = need_folder(root / "gtFine" / split, "expected the official layout of Cityscapes")
        paths = [
            truth_in / path.parent.name / f"{name}_gtFine_{labels}.png"
            for path, name in zip(images, names, strict=True)
        ]
        _offer_the_other(truth_in, labels)
        need_all(paths, "label images")
        end = f"_gtFine_{labels}.png"
        have = set(paths)
        alone = [path for path in sorted(truth_in.glob(f"*/*{end}")) if path not in have]
        need_all(
            [images_in / path.parent.name / path.name.replace(end, _IMAGE_END) for path in [*paths, *alone]],
            "pictures",
        )
        wanted = list(paths)
    return PictureSet(
        dataset="cityscapes",
        split=split,
        items=tuple(Item(*row) for row in zip(names, images, wanted, strict=True)),
        classes=CITYSCAPES,
        values=LABEL_ID_VALUES if labels == "labelIds" else TRAIN_ID_VALUES,
        categories=CATEGORIES,
        official_count=OFFICIAL_COUNTS.get(split),
        warnings=count_warning(len(images), OFFICIAL_COUNTS.get(split), f"Cityscapes {split}"),
    )


def _offer_the_other(truth_in: Path, labels: str) -> None:
    other = "labelTrainIds" if labels == "labelIds" else "labelIds"
    none_here = next(truth_in.glob(f"*/*_gtFine_{labels}.png"), None) is None
    if none_here and next(truth_in.glob(f"*/*_gtFine_{other}.png"), None) is not None:
        raise InputRefusedError(
            f"{truth_in}: holds no *_gtFine_{labels}.png, but {other}; use --set data.labels={other}"
        )
