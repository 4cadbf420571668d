"""Class lists of the public data sets that released weights were trained on."""

from __future__ import annotations

from wsiseg.class_map import ClassMap, LabelClass

# Names, order (trainId) and colours: Cordts et al., CVPR 2016, as published with the data set.
_CITYSCAPES = (
    ("road", (128, 64, 128)),
    ("sidewalk", (244, 35, 232)),
    ("building", (70, 70, 70)),
    ("wall", (102, 102, 156)),
    ("fence", (190, 153, 153)),
    ("pole", (153, 153, 153)),
    ("traffic light", (250, 170, 30)),
    ("traffic sign", (220, 220, 0)),
    ("vegetation", (107, 142, 35)),
    ("terrain", (152, 251, 152)),
    ("sky", (70, 130, 180)),
    ("person", (220, 20, 60)),
    ("rider", (255, 0, 0)),
    ("car", (0, 0, 142)),
    ("truck", (0, 0, 70)),
    ("bus", (0, 60, 100)),
    ("train", (0, 80, 100)),
    ("motorcycle", (0, 0, 230)),
    ("bicycle", (119, 11, 32)),
)

CITYSCAPES_VOID = ClassMap(
    classes=(
        *(LabelClass(id=index, name=name, colour=colour) for index, (name, colour) in enumerate(_CITYSCAPES)),
        LabelClass(id=19, name="void", colour=(0, 0, 0), background=True, predicted=False),
    )
)
"""The 19 classes by trainId, and the void channel that the released networks were trained with."""


def unnamed(count: int) -> ClassMap:
    """Return classes named by channel, in distinct colours: for weights whose order is not documented."""
    return ClassMap(
        classes=tuple(
            LabelClass(id=index, name=f"channel {index}", colour=_bits(index + 1)) for index in range(count)
        )
    )


def _bits(number: int) -> tuple[int, int, int]:
    """Spread the bits of a number over red, green and blue, high bits first, as the VOC colour map does."""
    colour = [0, 0, 0]
    for place in range(8):
        for channel in range(3):
            colour[channel] |= ((number >> channel) & 1) << (7 - place)
        number >>= 3
    return colour[0], colour[1], colour[2]
