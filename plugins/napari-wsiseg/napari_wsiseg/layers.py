"""Slides and labels as napari layers, in micrometres from the slide's top left corner.

napari puts a layer's translation at the centre of its first pixel, which begins half a pixel before that. So
each layer is moved by half of its own pixel, and edges fall on edges at every zoom.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # noqa: F401 (napari would, with the first labels: for up to two seconds nothing would move)
from napari.utils.colormaps import DirectLabelColormap

from napari_wsiseg.tiles import TiledLevels
from wsiseg.class_map import NOT_ANALYSED, RESERVED_NAMES, ClassMap
from wsiseg.confidence import HIGHEST, LOWEST
from wsiseg.exports.label_store import LabelStore
from wsiseg.slides.slide import Slide
from wsiseg.viewing.levels import ConfidenceLevels, Levels, SlideLevels, StoreLevels

KEY = "wsiseg"
"""Of a layer's metadata: what this plug-in knows of it."""
OPACITY = 0.5

LayerData = tuple[list[Any], dict[str, Any], str]


@dataclass(eq=False)
class SlideShown:
    """What is behind a slide layer."""

    slide: Slide
    tiles: TiledLevels
    redrawer: Any = None
    """What draws the layer anew in its window."""

    @property
    def um_per_px(self) -> tuple[float, float]:
        """(x, y) world units per level-0 pixel: um, or pixels where the file says no size."""
        return self.slide.mpp or (1.0, 1.0)

    def close(self) -> None:
        """Stop reading and close the file."""
        self.tiles.close()
        self.slide.close()


@dataclass(eq=False)
class ConfidenceShown:
    """What is behind a layer of confidences."""

    tiles: TiledLevels
    redrawer: Any = None
    """What draws the layer anew in its window."""

    def close(self) -> None:
        """Stop reading."""
        self.tiles.close()


@dataclass(eq=False)
class LabelsShown:
    """What is behind a labels layer."""

    tiles: TiledLevels
    classes: ClassMap
    um_per_px: tuple[float, float]
    """(x, y) world units per label pixel."""
    factor_l0: tuple[float, float]
    """(x, y) level-0 pixels of the slide per label pixel."""
    store: LabelStore | None = None
    """None while it is being made."""
    rows: list[dict[str, Any]] | None = None
    """Area and share of each class, as in the summary; None where nobody counted them yet."""
    redrawer: Any = None
    """What draws the layer anew in its window."""

    @property
    def levels(self) -> Levels:
        """The pyramid."""
        return self.tiles.levels

    def close(self) -> None:
        """Stop reading."""
        self.tiles.close()


def slide_layer(slide: Slide) -> LayerData:
    """Return a slide as a multiscale RGB layer."""
    levels = SlideLevels(slide)
    tiles = TiledLevels(levels, is_base_cheap=levels.is_cheap(len(levels.shapes) - 1))
    shown = SlideShown(slide, tiles)
    return (
        tiles.arrays,
        {
            "name": slide.name,
            "rgb": True,
            "multiscale": True,
            "metadata": {KEY: shown},
            **placed(shown.um_per_px, in_um=slide.mpp is not None),
        },
        "image",
    )


def store_layer(store: LabelStore, rows: list[dict[str, Any]] | None = None) -> LayerData:
    """Return a finished result as a labels layer."""
    name = store.path.name.removesuffix(".wsiseg.ome.zarr")
    shown = LabelsShown(
        TiledLevels(StoreLevels(store)),
        store.classes,
        store.mpp or (1.0, 1.0),
        store.factor_l0,
        store,
        rows,
    )
    return labels_layer(shown, f"tissue of {name}", in_um=store.mpp is not None)


def confidence_layer(store: LabelStore) -> LayerData:
    """Return the confidences of a finished result as an image layer that is hidden at first; 255 is sure."""
    levels = ConfidenceLevels(store)
    shown = ConfidenceShown(TiledLevels(levels, unread=levels.unread))
    name = store.path.name.removesuffix(".wsiseg.ome.zarr")
    return (
        shown.tiles.arrays,
        {
            "name": f"confidence of {name}" + ("" if store.is_calibrated else " (not calibrated)"),
            "multiscale": True,
            "visible": False,
            "opacity": OPACITY,
            "colormap": "viridis",
            "contrast_limits": (LOWEST, HIGHEST),
            "metadata": {KEY: shown},
            **placed(store.mpp or (1.0, 1.0), in_um=store.mpp is not None),
        },
        "image",
    )


def labels_layer(shown: LabelsShown, name: str, *, in_um: bool) -> LayerData:
    """Return labels as a layer with the names and colours of their classes."""
    names = {item.id: item.name for item in shown.classes.classes} | RESERVED_NAMES
    return (
        shown.tiles.arrays,
        {
            "name": name,
            "multiscale": True,
            "opacity": OPACITY,
            "colormap": colormap(shown.classes),
            "features": {"index": list(names), "class": list(names.values())},
            "metadata": {KEY: shown},
            **placed(shown.um_per_px, in_um=in_um),
        },
        "labels",
    )


def placed(um_per_px: tuple[float, float], *, in_um: bool) -> dict[str, Any]:
    """Return scale and translation of a layer whose first pixel begins in the slide's top left corner."""
    x, y = um_per_px
    return {
        "scale": (y, x),
        "translate": (y / 2, x / 2),
        "units": ("um", "um") if in_um else ("pixel", "pixel"),
    }


def colormap(classes: ClassMap, opacity: dict[int, float] | None = None) -> DirectLabelColormap:
    """Return the colours of all label values; `opacity` (0 to 1) by class id, 1 where none is given."""
    given = opacity or {}
    colours: dict[int | None, Any] = {
        label: np.array([*rgba[:3], rgba[3] * given.get(label, 1.0)]) / 255
        for label, rgba in classes.colour_table()
    }
    colours[None] = colours[NOT_ANALYSED] = np.zeros(4)
    return DirectLabelColormap(color_dict=colours)


def shown_by(layer: Any) -> Any:
    """Return what is behind a layer of this plug-in, None for another layer."""
    return getattr(layer, "metadata", {}).get(KEY)


def slide_layers(viewer: Any) -> list[Any]:
    """Return the slide layers of a window, the uppermost last."""
    return [layer for layer in viewer.layers if isinstance(shown_by(layer), SlideShown)]


def label_layers(viewer: Any) -> list[Any]:
    """Return the labels layers of a window, the uppermost last."""
    return [layer for layer in viewer.layers if isinstance(shown_by(layer), LabelsShown)]


def summary_rows(store: Path) -> list[dict[str, Any]] | None:
    """Return the classes of the summary beside a store, None where there is none that fits."""
    from wsiseg.run.output import read_summary

    summary = read_summary(store.with_name(store.name.removesuffix(".wsiseg.ome.zarr") + ".summary.json"))
    rows = None if summary is None else summary.get("classes")
    if summary is None or summary.get("store") != store.name or not isinstance(rows, list):
        return None
    return [row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), int)]
