"""The panel that segments: which slide, model and device, all of it or a drawn region; run, watch, cancel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import QCoreApplication
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_wsiseg.layers import (
    LabelsShown,
    SlideShown,
    labels_layer,
    shown_by,
    slide_layers,
    store_layer,
)
from napari_wsiseg.legend import NOTICE, plain_label
from napari_wsiseg.reader import add_layers
from napari_wsiseg.regions import add_region_layer, drawn_outline
from napari_wsiseg.run import WindowRun
from napari_wsiseg.window import attach
from wsiseg.errors import UsageError, WsisegError
from wsiseg.exports.label_store import open_label_store
from wsiseg.inference.runtime import DEVICES
from wsiseg.models import DEFAULT_MODEL
from wsiseg.models.files import list_models
from wsiseg.run.predict_options import PredictOptions
from wsiseg.run.result import SlideResult
from wsiseg.slides import parse_mpp

RUNNING = "tissue (running)"


class RunDock(QWidget):
    """Segments the slides of a window."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        attach(napari_viewer)
        self.viewer = napari_viewer
        self.run: WindowRun | None = None
        self._layer: Any = None
        self._build()
        self.update_slides()
        for event in ("inserted", "removed", "reordered"):
            getattr(napari_viewer.layers.events, event).connect(self.update_slides)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.end)
        self.destroyed.connect(self.end)

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        form = QFormLayout()
        self.slide = QComboBox()
        self.model = QComboBox()
        self.model.setEditable(True)
        self.model.addItems(list_models())
        self.model.setCurrentText(DEFAULT_MODEL)
        self.device = QComboBox()
        self.device.addItems(DEVICES)
        self.output = QLineEdit(str(Path.cwd()))
        self.mpp = QLineEdit()
        self.mpp.setPlaceholderText("as the file says")
        self.only_region = QCheckBox("only the drawn region")
        self.draw = QPushButton("Draw")
        for text, widget in (
            ("slide", self.slide),
            ("model", self._with_browse(self.model, self._browse_model)),
            ("device", self.device),
            ("results in", self._with_browse(self.output, self._browse_output)),
            ("µm/px", self.mpp),
        ):
            form.addRow(text, widget)
        form.addRow(self.only_region, self.draw)
        layout.addLayout(form)
        buttons = QHBoxLayout()
        self.start, self.cancel = QPushButton("Run"), QPushButton("Cancel")
        self.cancel.setEnabled(False)
        buttons.addWidget(self.start)
        buttons.addWidget(self.cancel)
        layout.addLayout(buttons)
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        layout.addWidget(self.progress)
        self.status = plain_label("")
        self.status.setWordWrap(True)
        layout.addWidget(self.status)
        self.notice = plain_label(NOTICE)
        self.notice.setStyleSheet("font-weight: bold")
        layout.addWidget(self.notice)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.draw.clicked.connect(self.draw_region)
        self.start.clicked.connect(self.begin)
        self.cancel.clicked.connect(self.stop)

    def _with_browse(self, widget: QWidget, browse: Any) -> QWidget:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(widget, 1)
        button = QPushButton("…")
        button.setMaximumWidth(30)
        button.clicked.connect(browse)
        layout.addWidget(button)
        return row

    def _browse_model(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Model", "", "Models (*.safetensors)")
        if path:
            self.model.setCurrentText(path)

    def _browse_output(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Folder for the results", self.output.text())
        if path:
            self.output.setText(path)

    def update_slides(self, event: Any = None) -> None:
        """List the slides that are open."""
        names = [layer.name for layer in slide_layers(self.viewer)]
        if names != [self.slide.itemText(index) for index in range(self.slide.count())]:
            chosen = self.slide.currentText()
            self.slide.clear()
            self.slide.addItems(names)
            if chosen in names:
                self.slide.setCurrentText(chosen)
        self.start.setEnabled(bool(names) and self.run is None)

    def slide_layer(self) -> Any:
        """Return the chosen slide's layer. Raises UsageError where there is none."""
        for layer in slide_layers(self.viewer):
            if layer.name == self.slide.currentText():
                return layer
        raise UsageError("no slide is open: drop one onto the window")

    def draw_region(self) -> None:
        """Take the rectangle tool in hand."""
        try:
            add_region_layer(self.viewer, self.slide_layer())
        except UsageError as error:
            self.say(str(error), is_bad=True)
        else:
            self.only_region.setChecked(True)

    def options(self) -> PredictOptions:
        """Return what is chosen. Raises UsageError for what cannot be."""
        mpp = self.mpp.text().strip()
        return PredictOptions(
            model=self.model.currentText().strip(),
            device=self.device.currentText(),
            slide_mpp=parse_mpp(mpp) if mpp else None,
        )

    def begin(self) -> None:
        """Run, or say why not."""
        try:
            layer = self.slide_layer()
            outline = drawn_outline(self.viewer, layer) if self.only_region.isChecked() else None
            shown: SlideShown = shown_by(layer)
            run = WindowRun(shown.slide.source, Path(self.output.text()), self.options(), outline)
        except WsisegError as error:
            self.say(str(error), is_bad=True)
            return
        run.growing.connect(self._growing)
        run.progressed.connect(self._progressed)
        run.finished.connect(self._finished)
        run.stopped.connect(self._stopped)
        run.failed.connect(self._failed)
        self.run = run
        self.start.setEnabled(False)
        self.cancel.setEnabled(True)
        self.progress.setValue(0)
        self.say("reading the slide's coarse levels, preparing the network")
        run.start()

    def stop(self) -> None:
        """Cancel; the run ends within a tile."""
        if self.run is not None:
            self.say("stopping")
            self.cancel.setEnabled(False)
            self.run.stop()

    def end(self, _: Any = None) -> None:
        """Stop, and wait for it: the window is closing."""
        if self.run is not None:
            self.run.wait()

    def say(self, text: str, *, is_bad: bool = False) -> None:
        """Show a line under the progress bar."""
        self.status.setText(text)
        self.status.setStyleSheet("color: #ff6060" if is_bad else "")

    def _growing(self, shown: LabelsShown) -> None:
        self._remove_layer()
        in_um = str(self.slide_layer().units[0]) != "pixel"
        self._layer = add_layers(self.viewer, [labels_layer(shown, RUNNING, in_um=in_um)])[0]

    def _progressed(self, part: float, seconds_left: float) -> None:
        self.progress.setValue(round(1000 * part))
        if self.cancel.isEnabled():
            left = "" if seconds_left < 0 else f", {_duration(seconds_left)} left"
            self.say(f"{100 * part:.0f} %{left}")

    def _finished(self, result: SlideResult) -> None:
        self._over()
        self.progress.setValue(1000)
        try:
            labels = store_layer(open_label_store(result.store), result.summary["classes"])
        except WsisegError as error:
            self.say(str(error), is_bad=True)
            return
        self._remove_layer()
        add_layers(self.viewer, [labels])
        warnings = "; ".join(result.summary["warnings"])
        done = "already finished with these settings" if result.was_finished else "done"
        self.say(f"{done}: {result.store.name}" + (f" ({warnings})" if warnings else ""))

    def _stopped(self) -> None:
        self._over()
        self.say("stopped; Run goes on from here")

    def _failed(self, reason: str) -> None:
        self._over()
        self.say(reason, is_bad=True)

    def _over(self) -> None:
        self.run = None
        self.cancel.setEnabled(False)
        self.update_slides()

    def _remove_layer(self) -> None:
        if self._layer is not None and self._layer in self.viewer.layers:
            self.viewer.layers.remove(self._layer)
        self._layer = None


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
