"""The panel that compares two results, or a result and annotations: agreement per class."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QCoreApplication, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QProgressBar,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_wsiseg.comparing import comparing_of
from napari_wsiseg.legend import NOTICE, plain_label
from napari_wsiseg.window import attach
from wsiseg.errors import WsisegError
from wsiseg.scoring.agreement import Agreement

COLUMNS = ("class", "IoU", "F1", "A", "B")


class CompareDock(QWidget):
    """Compares the results of a window."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        attach(napari_viewer)
        self.viewer = napari_viewer
        self.comparing = comparing_of(napari_viewer)
        self._build()
        self.comparing.progressed.connect(lambda part: self.progress.setValue(round(1000 * part)))
        self.comparing.counted.connect(self.show_agreement)
        self.comparing.failed.connect(lambda reason: self.say(reason, is_bad=True))
        self.comparing.ended.connect(self._ended)
        for event in ("inserted", "removed", "reordered"):
            getattr(napari_viewer.layers.events, event).connect(self.update_layers)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.comparing.cancel)
        self.destroyed.connect(self.comparing.cancel)
        self.update_layers()

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        form = QFormLayout()
        self.first, self.second = QComboBox(), QComboBox()
        form.addRow("A", self.first)
        form.addRow("B", self.second)
        layout.addLayout(form)
        buttons = QHBoxLayout()
        self.start, self.cancel = QPushButton("Compare"), QPushButton("Cancel")
        self.next = QPushButton("Next difference")
        self.next.setToolTip("go where most differs, then to the next (Shift-D)")
        self.cancel.setEnabled(False)
        self.next.setEnabled(False)
        for button in (self.start, self.cancel, self.next):
            buttons.addWidget(button)
        layout.addLayout(buttons)
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        layout.addWidget(self.progress)
        self.table = QTableWidget(0, len(COLUMNS))
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.verticalHeader().setVisible(False)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        layout.addWidget(self.table)
        self.status = plain_label("")
        self.status.setWordWrap(True)
        layout.addWidget(self.status)
        self.notice = plain_label(NOTICE)
        self.notice.setStyleSheet("font-weight: bold")
        layout.addWidget(self.notice)
        self.start.clicked.connect(self.begin)
        self.cancel.clicked.connect(self.comparing.cancel)
        self.next.clicked.connect(lambda _=False: self.comparing.next_difference())

    def update_layers(self, event: Any = None) -> None:
        """List what can be compared; the two uppermost where nothing is chosen."""
        layers = self.comparing.comparable_layers()
        for place, box in enumerate((self.first, self.second)):
            chosen = box.currentData()
            box.clear()
            for layer in layers:
                box.addItem(layer.name, layer)
            if layers:
                box.setCurrentIndex(layers.index(chosen) if chosen in layers else min(place, len(layers) - 1))
        if len(layers) > 1 and self.second.currentIndex() == self.first.currentIndex():
            self.second.setCurrentIndex((self.first.currentIndex() + 1) % len(layers))
        self.start.setEnabled(len(layers) > 1)

    def begin(self) -> None:
        """Compare, or say why not."""
        try:
            self.comparing.begin(self.first.currentData(), self.second.currentData())
        except WsisegError as error:
            self.say(" ".join(str(error).split()), is_bad=True)
            return
        self.table.setRowCount(0)
        self.start.setEnabled(False)
        self.cancel.setEnabled(True)
        self.next.setEnabled(False)
        self.say("counting")

    def say(self, text: str, *, is_bad: bool = False) -> None:
        """Show a line under the table."""
        self.status.setText(text)
        self.status.setStyleSheet("color: #ff6060" if is_bad else "")

    def show_agreement(self, found: Agreement) -> None:
        """Show the scores of every class that either has, and what was left out."""
        said = found.as_json()
        unit = "mm²" if said["unit"] == "mm2" else "px"
        self.table.setHorizontalHeaderLabels((*COLUMNS[:3], f"A {unit}", f"B {unit}"))
        rows = [row for row in said["classes"] if row["iou"] is not None]
        self.table.setRowCount(len(rows))
        for number, row in enumerate(rows):
            texts = (
                row["name"],
                f"{row['iou']:.3f}",
                f"{row['f1']:.3f}",
                _area(row["first"]),
                _area(row["second"]),
            )
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                if column:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(number, column, item)
        left_out = "; ".join(
            f"{key.replace('_', ' ')} {_area(value)} {unit}"
            for key, value in said["left_out"].items()
            if value
        )
        if said["pixel_agreement"] is None:
            text = "nothing was compared: nowhere do both have a class"
        else:
            text = f"same class: {100 * said['pixel_agreement']:.2f} % of {_area(said['compared'])} {unit}"
        self.say(f"{text}. Left out: {left_out or 'nothing'}")
        self.next.setEnabled(bool(found.differing))

    def _ended(self) -> None:
        self.cancel.setEnabled(False)
        self.start.setEnabled(self.first.count() > 1)
        if self.comparing.agreement is None and self.status.text() == "counting":
            self.say("cancelled; what differs is shown, nothing was counted")


def _area(value: float) -> str:
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}"
