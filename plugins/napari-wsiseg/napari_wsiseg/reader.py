"""What is dropped onto the window: slides and results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari

from napari_wsiseg.layers import LayerData, confidence_layer, slide_layer, store_layer, summary_rows
from napari_wsiseg.window import attach
from wsiseg.exports.label_store import open_label_store
from wsiseg.slides import open_slide

RESULT_SUFFIX = ".wsiseg.ome.zarr"
SLIDE_SUFFIXES = (
    ".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".tif", ".tiff", ".dcm", ".zarr",
)  # fmt: skip


def get_reader(path: str | list[str]) -> Callable[[str], list[LayerData]] | None:
    """Return what reads a path, None for what is neither slide nor result."""
    if not isinstance(path, str):
        return None
    place = Path(path)
    if place.name.endswith(RESULT_SUFFIX):
        return read_result
    if place.is_dir() and place.suffix != ".zarr":
        return read_slide if any(place.glob("*.dcm")) or any(_dicom_files(place)) else None
    return read_slide if place.suffix.lower() in SLIDE_SUFFIXES else None


def read_slide(path: str) -> list[LayerData]:
    """Open a slide. Raises WsisegError, in one line, for what is none."""
    viewer = napari.current_viewer()
    if viewer is not None:
        attach(viewer)
    slide = open_slide(path)
    if slide.mpp is None:
        _say(f"{slide.name}: the file does not say its um/px: it is shown in pixels")
    for warning in slide.warnings:
        _say(f"{slide.name}: {warning}")
    return [slide_layer(slide)]


def read_result(path: str) -> list[LayerData]:
    """Open a result; it lies on its slide, once that is opened too. Its confidences are hidden at first."""
    viewer = napari.current_viewer()
    if viewer is not None:
        attach(viewer)
    place = Path(path)
    store = open_label_store(place)
    confidences = [confidence_layer(store)] if store.confidence else []
    return [*confidences, store_layer(store, summary_rows(place))]


def _dicom_files(folder: Path) -> list[Path]:
    from wsiseg.slides.names import is_dicom

    first = next((item for item in sorted(folder.iterdir()) if item.is_file()), None)
    return [first] if first is not None and is_dicom(first) else []


def _say(text: str) -> None:
    from napari.utils.notifications import show_warning

    show_warning(text)


def add_layers(viewer: Any, found: list[LayerData]) -> list[Any]:
    """Add what a reader returned to a window."""
    return [getattr(viewer, f"add_{kind}")(data, **options) for data, options, kind in found]
