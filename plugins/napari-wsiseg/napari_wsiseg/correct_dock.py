"""The panel that corrects: which result, which class; paint, save, take back, export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_wsiseg.background import in_background
from napari_wsiseg.correcting import correcting_of
from napari_wsiseg.layers import shown_by
from napari_wsiseg.legend import NOTICE, plain_label
from napari_wsiseg.window import attach
from wsiseg.corrections.training_folder import SPLITS, TrainingRow, write_polygons, write_training_row
from wsiseg.exports.geojson import GeoJsonOptions, GeoJsonResult

USES = {"to train on": "train", "to choose the best weights by": "val", "to measure with": "test"}
"""What a person reads: the split."""


class CorrectDock(QWidget):
    """Corrects the results of a window."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        attach(napari_viewer)
        self.viewer = napari_viewer
        self.correcting = correcting_of(napari_viewer)
        self._build()
        self.correcting.said.connect(self.say)
        self.correcting.changed.connect(self.update_buttons)
        for event in ("inserted", "removed", "reordered"):
            getattr(napari_viewer.layers.events, event).connect(self.update_results)
        self.update_results()

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        form = QFormLayout()
        self.result, self.label, self.split = QComboBox(), QComboBox(), QComboBox()
        self.split.addItems(list(USES))
        form.addRow("result", self.result)
        form.addRow("class", self.label)
        layout.addLayout(form)
        self.paint, self.accept = QPushButton("Paint here"), QPushButton("The rest is right")
        self.save, self.discard = QPushButton("Save"), QPushButton("Discard")
        self.undo = QPushButton("Undo save")
        self.geojson, self.training = QPushButton("GeoJSON…"), QPushButton("For training…")
        self.paint.setToolTip("cut out what is in view and paint on it (Shift-C)")
        self.accept.setToolTip("take as right what was predicted in the frame and is not corrected there")
        self.save.setToolTip("keep what is painted, beside the result (Shift-S)")
        self.undo.setToolTip("take the last save back (Shift-Z); Ctrl-Z takes single strokes back")
        self.training.setToolTip("add to a folder that wsiseg train configs/finetune.yaml takes")
        grid = QGridLayout()
        for number, widget in enumerate(
            (self.paint, self.accept, self.save, self.discard, self.undo, self.geojson)
        ):
            grid.addWidget(widget, number // 2, number % 2)
        grid.addWidget(self.training, 3, 0)
        grid.addWidget(self.split, 3, 1)
        layout.addLayout(grid)
        self.status = plain_label("")
        self.status.setWordWrap(True)
        layout.addWidget(self.status)
        self.notice = plain_label(NOTICE)
        self.notice.setStyleSheet("font-weight: bold")
        layout.addWidget(self.notice)
        layout.addStretch(1)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.result.activated.connect(self._choose_result)
        self.label.activated.connect(self._choose_class)
        for button, action in (
            (self.paint, self.correcting.paint_here),
            (self.accept, self.correcting.accept),
            (self.save, self.correcting.save),
            (self.discard, self.correcting.discard),
            (self.undo, self.correcting.undo),
            (self.geojson, self._export_geojson),
            (self.training, self._export_training),
        ):
            button.clicked.connect(lambda _=False, do=action: self.correcting.attempt(do))

    def update_results(self, event: Any = None) -> None:
        """List the results that can be corrected, and the chosen one's classes."""
        layers = self.correcting.result_layers()
        self.result.clear()
        for layer in layers:
            self.result.addItem(layer.name, layer)
        if layers:
            self.result.setCurrentIndex(layers.index(self.correcting.result_layer()))
        self._list_classes()
        self.update_buttons()

    def update_buttons(self) -> None:
        """Let be pressed what can be done."""
        crop, is_dirty = self.correcting.crop, self.correcting.is_dirty
        self.paint.setEnabled(self.result.count() > 0)
        self.accept.setEnabled(crop is not None)
        self.save.setEnabled(is_dirty)
        self.discard.setEnabled(crop is not None)
        self.undo.setEnabled(self.correcting.can_undo() and not is_dirty)
        for widget in (self.geojson, self.training, self.split):
            widget.setEnabled(self.result.count() > 0)

    def say(self, text: str, is_bad: bool = False) -> None:
        """Show a line under the buttons."""
        self.status.setText(text)
        self.status.setStyleSheet("color: #ff6060" if is_bad else "")

    def export_geojson(self, path: Path) -> Any:
        """Write the saved corrections as polygons; return the task."""
        store = self.correcting.saved_store()

        def done(result: GeoJsonResult) -> None:
            self.say(f"{result.path.name}: {result.polygons:,} polygons")

        self.say("writing polygons")
        options = GeoJsonOptions(overwrite=True)
        return in_background(lambda: write_polygons(store, path, options), done, self._failed)

    def export_training(self, folder: Path) -> Any:
        """Add the saved corrections to a folder to train on; return the task."""
        store = self.correcting.saved_store()
        slide = Path(self.correcting.slide_source())
        split = USES[self.split.currentText()]

        def done(row: TrainingRow) -> None:
            counts = ", ".join(f"{count} {name}" for name, count in row.slides.items())
            missing = [name for name in SPLITS[:2] if name not in row.slides]
            more = f"; training needs a {missing[0]} slide as well" if missing else ""
            self.say(f"{row.annotation.name} added; {folder} has {counts}{more}")

        self.say("writing polygons")
        return in_background(lambda: write_training_row(store, slide, folder, split), done, self._failed)

    def _failed(self, reason: str) -> None:
        self.say(reason, is_bad=True)

    def _export_geojson(self) -> None:
        store = self.correcting.saved_store()
        start = str(store.path.with_name(store.path.name.removesuffix(".wsiseg.ome.zarr") + ".geojson"))
        path, _ = QFileDialog.getSaveFileName(self, "Corrections as polygons", start, "GeoJSON (*.geojson)")
        if path:
            self.export_geojson(Path(path))

    def _export_training(self) -> None:
        self.correcting.saved_store()
        folder = QFileDialog.getExistingDirectory(self, "Folder to train on (root of finetune.yaml)")
        if folder:
            self.export_training(Path(folder))

    def _choose_result(self, index: int) -> None:
        self.correcting.chosen = self.result.itemData(index)
        self._list_classes()

    def _choose_class(self, index: int) -> None:
        self.correcting.use(self.label.itemData(index))

    def _list_classes(self) -> None:
        chosen = self.label.currentData()
        self.label.clear()
        if not self.result.count():
            return
        classes = shown_by(self.correcting.result_layer()).classes.classes
        for item in classes:
            colour = QPixmap(12, 12)
            colour.fill(QColor(*item.colour))
            self.label.addItem(QIcon(colour), item.name, item.id)
        first = next((item.id for item in classes if not item.background), classes[0].id)
        place = self.label.findData(chosen if chosen in [item.id for item in classes] else first)
        self.label.setCurrentIndex(place)
        self.correcting.use(self.label.itemData(place))
