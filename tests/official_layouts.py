"""Tiny data sets in the official folder layouts, generated."""

import json

import numpy as np
from PIL import Image
from street_picture import draw_street

from wsiseg.datasets.mapillary_classes import V12
from wsiseg.datasets.voc_classes import voc_colour


def blocks(seed, values, shape=(48, 64), side=8):
    """Labels (rows, columns) uint8 in square blocks, each of one of the values."""
    random = np.random.default_rng(seed)
    small = random.choice(np.asarray(values, np.uint8), (shape[0] // side, shape[1] // side))
    return np.kron(small, np.ones((side, side), np.uint8))


def picture(seed, shape=(48, 64)):
    return np.random.default_rng(seed + 1000).integers(0, 256, (*shape, 3), np.uint8)


def save(path, array, palette=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    if palette:
        image.putpalette([part for value in range(256) for part in voc_colour(value)])
    image.save(path)
    return path


CITIES = ("aachen_000000_000019", "aachen_000001_000019", "bochum_000000_000313")


def cityscapes(root, split="val", values=range(34), shape=(48, 64), kind="labelIds"):
    for seed, name in enumerate(CITIES):
        city = name.split("_")[0]
        save(root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png", picture(seed, shape))
        if split != "test":
            labels = blocks(seed, list(values), shape)
            save(root / "gtFine" / split / city / f"{name}_gtFine_{kind}.png", labels)
            # What else lies there in a real copy.
            save(root / "gtFine" / split / city / f"{name}_gtFine_color.png", picture(seed, shape))
    return root


def street_truth(width_px=2048, height_px=1024):
    """LabelIds of the parts of `draw_street` that are sure: sky above the vanishing point, road in front."""
    labels = np.zeros((height_px, width_px), np.uint8)
    scale, middle = height_px / 512, width_px // 2
    labels[: int(170 * scale), int(middle - 90 * scale) : int(middle + 90 * scale)] = 23
    labels[int(420 * scale) :, int(middle - 180 * scale) : int(middle + 180 * scale)] = 7
    return labels


def streets(root, count=1):
    """Cityscapes val at its real size, of drawn streets."""
    for seed, name in enumerate(CITIES[:count]):
        city = name.split("_")[0]
        rgb = draw_street(2048, 1024, seed)
        save(root / "leftImg8bit" / "val" / city / f"{name}_leftImg8bit.png", rgb)
        save(root / "gtFine" / "val" / city / f"{name}_gtFine_labelIds.png", street_truth())
    return root


VOC_NAMES = ("2007_000033", "2007_000042", "2008_000008")
VOC_SHAPES = ((48, 64), (48, 64), (64, 40))


def voc(root, split="val"):
    base = root / "VOC2012"
    for seed, (name, shape) in enumerate(zip(VOC_NAMES, VOC_SHAPES, strict=True)):
        save(base / "JPEGImages" / f"{name}.jpg", picture(seed, shape))
        save(base / "SegmentationClass" / f"{name}.png", blocks(seed, [*range(21), 255], shape), palette=True)
    lists = base / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True, exist_ok=True)
    (lists / f"{split}.txt").write_text("".join(f"{name}\n" for name in VOC_NAMES))
    return root


def mapillary(root, folder="v1.2/labels"):
    for seed, name in enumerate(("a-_1", "b", "c")):
        save(root / "validation" / "images" / f"{name}.jpg", picture(seed))
        save(root / "validation" / folder / f"{name}.png", blocks(seed, list(range(66))), palette=True)
    listing = {"version": "1.1", "labels": [{"name": name, "evaluate": True} for name, _ in V12]}
    (root / "config_v1.2.json").write_text(json.dumps(listing))
    return root


CLASSES = """
classes:
  - {id: 0, name: paper, colour: [255, 255, 255], background: true}
  - {id: 3, name: ink, colour: [0, 0, 80]}
  - {id: 7, name: stain, colour: [200, 60, 0]}
"""


def folder(root):
    for seed, name in enumerate(("one.png", "two.jpg", "three.png")):
        save(root / "images" / name, picture(seed))
        save(root / "masks" / f"{name[:-4]}.png", blocks(seed, [0, 3, 7, 255]))
    (root / "classes.yaml").write_text(CLASSES)
    return root
