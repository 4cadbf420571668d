"""Real windows: under Xvfb where there is no screen. Waits end with what is waited for, never with a time."""

import os
import tempfile
from pathlib import Path

# Before napari is imported: neither the settings of whoever runs the tests, nor traces in them.
os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp(prefix="napari-wsiseg-")) / "settings.yaml")

import napari
import numpy as np
import pytest
import tifffile

from napari_wsiseg.layers import shown_by
from napari_wsiseg.window import attach
from wsiseg.phantom.slide_file import write_phantom_slide

LIMIT_MS = 120_000
"""After this a test fails: far beyond anything that is waited for."""
SIDE_PX = 64
"""Of the squares on the board; a multiple of the coarsest level's pixel in the tests."""


@pytest.fixture
def viewer(qtbot):
    window = napari.Viewer(show=True)
    attach(window)
    yield window
    window.close()


@pytest.fixture
def settle(qtbot, viewer):
    """Draw until a drawing asks for nothing more: level chosen, tiles read, layers redrawn."""

    def is_complete():
        shown = [shown_by(layer) for layer in viewer.layers if layer.visible and shown_by(layer) is not None]
        return all(item.tiles.is_idle and not item.redrawer.is_waiting for item in shown)

    def wait():
        viewer.screenshot(canvas_only=True, flash=False)
        while not is_complete():
            qtbot.waitUntil(is_complete, timeout=LIMIT_MS)
            viewer.screenshot(canvas_only=True, flash=False)

    return wait


@pytest.fixture(scope="session")
def board(tmp_path_factory):
    """A slide with black squares on white, its sizes awkward for every level; and where the squares are."""
    path = tmp_path_factory.mktemp("board") / "board.tif"
    rows, columns = 2003, 3001
    rgb = np.full((rows, columns, 3), 255, np.uint8)
    random = np.random.default_rng(7)
    corners = [
        (int(y) * SIDE_PX, int(x) * SIDE_PX)
        for y in range(rows // SIDE_PX)
        for x in range(columns // SIDE_PX)
        if random.random() < 0.3
    ]
    for y, x in corners:
        rgb[y : y + SIDE_PX, x : x + SIDE_PX] = 0
    quarter = rgb[: rows // 4 * 4, : columns // 4 * 4].reshape(rows // 4, 4, columns // 4, 4, 3).mean((1, 3))
    with tifffile.TiffWriter(path) as tiff:
        for number, pixels in enumerate((rgb, quarter.round().astype(np.uint8))):
            tiff.write(
                pixels,
                tile=(256, 256),
                photometric="rgb",
                compression="zlib",
                subfiletype=1 if number else 0,
                resolution=(20000 / 4**number, 20000 / 4**number),
                resolutionunit=3,
            )
    return path, corners


@pytest.fixture(scope="session")
def phantom(tmp_path_factory):
    """A generated slide that the bundled model cuts into several tiles."""
    path = tmp_path_factory.mktemp("phantom") / "phantom.tiff"
    write_phantom_slide(path, seed=4, width_px=3000, height_px=2200, mpp=0.5)
    return path
