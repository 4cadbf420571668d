"""The labels of Cityscapes: ids of the files, the 19 classes that are scored, and their 7 categories.

Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016.
"""

from __future__ import annotations

from wsiseg.class_map import ClassMap, LabelClass
from wsiseg.models.public_classes import CITYSCAPES_VOID

CITYSCAPES = ClassMap(classes=tuple(item for item in CITYSCAPES_VOID.classes if item.predicted))
"""The 19 classes, by trainId."""

LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""Value in `labelIds` files of each trainId, in their order; the server wants these."""

LABEL_ID_COUNT = 34
"""Values of `labelIds` files are 0 to 33; those that are not in LABEL_IDS are void."""

CATEGORIES: dict[str, tuple[int, ...]] = {
    "flat": (0, 1),
    "construction": (2, 3, 4),
    "object": (5, 6, 7),
    "nature": (8, 9),
    "sky": (10,),
    "human": (11, 12),
    "vehicle": (13, 14, 15, 16, 17, 18),
}
"""The trainIds of each category that is scored."""

SEVEN = ClassMap(
    classes=tuple(
        LabelClass(id=index, name=name, colour=CITYSCAPES.by_id(members[0]).colour)
        for index, (name, members) in enumerate(CATEGORIES.items())
    )
)
"""The categories as classes of their own, each in the colour of its first class."""

CATEGORY_OF: dict[str, int] = {
    CITYSCAPES.by_id(label).name: index
    for index, members in enumerate(CATEGORIES.values())
    for label in members
}
"""Name of a class -> id of its category in SEVEN."""
