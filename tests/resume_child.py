"""Predict, and die by kill -9 once the journal has some lines: python resume_child.py SLIDE OUT NGFF LINES.

The process kills itself where it appends a line, so that no machine is too fast or too slow for the test.
"""

import os
import signal
import sys

from small_models import integer_model

from wsiseg import PredictOptions, segment_slide
from wsiseg.pyramid.journal import Journal


def options_for(ngff="0.5", **changes):
    common = {
        "model": integer_model(),
        "slide_mpp": (1.0, 1.0),
        "tissue": "none",
        "tile_px": 256,
        "halo_px": 48,
        "runtime": "torch",
        "precision": "fp32",
        "block_px": 512,
        "ngff": ngff,
    }
    return PredictOptions(**(common | changes))


def die_after(lines):
    """Make this process kill itself once its journal has that many lines."""
    append = Journal._append

    def append_and_die(journal, entry):
        append(journal, entry)
        if journal._path.read_bytes().count(b"\n") >= lines:
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))

    Journal._append = append_and_die


def main():
    slide, out, ngff, lines = sys.argv[1:]
    die_after(int(lines))
    segment_slide(slide, out, options_for(ngff))


if __name__ == "__main__":
    main()
