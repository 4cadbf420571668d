"""Corrections in a window: a crop of the view is painted on, then merged into the store beside the result.

napari's paint tools work on layers of one level only. So what is in view is cut out at the labels' own
pixels, as a layer of its own that holds nothing but corrections: class ids, 255 where nothing is corrected.
What is painted lives here, not in the layer: a layer that somebody removes takes nothing with it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_wsiseg.background import show_failure
from napari_wsiseg.camera import seen_region
from napari_wsiseg.correction_layers import (
    Crop,
    add_saved,
    can_be_corrected,
    saved_layers,
    show_crop,
    store_of,
)
from napari_wsiseg.layers import LabelsShown, label_layers, shown_by, slide_layers
from wsiseg.class_map import NOT_ANALYSED
from wsiseg.corrections.store import Corrections, open_corrections
from wsiseg.errors import UsageError, WsisegError
from wsiseg.exports.label_store import LabelStore
from wsiseg.geometry import Region
from wsiseg.run.run_record import fingerprint

MOST_CROP_PX = 8_000_000
"""Label pixels that are painted on at once."""


class Correcting(QObject):
    """The corrections of one window's results."""

    changed = Signal()
    """Something that a panel shows."""
    said = Signal(str, bool)
    """A line for the user, and whether it is bad news."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = weakref.ref(viewer)
        self.crop: Crop | None = None
        self.label: int | None = None
        """Class to paint with; None takes the first that is not background."""
        self.chosen: Any = None
        """Result layer to correct; None takes the uppermost."""
        self.guard: Any = None
        """What asks before the window closes."""
        self._open: dict[Path, Corrections] = {}
        self._fingerprints: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
        viewer.layers.events.inserted.connect(self._inserted)
        viewer.layers.events.removed.connect(self._removed)
        for layer in self.result_layers():
            self.attempt(lambda layer=layer: self._show_earlier(layer))

    @property
    def viewer(self) -> Any:
        """The window's viewer."""
        return self._viewer()

    @property
    def is_dirty(self) -> bool:
        """Whether something painted is not saved."""
        return self.crop is not None and self.crop.is_dirty

    def result_layers(self) -> list[Any]:
        """Return the layers that can be corrected: of finished results, and of imported annotations."""
        return [layer for layer in label_layers(self.viewer) if can_be_corrected(shown_by(layer))]

    def result_layer(self) -> Any:
        """Return the chosen result's layer, else the uppermost. Raises UsageError where there is none."""
        found = self.result_layers()
        if self.chosen in found:
            return self.chosen
        if not found:
            raise UsageError("no finished result is open: run one, or drop it onto the window")
        return found[-1]

    def attempt(self, action: Callable[[], Any]) -> bool:
        """Do something; say why where it cannot be done, and return False."""
        try:
            action()
        except (WsisegError, OSError) as error:
            reason = " ".join(str(error).split())
            self.said.emit(reason, True)
            show_failure(reason)
            return False
        finally:
            self.changed.emit()
        return True

    def paint_here(self) -> None:
        """Cut out what is in view, brush in hand; what was painted elsewhere is saved first."""
        if self.crop is not None and self.crop.is_dirty:
            if self.crop.layer is None:
                self._show_crop()
                self.said.emit("what you painted is back: Save or Discard it", True)
                return
            self.save()
        layer = self.result_layer()
        shown: LabelsShown = shown_by(layer)
        store = store_of(shown)
        self._check_slide(store)
        corrections = self._corrections(layer)
        region = seen_region(self.viewer, shown.um_per_px).intersect(corrections.whole)
        if not region.area:
            raise UsageError(f"nothing of {layer.name!r} is in view: go there first")
        if region.area > MOST_CROP_PX:
            raise UsageError(
                f"{region.area / 1e6:.0f} million label pixels are in view, at most "
                f"{MOST_CROP_PX / 1e6:.0f} are painted on at once: zoom in"
            )
        self._close_crop()
        pixels = corrections.read(region).copy()
        self.crop = Crop(corrections, layer, region, pixels, pixels.copy())
        self._show_crop()
        self.said.emit("paint, draw or fill in the frame; the eraser takes a correction back", False)

    def accept(self) -> None:
        """Take as right what was predicted in the frame and is not corrected there."""
        crop = self._painted()
        predicted = store_of(shown_by(crop.result_layer)).read(0, crop.region)
        is_new = (crop.pixels == NOT_ANALYSED) & np.isin(predicted, crop.corrections.result.classes.ids)
        if crop.layer is None:
            self._show_crop()
        crop.layer.data_setitem(np.nonzero(is_new), predicted[is_new])  # so that napari's undo knows it
        self.said.emit(f"{int(is_new.sum()):,} label pixels are taken as predicted; Save keeps them", False)

    def save(self) -> None:
        """Merge what is painted into the store. Raises WsisegError or OSError; then nothing is lost here."""
        crop = self._painted()
        box = crop.corrections.merge(crop.region, crop.pixels)
        crop.saved = crop.pixels.copy()
        if box is None:
            self.said.emit("nothing has changed since it was saved", False)
            return
        self._show_saved(crop.corrections, crop.result_layer, box)
        self.said.emit(f"saved in {crop.corrections.path.name}", False)

    def discard(self) -> None:
        """Forget what is painted and not saved, and put the frame away."""
        if self.crop is not None:
            self.crop.pixels[...] = self.crop.saved
            self._close_crop()
            self.said.emit("discarded what was not saved", False)

    def undo(self) -> None:
        """Take the last save of the chosen result back. Raises UsageError where there is none."""
        layer = self.result_layer()
        corrections = self._open.get(store_of(shown_by(layer)).path)
        crop = self.crop
        if crop is not None and crop.is_dirty:
            raise UsageError("what is painted is not saved: Ctrl-Z takes strokes back; or Save or Discard it")
        box = None if corrections is None else corrections.undo()
        if corrections is None or box is None:
            raise UsageError("nothing was saved in this window that could be taken back")
        if crop is not None and crop.corrections is corrections:
            crop.pixels = corrections.read(crop.region).copy()
            crop.saved = crop.pixels.copy()
            if crop.layer is not None:
                self._show_crop()
        self._show_saved(corrections, layer, box)
        self.said.emit("took the last save back", False)

    def can_undo(self) -> bool:
        """Whether a save of this window can be taken back."""
        return any(item.can_undo for item in self._open.values())

    def saved_store(self) -> LabelStore:
        """Return the chosen result's saved corrections. Raises UsageError where there are none."""
        store = store_of(shown_by(self.result_layer()))
        own = self._open.get(store.path)
        found = own.store if own is not None else open_corrections(store)
        if found is None:
            raise UsageError("nothing of this result is corrected and saved yet")
        return found

    def slide_source(self) -> str:
        """Return the source of the chosen result's slide. Raises UsageError where it is not open."""
        return self._check_slide(store_of(shown_by(self.result_layer())))

    def end(self) -> None:
        """Put the frame away and let go of the files; painting again opens them again."""
        self._close_crop()
        for corrections in self._open.values():
            corrections.close()
        self._open.clear()

    def use(self, label: int) -> None:
        """Paint with a class."""
        self.label = label
        if self.crop is not None and self.crop.layer is not None:
            self.crop.layer.selected_label = label

    def _painted(self) -> Crop:
        if self.crop is None:
            raise UsageError("nothing is painted: press Paint here first")
        return self.crop

    def _corrections(self, layer: Any) -> Corrections:
        store = store_of(shown_by(layer))
        if store.path not in self._open:
            opened = Corrections(store)
            self._open[store.path] = opened
            for warning in opened.warnings:
                self.said.emit(warning, False)
            self._show_saved(opened, layer, None)
        return self._open[store.path]

    def _check_slide(self, store: LabelStore) -> str:
        """Return the source of the open slide that a result is of; nobody corrects what they cannot see."""
        wanted = store.run["slide"]
        for layer in slide_layers(self.viewer):
            shown = shown_by(layer)
            if shown not in self._fingerprints:
                self._fingerprints[shown] = fingerprint(shown.slide)
            if self._fingerprints[shown] == wanted["fingerprint"]:
                return str(shown.slide.source)
        raise UsageError(
            f"{store.path.name} is of the slide {str(wanted['name'])[:100]!r}, which is not open here: open "
            "it under that name, so that you see what you correct"
        )

    def _show_crop(self) -> None:
        crop = self._painted()
        show_crop(self.viewer, crop, self.label)
        self.viewer.layers.selection.active = crop.layer
        crop.layer.events.labels_update.connect(self._painting)

    def _painting(self, event: Any = None) -> None:
        self.changed.emit()

    def _close_crop(self) -> None:
        crop, self.crop = self.crop, None
        if crop is not None and crop.layer is not None and crop.layer in self.viewer.layers:
            self.viewer.layers.remove(crop.layer)

    def _show_saved(self, corrections: Corrections, result_layer: Any, box: Region | None) -> None:
        """Show what changed in the store; the layer is added where it is not there yet."""
        layers = saved_layers(self.viewer, corrections.result.path)
        for layer in layers:
            if box is not None:
                shown_by(layer).tiles.invalidate(box)
        if not layers and corrections.store is not None and result_layer in self.viewer.layers:
            add_saved(self.viewer, corrections.store, result_layer)

    def _inserted(self, event: Any) -> None:
        """Show what an earlier window corrected of a result that was opened."""
        shown = shown_by(event.value)
        if isinstance(shown, LabelsShown) and can_be_corrected(shown):
            self.attempt(lambda: self._show_earlier(event.value))

    def _show_earlier(self, layer: Any) -> None:
        store = store_of(shown_by(layer))
        found = open_corrections(store)
        if found is not None and not saved_layers(self.viewer, store.path):
            add_saved(self.viewer, found, layer)

    def _removed(self, event: Any) -> None:
        if self.crop is not None and event.value is self.crop.layer:
            self.crop.layer = None
            if not self.crop.is_dirty:
                self.crop = None
        self.changed.emit()


_of_windows: weakref.WeakKeyDictionary[Any, Correcting] = weakref.WeakKeyDictionary()


def correcting_of(viewer: Any) -> Correcting:
    """Return what corrects in a window; made where there is none, with the question on closing."""
    viewer = getattr(viewer, "__wrapped__", viewer)
    found = _of_windows.get(viewer)
    if found is None:
        from napari_wsiseg.closing import ask_before_closing

        found = _of_windows[viewer] = Correcting(viewer)
        ask_before_closing(viewer, found)
    return found
