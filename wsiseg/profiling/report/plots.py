"""The paper's plots of system metrics, those for which there is data. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec

from wsiseg.profiling.modules import ModuleFigures
from wsiseg.profiling.report import plots_kernels as kernels
from wsiseg.profiling.report import plots_resources as resources
from wsiseg.profiling.report import plots_speed as speed
from wsiseg.profiling.results import Operator, Results

TWO_CLOCKS = "the GPU's clock was not read at two values"
NO_USE = "no utilisation was read"


def can_plot() -> bool:
    """Whether matplotlib is there."""
    return find_spec("matplotlib") is not None


def draw_all(results: Results, modules: Sequence[ModuleFigures] = ()) -> tuple[dict[str, bytes], list[str]]:
    """Return the PNGs that the results have data for, by file name, and which were left out and why."""
    results = drawable(results)
    items = results.measurements
    plots: tuple[tuple[str, str, Callable[[], bytes | None]], ...] = (
        ("speed-network-size.png", "nothing was measured", lambda: speed.network_size(items)),
        ("speed-image-size.png", "one image size only", lambda: speed.image_size(items)),
        ("speed-frequency.png", TWO_CLOCKS, lambda: speed.frequency(items)),
        ("sensitivity.png", TWO_CLOCKS, lambda: speed.sensitivity(items)),
        ("utilisation-mean.png", NO_USE, lambda: resources.mean_utilisation(items)),
        ("utilisation-time.png", NO_USE, lambda: resources.utilisation_over_time(items)),
        ("power-speed.png", "no power was read", lambda: resources.power_speed(items)),
        (
            "power-frequency.png",
            "power and clock were not read together",
            lambda: resources.power_frequency(items),
        ),
        ("efficiency.png", "no kernel counters", lambda: kernels.efficiency(results)),
        ("top-operators.png", "no operators or kernels", lambda: kernels.top_operators(results)),
        ("modules.png", "no comparison of modules here", lambda: kernels.module_figures(modules)),
    )
    drawn: dict[str, bytes] = {}
    left_out: list[str] = []
    for name, reason, draw in plots:
        picture = draw()
        if picture is None:
            left_out.append(f"{name}: not drawn, {reason}")
        else:
            drawn[name] = picture
    return drawn, left_out


def drawable(results: Results) -> Results:
    """Return the results with names that any font has, and that matplotlib does not take for formulas."""
    measurements = tuple(
        item.model_copy(
            update={
                "model": _name(item.model),
                "operators": _operators(item.operators),
                "operators_of": _name(item.operators_of),
                "power": tuple(
                    rail.model_copy(update={"source": _name(rail.source), "rail": _name(rail.rail)})
                    for rail in item.power
                ),
            }
        )
        for item in results.measurements
    )
    kernels = tuple(
        item.model_copy(update={"model": _name(item.model), "top": _operators(item.top)})
        for item in results.kernels
    )
    return results.model_copy(update={"measurements": measurements, "kernels": kernels})


def _operators(items: Sequence[Operator]) -> tuple[Operator, ...]:
    return tuple(item.model_copy(update={"name": _name(item.name)}) for item in items)


def _name(text: str) -> str:
    letters = (letter if " " <= letter <= "~" else "?" for letter in text[:100])
    return "".join(letters).replace("$", "S")
