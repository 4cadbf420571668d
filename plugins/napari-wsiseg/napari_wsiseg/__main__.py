"""python -m napari_wsiseg SLIDE [RESULT]: the window of `wsiseg view`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import napari

from napari_wsiseg.compare_dock import CompareDock
from napari_wsiseg.correct_dock import CorrectDock
from napari_wsiseg.legend import LegendDock
from napari_wsiseg.reader import RESULT_SUFFIX, add_layers, read_result, read_slide
from napari_wsiseg.run_dock import RunDock
from napari_wsiseg.window import attach
from wsiseg.errors import WsisegError

WINDOW_PX = (1400, 950)


def open_window(paths: list[str], *, show: bool = True) -> Any:
    """Return a window with slides, results and the panels. Raises WsisegError, in one line."""
    viewer = napari.Viewer(title="wsiseg (not for diagnostic use)", show=show)
    attach(viewer)
    viewer.window.resize(*WINDOW_PX)
    for path in paths:
        is_result = Path(path).name.endswith(RESULT_SUFFIX)
        add_layers(viewer, read_result(path) if is_result else read_slide(path))
    viewer.reset_view()
    viewer.window.add_dock_widget(RunDock(viewer), name="wsiseg segment", area="right")
    viewer.window.add_dock_widget(LegendDock(viewer), name="wsiseg legend", area="right")
    for dock, name in ((CorrectDock, "wsiseg correct"), (CompareDock, "wsiseg compare")):
        viewer.window.add_dock_widget(dock(viewer), name=name, area="right", tabify=True)
    return viewer


def main() -> None:
    """Open the window and stay until it is closed."""
    try:
        open_window(sys.argv[1:])
    except WsisegError as error:
        sys.stderr.write(f"wsiseg: {' '.join(str(error).split())}\n")
        sys.exit(error.exit_code)
    napari.run()


if __name__ == "__main__":
    main()
