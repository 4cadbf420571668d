"""On the screen, labels lie on the slide to the pixel, at every level."""

import json

import numpy as np
import pytest

from napari_wsiseg.reader import add_layers, read_result, read_slide
from wsiseg.class_map import TISSUE8
from wsiseg.label_import import ImportOptions, import_annotations

SIDE_PX = 64
BLOOD = TISSUE8.by_id(6)


@pytest.fixture(scope="module", params=[0.5, 1.0])
def result(board, tmp_path_factory, request):
    """Labels of the squares, at the slide's um/px and at twice that."""
    path, corners = board
    folder = tmp_path_factory.mktemp("labels")
    features = [
        {
            "type": "Feature",
            "geometry": {
                "type": "Polygon",
                "coordinates": [
                    [[x, y], [x + SIDE_PX, y], [x + SIDE_PX, y + SIDE_PX], [x, y + SIDE_PX], [x, y]]
                ],
            },
            "properties": {"objectType": "annotation", "classification": {"name": BLOOD.name}},
        }
        for y, x in corners
    ]
    annotation = folder / "squares.geojson"
    annotation.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return import_annotations(annotation, path, folder, ImportOptions(mpp=request.param)).store


def picture(viewer, settle):
    settle()
    return viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)


@pytest.mark.parametrize(
    ("zoom", "centre"),
    [(0.3, (500, 750)), (0.6, (420.3, 633.1)), (1.1, (333.3, 777.7)), (3.7, (512.3, 811.9))],
)
def test_edges_on_the_screen(viewer, settle, board, result, zoom, centre):
    """Squares of the slide and of the labels cover the same screen pixels, and those they should."""
    slide, labels = add_layers(viewer, [*read_slide(str(board[0])), *read_result(str(result))])
    slide.interpolation2d = "nearest"
    labels.opacity = 1.0
    viewer.canvas.overlays.scale_bar.visible = False
    viewer.scene.camera.zoom = zoom
    viewer.scene.camera.center = (0.0, *centre)
    labels.visible = False
    on_slide = picture(viewer, settle).max(-1) < 128
    labels.visible, slide.visible = True, False
    on_labels = np.abs(picture(viewer, settle) - BLOOD.colour).max(-1) < 60
    assert on_slide.any()
    rows, columns = on_slide.shape
    # Where each screen pixel's centre lies, in level-0 pixels of 0.5 um.
    y = (np.arange(rows) + 0.5 - rows / 2) / zoom + centre[0]
    x = (np.arange(columns) + 0.5 - columns / 2) / zoom + centre[1]
    squares = np.zeros((2003 // SIDE_PX + 1, 3001 // SIDE_PX + 1), bool)
    for row, column in board[1]:
        squares[row // SIDE_PX, column // SIDE_PX] = True
    cell_y = np.clip(y / 0.5 / SIDE_PX, 0, len(squares) - 1).astype(int)
    cell_x = np.clip(x / 0.5 / SIDE_PX, 0, squares.shape[1] - 1).astype(int)
    wanted = squares[cell_y[:, None], cell_x]
    # On the very edge a screen pixel may fall to either side: half a screen pixel is not looked at.
    near = 0.51 / zoom / 0.5 / SIDE_PX
    sure_y = np.abs((y / 0.5 / SIDE_PX + 0.5) % 1 - 0.5) > near
    sure_x = np.abs((x / 0.5 / SIDE_PX + 0.5) % 1 - 0.5) > near
    sure_y &= (y > 1) & (y < 2003 * 0.5 - 1)  # around the slide the window is as black as its squares
    sure_x &= (x > 1) & (x < 3001 * 0.5 - 1)
    sure = sure_y[:, None] & sure_x[None, :]
    assert sure.mean() > 0.2
    assert (on_slide[sure] == wanted[sure]).all()
    assert (on_labels[sure] == wanted[sure]).all()


def test_the_levels_of_the_zooms_differ(viewer, settle, board, result):
    (slide,) = add_layers(viewer, read_slide(str(board[0])))
    levels = set()
    for zoom in (0.3, 0.6, 1.1, 3.7):
        viewer.scene.camera.zoom = zoom
        viewer.scene.camera.center = (0.0, 500, 750)
        picture(viewer, settle)
        levels.add(slide.data_level)
    assert len(levels) >= 3
