"""File > Open Sample: a slide that a program drew, of no patient."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from napari_wsiseg.layers import LayerData
from napari_wsiseg.reader import read_slide
from wsiseg.phantom.slide_file import write_phantom_slide

NAME = "phantom.tiff"
SEED, WIDTH_PX, HEIGHT_PX, MPP = 1, 3000, 2200, 0.5


def demo_slide() -> list[LayerData]:
    """Draw the slide, once in a session, and open it."""
    path = Path(_folder().name) / NAME
    if not path.exists():
        write_phantom_slide(path, seed=SEED, width_px=WIDTH_PX, height_px=HEIGHT_PX, mpp=MPP)
    return read_slide(str(path))


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder that goes when napari does."""
    return tempfile.TemporaryDirectory(prefix="wsiseg-demo-", ignore_cleanup_errors=True)
