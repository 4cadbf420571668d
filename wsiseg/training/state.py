"""Where a run stands, in one file that is written whole: tensors as safetensors, the rest as its metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import safetensors
import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from torch import Tensor, nn, optim

from wsiseg.errors import InputRefusedError
from wsiseg.models.checkpoint import write_atomically

_KEY = "wsiseg_training"
_NETWORK, _MOMENTS = "network.", "optimiser."


class Position(BaseModel):
    """The next step to do, and what the epoch and the stage have come to so far."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: Annotated[int, Field(ge=0)] = 0
    epoch: Annotated[int, Field(ge=0)] = 0
    step: Annotated[int, Field(ge=0)] = 0
    loss_total: float = 0.0
    """Sum of the losses of the epoch's steps so far."""
    best: float | None = None
    """Highest validation score of the stage so far."""
    scaler: dict[str, int | float] = {}
    """State of the fp16 gradient scaler; empty without one."""


def save_state(path: Path, network: nn.Module, optimiser: optim.Optimizer | None, position: Position) -> None:
    """Write the network's tensors, the optimiser's moments and the position, whole or not at all."""
    tensors = {
        _NETWORK + name: _plain(tensor) for name, tensor in network.state_dict(keep_vars=False).items()
    }
    if optimiser is not None:
        names = {id(parameter): name for name, parameter in network.named_parameters()}
        for parameter, moments in optimiser.state.items():
            for key, value in moments.items():
                tensors[f"{_MOMENTS}{key}.{names[id(parameter)]}"] = _plain(value)
    metadata = {_KEY: position.model_dump_json()}
    write_atomically(path, safetensors.torch.save(tensors, metadata=metadata))


def load_position(path: Path) -> Position:
    """Return where the saved state stands. Raises InputRefusedError for a file that is no such state."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            return Position.model_validate_json((file.metadata() or {})[_KEY])
    except (SafetensorError, OSError, KeyError, ValidationError) as error:
        raise _refused(path, f"{type(error).__name__}") from error


def load_state(path: Path, network: nn.Module, optimiser: optim.Optimizer | None) -> None:
    """Fill the network and the optimiser with what `save_state` wrote.

    Raises InputRefusedError where the file is damaged or of another network.
    """
    try:
        tensors = safetensors.torch.load_file(path)
    except (SafetensorError, OSError) as error:
        raise _refused(path, str(error)) from error
    wanted = network.state_dict()
    found = {name.removeprefix(_NETWORK): value for name, value in tensors.items() if _NETWORK in name[:8]}
    if found.keys() != wanted.keys() or any(found[name].shape != wanted[name].shape for name in wanted):
        raise _refused(path, "its tensors are those of another network")
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(found[name])
    if optimiser is None:
        return
    moments: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith(_MOMENTS):
            key, _, parameter = name.removeprefix(_MOMENTS).partition(".")
            moments.setdefault(parameter, {})[key] = value
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    ordered = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state = {}
    for index, parameter in enumerate(ordered):
        own = moments.get(names[id(parameter)])
        if own is not None:
            # In the parameter's own memory layout: the same bits come out of the same kernels.
            state[index] = {
                key: torch.empty_like(parameter).copy_(value) if value.dim() else value
                for key, value in own.items()
            }
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu").contiguous()


def _refused(path: Path, why: str) -> InputRefusedError:
    return InputRefusedError(
        f"{path}: is no state that a training can go on from ({why}): remove the run's folder to begin anew"
    )
