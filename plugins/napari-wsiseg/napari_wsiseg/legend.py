"""The legend: each class with its colour, area and share, shown or not, more or less opaque, a way there."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_wsiseg.background import in_background
from napari_wsiseg.layers import LabelsShown, colormap, label_layers, shown_by
from napari_wsiseg.window import attach
from wsiseg.class_map import NOT_ANALYSED, RESERVED_NAMES, UNREAD
from wsiseg.geometry import Region
from wsiseg.viewing.largest_area import largest_area

NOTICE = "Not for diagnostic use"
MARGIN = 1.5
"""The view after a jump is this much larger than the area."""


class LegendDock(QWidget):
    """The legend of the uppermost labels layer."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        attach(napari_viewer)
        self.viewer = napari_viewer
        self.layer: Any = None
        self.rows: dict[int, ClassRow] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        self.title = plain_label("")
        self.title.setWordWrap(True)
        layout.addWidget(self.title)
        area = QScrollArea()
        area.setWidgetResizable(True)
        self._grid_of_rows = QWidget()
        self._grid = QGridLayout(self._grid_of_rows)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setVerticalSpacing(1)
        area.setWidget(self._grid_of_rows)
        layout.addWidget(area)
        self.notice = plain_label(NOTICE)
        self.notice.setStyleSheet("font-weight: bold")
        layout.addWidget(self.notice)
        for event in ("inserted", "removed", "reordered"):
            getattr(napari_viewer.layers.events, event).connect(self.update_layer)
        self.update_layer()

    def update_layer(self, event: Any = None) -> None:
        """Show the uppermost labels layer's classes."""
        found = label_layers(self.viewer)
        layer = found[-1] if found else None
        if layer is not self.layer:
            self.layer = layer
            self.build()

    def build(self) -> None:
        """Make the rows anew."""
        while (item := self._grid.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        self.rows = {}
        if self.layer is None:
            self.title.setText("no result is open")
            return
        shown: LabelsShown = shown_by(self.layer)
        self.title.setText(self.layer.name)
        known = {row["id"]: row for row in shown.rows or ()}
        for column, heading in enumerate(("", "class", "mm²", "%", "opacity")):
            self._grid.addWidget(plain_label(heading), 0, column)
        for number, item in enumerate(shown.classes.classes, start=1):
            row = ClassRow(item.id, item.name, item.colour)
            row.show_area(known.get(item.id))
            row.changed = self.recolour
            row.name.clicked.connect(lambda _=False, label=item.id: self.jump(label))
            for column, widget in enumerate(row.widgets):
                self._grid.addWidget(widget, number, column)
            self.rows[item.id] = row
        for number, label in enumerate((UNREAD, NOT_ANALYSED), start=len(self.rows) + 1):
            self._grid.addWidget(plain_label(str(label)), number, 0)
            self._grid.addWidget(plain_label(RESERVED_NAMES[label]), number, 1)
        self._grid.setRowStretch(len(self.rows) + 3, 1)

    def show_areas(self, rows: list[dict[str, Any]]) -> None:
        """Show areas that became known."""
        shown_by(self.layer).rows = rows
        for row in rows:
            if row["id"] in self.rows:
                self.rows[row["id"]].show_area(row)

    def recolour(self) -> None:
        """Give the layer the opacities of the rows."""
        shown: LabelsShown = shown_by(self.layer)
        opacity = {label: row.opacity for label, row in self.rows.items()}
        self.layer.colormap = colormap(shown.classes, opacity)

    def jump(self, label: int) -> None:
        """Go to the largest area of a class."""
        if self.layer is not None:
            self.layer.selected_label = label
            jump_to(self.viewer, self.layer, label)


class ClassRow:
    """The widgets of one class."""

    def __init__(self, label: int, name: str, colour: tuple[int, int, int]) -> None:
        self.label = label
        self.changed: Any = None
        self.tick = QCheckBox()
        self.tick.setChecked(True)
        self.tick.setToolTip("show this class")
        red, green, blue = colour
        self.tick.setStyleSheet(f"background-color: rgb({red}, {green}, {blue})")
        self.name = QPushButton(name.replace("&", "&&"))
        self.name.setFlat(True)
        self.name.setToolTip("go to the largest area of this class")
        self.mm2, self.percent = plain_label(""), plain_label("")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 100)
        self.slider.setValue(100)
        self.slider.setMinimumWidth(40)
        self.tick.toggled.connect(self._tell)
        self.slider.valueChanged.connect(self._tell)
        self.widgets = (self.tick, self.name, self.mm2, self.percent, self.slider)

    @property
    def opacity(self) -> float:
        """0 to 1; 0 where the class is not ticked."""
        return self.slider.value() / 100 if self.tick.isChecked() else 0.0

    def show_area(self, row: dict[str, Any] | None) -> None:
        """Show mm2 (or pixels of a photo) and percent."""
        area = None if row is None else row.get("mm2", row.get("px"))
        share = None if row is None else row.get("percent")
        self.mm2.setText("" if area is None else f"{area:.4f}" if isinstance(area, float) else f"{area:,}")
        self.percent.setText("" if share is None else f"{share:.1f}")

    def _tell(self, value: Any = None) -> None:
        if self.changed is not None:
            self.changed()


def jump_to(viewer: Any, layer: Any, label: int) -> Any:
    """Find the largest area of a class in the background, then go there; return the task."""
    shown: LabelsShown = shown_by(layer)
    name = shown.classes.by_id(label).name

    def go(box: Region | None) -> None:
        if box is None:
            viewer.status = f"{name}: no area found"
            return
        x, y = shown.um_per_px
        viewer.scene.camera.center = (0.0, (box.y + box.height / 2) * y, (box.x + box.width / 2) * x)
        rows, columns = viewer.canvas.size
        viewer.scene.camera.zoom = min(
            rows / (box.height * y * MARGIN), columns / (box.width * x * MARGIN), 4 / min(x, y)
        )
        viewer.status = f"{name}: its largest area"

    return in_background(lambda: largest_area(shown.levels, label), go)


def plain_label(text: str) -> QLabel:
    """Return a label that shows text as it is, whatever it holds."""
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label
