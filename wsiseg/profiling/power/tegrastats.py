"""Rails as the program `tegrastats` prints them, for users who may not read the sensors themselves."""

from __future__ import annotations

import shutil
import subprocess
import threading

from wsiseg.profiling.results import Missing
from wsiseg.profiling.tegrastats import INPUT_RAILS, TegraLine, parse_line

NAME = "tegrastats"
INTERVAL_MS = 100
FIRST_LINE_S = 10.0


class TegrastatsSource:
    """A running tegrastats; its latest line is the reading."""

    name = NAME

    def __init__(self, program: str) -> None:
        self.garbage = 0
        self.latest: TegraLine | None = None
        self._seen = threading.Event()
        self._process = subprocess.Popen(
            [program, "--interval", str(INTERVAL_MS)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._follow, name="tegrastats", daemon=True)
        self._reader.start()
        self._seen.wait(FIRST_LINE_S)
        latest: TegraLine | None = self.latest  # the thread has set it by now
        rails = latest.rails if latest is not None else {}
        self.whole = frozenset(name for name in rails if name in INPUT_RAILS)

    def read(self, now_s: float) -> dict[str, float]:
        """Return the rails of the latest line, in W."""
        line = self.latest
        if self._process.poll() is not None or line is None:
            raise OSError("tegrastats has ended")
        return {name: rail.now_mw / 1000 for name, rail in line.rails.items()}

    def close(self) -> None:
        """End the program and wait for it."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(10)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _follow(self) -> None:
        for text in self._process.stdout or ():
            line = parse_line(text)
            if line is None:
                self.garbage += bool(text.strip())
                continue
            self.latest = line
            self._seen.set()
        self._seen.set()  # it ended: do not keep the caller waiting


def find() -> TegrastatsSource | Missing:
    """Return a running tegrastats, or why there is none."""
    program = shutil.which("tegrastats")
    if program is None:
        return Missing(
            what=f"power: {NAME}", reason="no program tegrastats: no Jetson", remedy="run on a Jetson"
        )
    source = TegrastatsSource(program)
    if source.latest is not None and source.latest.rails:
        return source
    silent = source.latest is None
    source.close()
    return Missing(
        what=f"power: {NAME}",
        reason="tegrastats printed nothing that is understood"
        if silent
        else "this module has no power sensors",
        remedy="run tegrastats by hand and look" if silent else "measure the supply outside of the module",
    )
