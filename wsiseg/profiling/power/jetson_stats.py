"""Rails through the service of jetson-stats (version 4: `jtop().power`), where it is installed."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from wsiseg.profiling.results import Missing
from wsiseg.profiling.tegrastats import INPUT_RAILS

NAME = "jetson-stats"


class JetsonStatsSource:
    """An open connection to the service; it updates itself."""

    name = NAME

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.whole = frozenset(INPUT_RAILS)

    def read(self, now_s: float) -> dict[str, float]:
        """Return the power of each rail, in W."""
        try:
            power = self._connection.power
            rails = {str(name): float(rail["power"]) / 1000 for name, rail in power["rail"].items()}
            total = power["tot"]
            # Without a name the total is jtop's own sum of rails: the rails say that already.
            if total.get("name"):
                rails[str(total["name"])] = float(total["power"]) / 1000
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise OSError(f"jetson-stats answered in a form that is not known: {error}") from error
        return rails

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def find() -> JetsonStatsSource | Missing:
    """Return a connection, or why there is none."""
    if find_spec("jtop") is None:
        return Missing(
            what=f"power: {NAME}",
            reason="jetson-stats is not installed",
            remedy="on a Jetson: sudo pip3 install -U jetson-stats",
        )
    library = import_module("jtop")
    connection = library.jtop()
    try:
        connection.start()
        source = JetsonStatsSource(connection)
        if source.read(0.0):
            return source
        reason = "it knows no rail of this module"
    except (library.JtopException, OSError) as error:
        reason = f"its service does not answer: {error}"
    connection.close()
    return Missing(
        what=f"power: {NAME}", reason=reason, remedy="sudo systemctl restart jtop.service, then run again"
    )
