"""Measure the compared networks one by one; what was measured before in the same folder is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from wsiseg.errors import UsageError, WsisegError, choose
from wsiseg.models.build import build_model
from wsiseg.models.checkpoint import write_atomically
from wsiseg.profiling.measure.child import LEAST_TRIALS
from wsiseg.profiling.measure.run import Plan, TooLargeError, describe, measure_one
from wsiseg.profiling.paper.compared import BASE, NETWORKS
from wsiseg.profiling.results import Measurement, Missing, Results, read_results
from wsiseg.profiling.subject import CLASSES

TRIALS, MAX_SECONDS = 200, 60.0
RESULTS = "results.json"


def choose_networks(names: Sequence[str]) -> list[str]:
    """Return the networks to measure, in the table's order; none named: all. ESPNet is always among them."""
    known = [item.model for item in NETWORKS]
    for name in names:
        if name not in known:
            raise UsageError(choose("network of the paper", name, known))
    return [name for name in known if not names or name in names or name == BASE]


def measure_paper(
    plan: Plan, folder: Path | None = None, report: Callable[[str], None] = lambda _: None
) -> Results:
    """Measure the plan's networks at its one size; a network that fails is named, with the reason.

    With a folder, its results are written after every network, and what it holds already is not measured
    again. Raises UsageError where the folder's results are of other conditions, or the size does not suit.
    """
    (size,) = plan.sizes
    for model in plan.models:
        _check_size(model, size)
    machine = describe(plan)
    kept = _kept(plan, folder, machine)
    found = {item.model: item for item in kept}
    missing: list[Missing] = []
    for model in plan.models:
        if model in found:
            report(f"{model}: measured before, in {folder}")
            continue
        report(f"{model} at {size[0]}x{size[1]} px")
        try:
            found[model] = measure_one(replace(plan, operators=False), model, size)
        except TooLargeError as error:
            missing.append(
                Missing(
                    what=model, reason=str(error), remedy="a machine with more memory, or a smaller --size"
                )
            )
        except WsisegError as error:
            missing.append(Missing(what=model, reason=str(error), remedy="see what it said, and run again"))
        results = _results(plan, machine, found, missing)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / RESULTS, results.model_dump_json(indent=1).encode())
    return _results(plan, machine, found, missing)


def _results(
    plan: Plan, machine: dict[str, str], found: dict[str, Measurement], missing: Sequence[Missing]
) -> Results:
    order = [item.model for item in NETWORKS]
    return Results(
        machine=machine,
        measurements=tuple(sorted(found.values(), key=lambda item: order.index(item.model))),
        missing=tuple(missing),
        notes=(
            f"Untrained weights, {CLASSES} outputs. Each network until {plan.trials} calls"
            + ("." if plan.max_seconds is None else f" or {plan.max_seconds:g} s, at least {LEAST_TRIALS}."),
            "Times are from RGB bytes in memory to class ids in memory: normalisation, network and argmax.",
            "Accuracies are the paper's, as published; none was measured here.",
        ),
    )


def _kept(plan: Plan, folder: Path | None, machine: dict[str, str]) -> tuple[Measurement, ...]:
    if folder is None or not (folder / RESULTS).is_file():
        return ()
    before = read_results(folder / RESULTS)
    (size,) = plan.sizes
    now = (size, plan.choice.name, plan.choice.precision, plan.choice.device)
    known = {item.model for item in NETWORKS}
    for item in before.measurements:
        then = ((item.width_px, item.height_px), item.runtime, item.precision, item.device)
        if before.machine != machine or then != now or item.model not in known:
            raise UsageError(
                f"{folder}: holds results of another machine, runtime, size or network ({item.model} at "
                f"{item.size}): ratios are of one set of conditions; give another folder"
            )
    return before.measurements


def _check_size(model: str, size: tuple[int, int]) -> None:
    with torch.device("meta"):
        step = build_model(model, num_classes=CLASSES).input_multiple
    if any(side % step or side < step for side in size):
        raise UsageError(f"--size {size[0]}x{size[1]}: {model} takes sides that are multiples of {step} px")
