"""What a window's canvas shows, in pixels of a labels layer; and showing something else there."""

from __future__ import annotations

import math
from typing import Any

from wsiseg.geometry import Region

MARGIN = 1.5
"""After a jump the view is this much larger than what it went to."""
CLOSEST = 4
"""Screen pixels per pixel of the layer, at most, after a jump."""


def seen_region(viewer: Any, um_per_px: tuple[float, float]) -> Region:
    """Return the whole pixels that the canvas shows; `um_per_px` is (x, y) world units per pixel."""
    x, y = um_per_px
    height, width = (side / viewer.scene.camera.zoom for side in viewer.canvas.size)
    _, centre_y, centre_x = viewer.scene.camera.center
    left, top = (centre_x - width / 2) / x, (centre_y - height / 2) / y
    right, bottom = (centre_x + width / 2) / x, (centre_y + height / 2) / y
    return Region(
        math.floor(left),
        math.floor(top),
        math.ceil(right) - math.floor(left),
        math.ceil(bottom) - math.floor(top),
    )


def go_to(viewer: Any, box: Region, um_per_px: tuple[float, float]) -> None:
    """Show a rectangle of a layer's finest pixels, with some of what is around it."""
    x, y = um_per_px
    viewer.scene.camera.center = (0.0, (box.y + box.height / 2) * y, (box.x + box.width / 2) * x)
    rows, columns = viewer.canvas.size
    viewer.scene.camera.zoom = min(
        rows / (box.height * y * MARGIN), columns / (box.width * x * MARGIN), CLOSEST / min(x, y)
    )
