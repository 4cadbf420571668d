"""Result stores as a run leaves them, for tests that only read."""

import numpy as np

from wsiseg.class_map import TISSUE8
from wsiseg.geometry import Region
from wsiseg.pyramid.levels import halve_labels
from wsiseg.pyramid.store import StoreLayout, create_store

RUN = {
    "slide": {
        "name": "s.svs",
        "fingerprint": "abc",
        "mpp": [0.25, 0.25],
        "width_px": 4800,
        "height_px": 3600,
    },
    "model": {"name": "m", "weights_sha256": "0" * 64},
    "label_mpp": [1.0, 1.0],
}
PHOTO = {**RUN, "slide": {**RUN["slide"], "mpp": None}, "label_mpp": None}


def layout_for(shape, version="0.5", block_px=512, unit="micrometer"):
    return StoreLayout(
        version=version,
        name="s.svs",
        unit=unit,
        label_shape=shape,
        label_pixel=(1.0, 1.0),
        image_shape=(10, 10),
        image_pixel=(100.0, 100.0),
        block_px=block_px,
    )


def make_store(path, labels, version="0.5", run=RUN, classes=TISSUE8):
    """A store as a run leaves it, its blocks cut so that shapes cross them."""
    layout = layout_for(labels.shape, version, unit=None if run["slide"]["mpp"] is None else "micrometer")
    own = {"run": run, "classes": [item.model_dump(mode="json") for item in classes.classes]}
    store = create_store(path, layout, classes, own, np.ones((2, 2), bool), 512)
    for level, (rows, columns) in enumerate(layout.label_levels):
        for row in range(-(-rows // 512)):
            for column in range(-(-columns // 512)):
                at = layout.cell("label", level, row, column)
                part = labels[at.slices_in(Region(0, 0, 0, 0))]
                store.write("label", level, row, column, np.ascontiguousarray(part))
        labels = halve_labels(labels)
    return path


def large_sparse_store(path, side=14_000):
    """A label map of 196 megapixels, of which one block of each level is written: the rest reads as 255."""
    layout = layout_for((side, side), block_px=2048)
    own = {"run": RUN, "classes": [item.model_dump(mode="json") for item in TISSUE8.classes]}
    store = create_store(path, layout, TISSUE8, own, np.ones((2, 2), bool), 512)
    labels = np.random.default_rng(1).integers(0, 8, (32, 32), dtype=np.uint8).repeat(64, 0).repeat(64, 1)
    for level in range(len(layout.label_levels)):
        at = layout.cell("label", level, 0, 0)
        store.write("label", level, 0, 0, np.ascontiguousarray(labels[: at.height, : at.width]))
    return path


def labels_for_tests():
    """Squares of 50 px in (900, 1200), with unread, not analysed and one tiny area."""
    random = np.random.default_rng(4)
    labels = random.integers(0, 6, (18, 24), dtype=np.uint8).repeat(50, 0).repeat(50, 1)
    labels[100:140, 100:150] = 254
    labels[600:, 800:] = 255
    labels[300:303, 300:302] = 7
    return labels
