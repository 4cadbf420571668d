"""Pictures and masks side by side with a class map, for data that has no layout of its own."""

from __future__ import annotations

from pathlib import Path

from wsiseg.class_map import read_class_map
from wsiseg.datasets.folders import need_all, need_folder, need_root, need_some
from wsiseg.datasets.pictures import Item, PictureSet, value_table
from wsiseg.errors import InputRefusedError

_ENDINGS = (".png", ".jpg", ".jpeg")


def open_image_folder(
    root: Path, images: str = "images", masks: str = "masks", classes: str = "classes.yaml"
) -> PictureSet:
    """Open IMAGES/NAME.png (or .jpg) with MASKS/NAME.png and a class map, all in `root`.

    254 (unread) and 255 are ignored. Raises InputRefusedError with the first file that is missing, and
    UsageError for a class map that is wrong.
    """
    need_root(root)
    for given in (images, masks, classes):
        # By the words alone: folders that are links are common, and the user's own.
        if Path(given).is_absolute() or ".." in Path(given).parts:
            raise InputRefusedError(f"{given}: leads out of data.root; expected a name inside of it")
    images_in = need_folder(root / images, "expected the pictures there, or another name in data.images")
    masks_in = need_folder(root / masks, "expected the masks there, or another name in data.masks")
    need_all([root / classes], "class maps")
    found = sorted(path for path in images_in.iterdir() if path.suffix.lower() in _ENDINGS)
    need_some(len(found), images_in, "*.png or *.jpg")
    stems = [path.stem for path in found]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1}) if len(set(stems)) < len(stems) else []
    if twice:
        raise InputRefusedError(
            f"{images_in}: {len(twice)} names stand for two pictures, first {twice[0]!r}; keep one of each"
        )
    labels = [masks_in / f"{stem}.png" for stem in stems]
    need_all(labels, "masks")
    alone = sorted(path.name for path in masks_in.glob("*.png") if path.stem not in set(stems))
    class_map = read_class_map(root / classes)
    return PictureSet(
        dataset="image-folder",
        split="all",
        items=tuple(Item(*row) for row in zip(stems, found, labels, strict=True)),
        classes=class_map,
        values=value_table({label: label for label in class_map.ids}, ignored=(254, 255)),
        warnings=(f"{len(alone)} masks have no picture, first {alone[0]}: left out",) if alone else (),
    )
