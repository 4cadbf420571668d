"""Mapillary Vistas v1.2, its 65 classes merged to the 7 categories of Cityscapes: streets not seen before."""

from __future__ import annotations

import json
from pathlib import Path

from wsiseg.class_map import NOT_ANALYSED
from wsiseg.datasets.cityscapes_classes import CATEGORY_OF, SEVEN
from wsiseg.datasets.folders import count_warning, need_all, need_folder, need_root, need_some
from wsiseg.datasets.mapillary_classes import V12
from wsiseg.datasets.pictures import Item, PictureSet, value_table
from wsiseg.errors import InputRefusedError

OFFICIAL_COUNTS = {"training": 18_000, "validation": 2_000}
MAX_JSON_BYTES = 10_000_000
_WHY_NOT_V2 = (
    "v2.0 renames and splits the classes (124 of them), so neither the table of categories nor published "
    "scores hold for it; use the labels of v1.2, which the same download has"
)


def open_mapillary(root: Path, split: str = "validation") -> PictureSet:
    """Open SPLIT/images/*.jpg with SPLIT/v1.2/labels/*.png, or SPLIT/labels where v1.2 stands alone.

    Raises InputRefusedError with the first file that is missing, and for v2.0.
    """
    need_root(root)
    images_in = need_folder(root / split / "images", "expected the official layout of Mapillary Vistas")
    labels_in = root / split / "v1.2" / "labels"
    configs = [root / "config_v1.2.json", root / "config.json"]
    if not labels_in.is_dir():
        if (root / split / "v2.0").is_dir() and not (root / split / "labels").is_dir():
            raise InputRefusedError(f"{root / split}: has the labels of v2.0 only: {_WHY_NOT_V2}")
        labels_in = need_folder(root / split / "labels", f"expected it, or {split}/v1.2/labels beside it")
        if (root / "config_v2.0.json").is_file() and not configs[0].is_file():
            configs.append(root / "config_v2.0.json")
    for config in configs:
        if config.is_file():
            _check_classes(config)
    images = sorted(images_in.glob("*.jpg"))
    need_some(len(images), images_in, "*.jpg")
    labels = [labels_in / f"{path.stem}.png" for path in images]
    need_all(labels, "label images")
    have = set(labels)
    alone = [path for path in sorted(labels_in.glob("*.png")) if path not in have]
    need_all([*images, *(images_in / f"{path.stem}.jpg" for path in alone)], "pictures")
    category = {item.name: item.id for item in SEVEN.classes}
    return PictureSet(
        dataset="mapillary",
        split=split,
        items=tuple(Item(path.stem, path, truth) for path, truth in zip(images, labels, strict=True)),
        classes=SEVEN,
        values=value_table(
            {value: category[into] if into else NOT_ANALYSED for value, (_, into) in enumerate(V12)},
            ignored=(),
        ),
        categories={item.name: (item.id,) for item in SEVEN.classes},
        merged=CATEGORY_OF,
        official_count=OFFICIAL_COUNTS.get(split),
        warnings=count_warning(len(images), OFFICIAL_COUNTS.get(split), f"Mapillary Vistas {split}"),
    )


def _check_classes(path: Path) -> None:
    """Raise InputRefusedError where the data set's own list of classes is not that of v1.2."""
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ValueError("too large")
        content = json.loads(path.read_text(encoding="utf-8"))
        names = [str(item["name"]) for item in content["labels"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputRefusedError(
            f"{path}: is no class list of Mapillary Vistas ({type(error).__name__}); complete the copy"
        ) from error
    version = str(content.get("version", ""))[:20]
    if version.startswith("2") or len(names) > len(V12):
        raise InputRefusedError(
            f"{path}: lists {len(names)} classes, version {version or '2.0'}: {_WHY_NOT_V2}"
        )
    expected = [name for name, _ in V12]
    if names != expected:
        place = next(
            (i for i, pair in enumerate(zip(names, expected, strict=False)) if pair[0] != pair[1]), len(names)
        )
        found = names[place][:80] if place < len(names) else "missing"
        raise InputRefusedError(
            f"{path}: class {place} is {found!r}: expected {expected[place]!r} as in v1.2"
        )
