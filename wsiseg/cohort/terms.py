"""What every worker of a batch has to agree on: settled once, stored, and checked before each slide."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from functools import cache
from typing import Any

from wsiseg.errors import WsisegError
from wsiseg.inference.runtime import choose_runtime
from wsiseg.models import Model, load_model
from wsiseg.run.run_record import differences, package_versions

Json = dict[str, Any]


class UnfitWorkerError(WsisegError):
    """A process that would not give the bytes that the batch's other processes give."""


def settle_terms(models: Iterable[str], runtime: str, precision: str, device: str) -> Json:
    """Return what the processes of a batch must have in common, as JSON, from what this one has.

    Raises UsageError or ModelRefusedError where this machine cannot run what is asked for.
    """
    return {
        "runtime": asdict(choose_runtime(runtime, precision, device)),
        "versions": package_versions(),
        "models": {name: _model(name).card.weights_sha256 for name in sorted(set(models))},
    }


def check_terms(terms: Json) -> None:
    """Raise UnfitWorkerError, naming the differences, where this process has other programs or models."""
    wanted = terms["runtime"]
    try:
        own = settle_terms(terms["models"], wanted["name"], wanted["precision"], wanted["device"])
    except WsisegError as error:
        raise UnfitWorkerError(str(error)) from error
    changed = differences(terms, own)
    if changed:
        raise UnfitWorkerError(f"has other programs than the batch: {'; '.join(changed[:4])}")


@cache
def _model(name: str) -> Model:
    return load_model(name)


def model_of(name: str) -> Model:
    """Return a model, loaded once per process."""
    return _model(name)
