"""The classes of PASCAL VOC 2012 in the order of their ids, and the colour map of its label images."""

from __future__ import annotations

from wsiseg.class_map import ClassMap, LabelClass

_NAMES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)


def voc_colour(value: int) -> tuple[int, int, int]:
    """Return the RGB of a label value, 0 to 255: its bits dealt to red, green, blue from the top down.

    As the development kit of the challenge defines it.
    """
    colour = [0, 0, 0]
    for bit in range(8):
        colour[bit % 3] |= (value >> bit & 1) << (7 - bit // 3)
    return colour[0], colour[1], colour[2]


VOC = ClassMap(
    classes=tuple(
        LabelClass(id=value, name=name, colour=voc_colour(value), background=name == "background")
        for value, name in enumerate(_NAMES)
    )
)
"""Background is a class like the others: it is predicted and scored."""
