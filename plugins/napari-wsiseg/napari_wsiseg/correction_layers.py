"""The layers of corrections: what is painted on, and what is saved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from napari.utils.colormaps import DirectLabelColormap

from napari_wsiseg.layers import KEY, LabelsShown, colormap, placed, shown_by
from napari_wsiseg.tiles import TiledLevels
from wsiseg.class_map import NOT_ANALYSED, RESERVED_NAMES, ClassMap
from wsiseg.corrections.store import Corrections
from wsiseg.errors import UsageError
from wsiseg.exports.label_store import LabelStore
from wsiseg.geometry import Region
from wsiseg.viewing.levels import Pixels, StoreLevels

OPACITY = 0.6
"""Above that of the labels under them, so that the colours are told apart."""
CROP_LAYER = "paint corrections here"


@dataclass(eq=False)
class CorrectionsShown:
    """What is behind a layer of saved corrections."""

    tiles: TiledLevels
    store: LabelStore
    result: Path
    redrawer: Any = None
    """What draws the layer anew in its window."""

    def close(self) -> None:
        """Stop reading."""
        self.tiles.close()


@dataclass(eq=False)
class Crop:
    """What is painted on."""

    corrections: Corrections
    result_layer: Any
    region: Region
    """Of the labels' level 0."""
    pixels: Pixels
    """The layer's array: napari paints into it."""
    saved: Pixels
    """What of it is on the disk."""
    layer: Any = None
    """None where somebody removed it."""

    @property
    def is_dirty(self) -> bool:
        """Whether something painted is not saved."""
        return not np.array_equal(self.pixels, self.saved)


def can_be_corrected(shown: Any) -> bool:
    """Return whether a layer is of labels that are finished and are no corrections themselves."""
    return isinstance(shown, LabelsShown) and shown.store is not None and "corrections" not in shown.store.run


def store_of(shown: LabelsShown) -> LabelStore:
    """Return the store behind a labels layer. Raises UsageError while it is being made."""
    if shown.store is None:
        raise UsageError("the result is not finished: wait for its run")
    return shown.store


def _named(classes: ClassMap) -> dict[str, Any]:
    """Return colours and names of corrections: napari's eraser has to leave 255, not class 0."""
    names = {item.id: item.name for item in classes.classes} | {
        **RESERVED_NAMES,
        NOT_ANALYSED: "not corrected",
    }
    colours = DirectLabelColormap(color_dict=colormap(classes).color_dict, background_value=NOT_ANALYSED)
    return {
        "colormap": colours,
        "features": {"index": list(names), "class": list(names.values())},
    }


def show_crop(viewer: Any, crop: Crop, label: int | None) -> None:
    """Add a crop's layer, or add it anew, brush in hand; `label` is the class to paint with, if it is one."""
    old, crop.layer = crop.layer, None
    if old is not None and old in viewer.layers:
        viewer.layers.remove(old)
    shown: LabelsShown = shown_by(crop.result_layer)
    x, y = shown.um_per_px
    options = placed(shown.um_per_px, in_um=str(crop.result_layer.units[0]) != "pixel")
    options["translate"] = ((crop.region.y + 0.5) * y, (crop.region.x + 0.5) * x)
    layer = viewer.add_labels(
        crop.pixels, name=CROP_LAYER, opacity=OPACITY, **_named(shown.classes), **options
    )
    layer.bounding_box.visible = True
    layer.mode = "paint"
    ids = [item.id for item in shown.classes.classes if not item.background] or shown.classes.ids
    layer.selected_label = label if label in shown.classes.ids else ids[0]
    crop.layer = layer


def add_saved(viewer: Any, store: LabelStore, result_layer: Any) -> None:
    """Add saved corrections right over their result; what was active stays so."""
    of: LabelsShown = shown_by(result_layer)
    shown = CorrectionsShown(TiledLevels(StoreLevels(store)), store, store_of(of).path)
    active = viewer.layers.selection.active
    layer = viewer.add_labels(
        shown.tiles.arrays,
        multiscale=True,
        name=store.path.name.removesuffix(".wsiseg.ome.zarr"),
        opacity=OPACITY,
        metadata={KEY: shown},
        **_named(of.classes),
        **placed(of.um_per_px, in_um=str(result_layer.units[0]) != "pixel"),
    )
    viewer.layers.move(viewer.layers.index(layer), viewer.layers.index(result_layer) + 1)
    if active is not None:
        viewer.layers.selection.active = active


def saved_layers(viewer: Any, result: Path) -> list[Any]:
    """Return the layers that show the saved corrections of a result."""
    known = [(layer, shown_by(layer)) for layer in viewer.layers]
    return [layer for layer, shown in known if isinstance(shown, CorrectionsShown) and shown.result == result]
