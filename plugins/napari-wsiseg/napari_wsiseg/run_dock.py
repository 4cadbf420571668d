"""The panel that segments: which slide, model and device; all of it, a drawn region, or what is in view."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QCoreApplication
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_wsiseg.browse import browse_folder, browse_model, with_browse
from napari_wsiseg.layers import (
    LabelsShown,
    SlideShown,
    labels_layer,
    shown_by,
    slide_layers,
    store_layer,
)
from napari_wsiseg.legend import NOTICE, plain_label
from napari_wsiseg.live import Watch
from napari_wsiseg.preparing import Preparing
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
from wsiseg.slides import parse_mpp
from wsiseg.viewing.helper import Helper

if TYPE_CHECKING:
    from wsiseg.run.result import SlideResult

RUNNING = "tissue (running)"
LIVE = "tissue (live)"


class RunDock(QWidget):
    """Segments the slides of a window."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        attach(napari_viewer)
        self.viewer = napari_viewer
        self.helper = Helper()
        self.run: WindowRun | None = None
        self.watch: Watch | None = None
        """Of a live run, once it has begun."""
        self._looked_at: Any = None
        """The slide layer of the run."""
        self._runs_next = False
        """Whether a run follows the live one."""
        self._layer: Any = None
        self._preparing = Preparing(self)
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
            ("model", with_browse(self.model, browse_model)),
            ("device", self.device),
            ("results in", with_browse(self.output, browse_folder)),
            ("µm/px", self.mpp),
        ):
            form.addRow(text, widget)
        form.addRow(self.only_region, self.draw)
        self._choices = (self.slide, self.model, self.device, self.output, self.mpp)
        layout.addLayout(form)
        self.live = QCheckBox("live: segment what is in view")
        self.live.setToolTip(
            "of a view of at most 4 megapixels; what was computed, a run need not compute again"
        )
        layout.addWidget(self.live)
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
        for chosen in (self.slide, self.model, self.device):
            chosen.currentTextChanged.connect(self._preparing.begin)
        self.draw.clicked.connect(self.draw_region)
        self.start.clicked.connect(self.begin)
        self.cancel.clicked.connect(self.stop)
        self.live.toggled.connect(self._live_toggled)

    def update_slides(self, event: Any = None) -> None:
        """List the slides that are open."""
        names = [layer.name for layer in slide_layers(self.viewer)]
        if names != [self.slide.itemText(index) for index in range(self.slide.count())]:
            chosen = self.slide.currentText()
            self.slide.clear()
            self.slide.addItems(names)
            if chosen in names:
                self.slide.setCurrentText(chosen)
        self.start.setEnabled(bool(names) and (self.run is None or self.is_live))
        self.live.setEnabled(bool(names) and (self.run is None or self.is_live))
        if self.is_live and self._looked_at not in self.viewer.layers:
            self.live.setChecked(False)

    @property
    def is_live(self) -> bool:
        """Whether what is in view is being segmented."""
        return self.run is not None and self.live.isChecked()

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
        """Run, or say why not. What is live ends first: a store has one writer."""
        if self.is_live:
            self._runs_next = True
            self.live.setChecked(False)
        else:
            self._begin(self.only_region.isChecked())

    def _live_toggled(self, is_on: bool) -> None:
        if is_on:
            self._begin(only_region=False)
        elif self.run is not None:
            self.stop()

    def _begin(self, only_region: bool) -> None:
        kind = "live" if self.live.isChecked() else "predict"
        try:
            layer = self.slide_layer()
            outline = drawn_outline(self.viewer, layer) if only_region else None
            shown: SlideShown = shown_by(layer)
            job = [kind, shown.slide.source, self.output.text(), self.options()]
        except WsisegError as error:
            self.live.setChecked(False)
            self.say(str(error), is_bad=True)
            return
        run = WindowRun(self.helper, *job, *([outline] if kind == "predict" else []))
        run.growing.connect(self._growing)
        run.progressed.connect(self._progressed)
        run.finished.connect(self._finished)
        run.stopped.connect(self._stopped)
        run.failed.connect(self._failed)
        self.run, self._looked_at, self._runs_next = run, layer, False
        for widget in self._choices:
            widget.setEnabled(False)
        self.cancel.setEnabled(kind == "predict")
        self.update_slides()
        self.progress.setValue(0)
        self.say("reading the slide's coarse levels, preparing the network")
        run.start()

    def stop(self) -> None:
        """Cancel; the run ends within a tile."""
        if self.run is not None:
            self.say("stopping")
            for button in (self.cancel, self.start, self.live):
                button.setEnabled(False)
            self._end_watch()
            self.run.stop()

    def end(self, _: Any = None) -> None:
        """Stop, and wait for it: the window is closing."""
        self._preparing.end()
        self._end_watch()
        self.helper.close()

    def say(self, text: str, *, is_bad: bool = False) -> None:
        """Show a line under the progress bar."""
        self.status.setText(text)
        self.status.setStyleSheet("color: #ff6060" if is_bad else "")

    def _growing(self, shown: LabelsShown) -> None:
        self._remove_layer()
        in_um = str(self._looked_at.units[0]) != "pixel"
        name = LIVE if self.is_live else RUNNING
        self._layer = add_layers(self.viewer, [labels_layer(shown, name, in_um=in_um)])[0]
        if self.is_live and self.run is not None:
            self.watch = Watch(self.viewer, self._looked_at, self.run.look)
            self.say("live: zoom in to where you want to see the tissue")

    def _end_watch(self) -> None:
        if self.watch is not None:
            self.watch.end()
        self.watch = None

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
        if self._runs_next:
            self.begin()

    def _failed(self, reason: str) -> None:
        self._over()
        self.say(reason, is_bad=True)

    def _over(self) -> None:
        self._end_watch()
        self.run = None
        self.live.setChecked(False)
        self.cancel.setEnabled(False)
        for widget in self._choices:
            widget.setEnabled(True)
        self.update_slides()

    def _remove_layer(self) -> None:
        if self._layer is not None and self._layer in self.viewer.layers:
            self.viewer.layers.remove(self._layer)
        self._layer = None


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
