"""The tissue of the slide that was looked at last: finding it takes seconds where a slide is large."""

from __future__ import annotations

import threading

from wsiseg.run.run_record import fingerprint
from wsiseg.slides.slide import Slide
from wsiseg.tiling.frame import Frame
from wsiseg.tiling.tissue import TissueMask, find_tissue
from wsiseg.viewing.stoppable import check

WAIT_S = 0.1


class KnownTissue:
    """Finds tissue once for all jobs of a slide; safe to call from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: tuple[str, Frame] | None = None
        self._mask: TissueMask | None = None

    def find(self, slide: Slide, frame: Frame, stop: threading.Event) -> TissueMask:
        """See `find_tissue`. Raises StoppedError where a stop is asked for while another thread finds it."""
        while not self._lock.acquire(timeout=WAIT_S):
            check(stop)
        try:
            key = (fingerprint(slide), frame)
            if self._mask is None or self._key != key:
                self._mask, self._key = find_tissue(slide, frame), key
            return self._mask
        finally:
            self._lock.release()


KNOWN = KnownTissue()
"""Of this process."""
