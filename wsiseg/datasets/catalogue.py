"""The data sets that a config can name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wsiseg.config import CityscapesData, Config, FolderData, MapillaryData, VocData
from wsiseg.datasets.breast_regions import RegionList, open_regions
from wsiseg.datasets.cityscapes import open_cityscapes
from wsiseg.datasets.image_folder import open_image_folder
from wsiseg.datasets.mapillary import open_mapillary
from wsiseg.datasets.pictures import PictureSet
from wsiseg.datasets.slide_list import SlideList, open_slide_list
from wsiseg.datasets.voc import Extra, open_voc
from wsiseg.errors import UsageError, choose


def _cityscapes(data: CityscapesData) -> PictureSet:
    return open_cityscapes(data.root, data.split, data.labels)


def _voc(data: VocData) -> PictureSet:
    extra = [Extra(more.list, more.images, more.labels) for more in data.extra]
    return open_voc(data.root, data.split, extra)


def _mapillary(data: MapillaryData) -> PictureSet:
    return open_mapillary(data.root, data.split)


def _image_folder(data: FolderData) -> PictureSet:
    return open_image_folder(data.root, data.images, data.masks, data.classes)


DATASETS: dict[str, Callable[[Any], PictureSet]] = {
    "cityscapes": _cityscapes,
    "image-folder": _image_folder,
    "mapillary": _mapillary,
    "voc": _voc,
}
"""Name in a config -> what opens it as pictures that are read whole, given that part of the config."""

CASES: dict[str, Callable[[Any], SlideList | RegionList]] = {
    "breast-regions": open_regions,
    "slides": open_slide_list,
}
"""The same of data whose slides or regions are larger than what is read at once."""


def open_dataset(name: str, data: Config) -> PictureSet:
    """Open a data set. Raises UsageError, listing the names, for one that is not there."""
    if name not in DATASETS:
        raise UsageError(choose("data set", name, DATASETS))
    return DATASETS[name](data)
