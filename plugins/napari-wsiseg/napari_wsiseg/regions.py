"""Drawn shapes: from a layer in micrometres to outlines in level-0 pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_wsiseg.layers import SlideShown, shown_by
from wsiseg.annotations.annotation import Ring
from wsiseg.errors import UsageError
from wsiseg.viewing.outlined import ring_of

REGION_LAYER = "region to segment"
ELLIPSE_POINTS = 64


def add_region_layer(viewer: Any, slide_layer: Any) -> Any:
    """Return the layer to draw a region into, made where there is none, its rectangle tool in hand."""
    for layer in viewer.layers:
        if layer.name == REGION_LAYER:
            break
    else:
        layer = viewer.add_shapes(
            name=REGION_LAYER,
            edge_color="yellow",
            face_color="transparent",
            edge_width=2 * max(shown_by(slide_layer).um_per_px),
            units=slide_layer.units,
            ndim=2,
        )
    viewer.layers.selection.active = layer
    layer.mode = "add_rectangle"
    return layer


def drawn_outline(viewer: Any, slide_layer: Any) -> Ring:
    """Return the selected shape, or the last, in level-0 pixels. Raises UsageError where there is none."""
    layers = [layer for layer in viewer.layers if layer.name == REGION_LAYER]
    if not layers or not len(layers[0].data):
        raise UsageError("no region is drawn: press Draw, then drag a rectangle or click a polygon")
    layer = layers[0]
    number = min(layer.selected_data, default=len(layer.data) - 1)
    kind = layer.shape_type[number]
    if kind not in ("rectangle", "polygon", "ellipse"):
        raise UsageError(f"the drawn region is a {kind}: draw a rectangle, an ellipse or a polygon")
    corners = np.asarray(layer.data[number])
    world = np.array([layer.data_to_world(corner) for corner in corners])[:, -2:]
    if kind == "ellipse":
        world = _ellipse(world)
    shown: SlideShown = shown_by(slide_layer)
    return ring_of([(x, y) for y, x in world / np.array(shown.um_per_px[::-1])])


def _ellipse(corners: np.ndarray) -> np.ndarray:
    """Return points of the ellipse in a parallelogram of 4 corners, (points, 2)."""
    centre = corners.mean(0)
    one, other = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angle = np.linspace(0, 2 * np.pi, ELLIPSE_POINTS, endpoint=False)[:, None]
    points: np.ndarray = centre + np.cos(angle) * one + np.sin(angle) * other
    return points
