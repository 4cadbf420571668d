"""The kinds of data sets that a config can name, told apart by `dataset`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from wsiseg.config.base import Config, Location, Name


class CityscapesData(Config):
    """Cityscapes as it is downloaded: leftImg8bit and gtFine."""

    dataset: Literal["cityscapes"]
    root: Location
    """Folder that holds leftImg8bit and gtFine."""
    split: Literal["train", "val", "test"] = "val"
    """The labels of `test` are not published: it serves to write a submission."""
    labels: Literal["labelIds", "labelTrainIds"] = "labelIds"
    """Which label images are read; the former come with the download."""


class ExtraList(Config):
    """More pictures for PASCAL VOC (SBD, COCO), by a list."""

    list: Location
    """Text file, one picture name without its ending per line."""
    images: Location
    """Folder of NAME.jpg."""
    labels: Location
    """Folder of NAME.png, holding VOC's ids."""


class VocData(Config):
    """PASCAL VOC 2012 as it is downloaded."""

    dataset: Literal["voc"]
    root: Location
    """VOCdevkit, or the folder VOC2012 in it."""
    split: Literal["train", "val", "trainval", "test"] = "val"
    """A list of ImageSets/Segmentation; the labels of `test` are not published."""
    extra: tuple[ExtraList, ...] = ()
    """Lists of further pictures that are appended."""


class MapillaryData(Config):
    """Mapillary Vistas v1.2 as it is downloaded, its 65 classes merged to the 7 categories of Cityscapes."""

    dataset: Literal["mapillary"]
    root: Location
    """Folder that holds training and validation."""
    split: Literal["training", "validation"] = "validation"
    """Which of the two is read."""


class FolderData(Config):
    """Pictures and masks side by side, for anything else."""

    dataset: Literal["image-folder"]
    root: Location
    """Folder that holds the following."""
    images: Name = "images"
    """Folder of the pictures in `root`: PNG or JPEG."""
    masks: Name = "masks"
    """Folder of the masks in `root`: PNG of label ids, under the pictures' names."""
    classes: Name = "classes.yaml"
    """Class map in `root`."""


class SlidesData(Config):
    """Slides with annotations, by a list, or paired by name in two folders."""

    dataset: Literal["slides"]
    root: Location
    """Folder that the following, and the paths in the list, start from."""
    list: Name | None = "slides.csv"
    """CSV with the columns `slide`, `annotation` and, as needed, `patient`, `slide_mpp`, `split`; null: every
    slide in `slides_in` with the annotation of its name in `annotations_in`."""
    slides_in: Name = "slides"
    """Without a list: folder of the slides."""
    annotations_in: Name = "annotations"
    """Without a list: folder of the annotations."""
    split: Name | None = None
    """Only the rows of the list whose `split` is this; with `validation_share`, train or val; None: all."""
    validation_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """In the place of a column `split`: so large a part of the patients is val, the others are train."""
    split_seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Another seed, other patients in val."""
    classes: Name | None = "classes.yaml"
    """Class map; None: the eight breast tissue types."""
    rename: dict[str, str | None] = Field(default={})
    """Annotation name: class name, besides the class map's `annotation_names`; null: left out."""
    overlap: Literal["later", "smaller"] = "later"
    """Which of two areas that overlap is kept: the later in the file, or the smaller."""
    ignore: tuple[str, ...] = ()
    """Annotation names that are left out, besides the class map's own."""

    @model_validator(mode="after")
    def _split_fits(self) -> Self:
        if self.validation_share is not None and self.split not in (None, "train", "val"):
            raise ValueError(f"with validation_share, split is train or val, not {self.split}")
        return self


class RegionsData(Config):
    """Regions of slides as pairs of PNGs, by a list, as the breast biopsy data are published."""

    dataset: Literal["breast-regions"]
    root: Location
    """Folder that the following, and the paths in the list, start from."""
    list: Name = "regions.txt"
    """Text file, one `rgb.png, label.png` per line; a diagnosis (1, 2 ...) may follow, for Y-Net."""
    classes: Name | None = None
    """Class map; None: the eight breast tissue types."""
    scale: Annotated[float, Field(ge=1, le=64, allow_inf_nan=False)] = 1.0
    """The network sees the regions so many times smaller; logits are up-sampled to full size."""
    patient_until: Annotated[str, Field(min_length=1, max_length=10)] | None = None
    """What stands before this in a picture's name is the patient; None: each region is one of its own."""


Data = Annotated[
    CityscapesData | VocData | MapillaryData | FolderData | SlidesData | RegionsData,
    Field(discriminator="dataset"),
]
