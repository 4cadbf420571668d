"""One process, or several that train one network together (torch's DistributedDataParallel)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from wsiseg.errors import UsageError


@dataclass(frozen=True, slots=True)
class Processes:
    """This process's place among those of the run; alone, every method does nothing."""

    rank: int
    world: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return a module whose backward pass averages the gradients over the processes."""
        if self.world == 1:
            return network
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(network, device_ids=devices, broadcast_buffers=False)

    def unsynchronised(self, wrapped: nn.Module, wait: bool) -> AbstractContextManager[object]:
        """Return the context in which gradients only accumulate here, where `wait`."""
        if wait and isinstance(wrapped, DistributedDataParallel):
            return wrapped.no_sync()
        return nullcontext()

    def total(self, value: float) -> float:
        """Return the sum of a number over the processes."""
        if self.world == 1:
            return value
        summed = torch.tensor([value], dtype=torch.float64, device=self.device)
        distributed.all_reduce(summed)
        return float(summed)

    def total_counts(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the sum of counts over the processes."""
        if self.world == 1:
            return counts
        summed = torch.from_numpy(counts).to(self.device)
        distributed.all_reduce(summed)
        return np.asarray(summed.cpu().numpy())

    def average_buffers(self, network: nn.Module) -> None:
        """Give every process the mean running statistics: each has seen its own batches only."""
        if self.world == 1:
            return
        for buffer in network.buffers():
            if buffer.is_floating_point():
                distributed.all_reduce(buffer)
                buffer /= self.world

    def wait_for_all(self) -> None:
        """Return when every process has come here."""
        if self.world > 1:
            distributed.barrier()

    def from_first(self, tensor: Tensor) -> Tensor:
        """Return the first process's tensor."""
        if self.world > 1:
            distributed.broadcast(tensor, 0)
        return tensor


@contextmanager
def join(device: str) -> Iterator[Processes]:
    """Join the processes that torchrun started (RANK, WORLD_SIZE), or be alone without it.

    Raises UsageError where the device is not there.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("device is cuda, but torch sees none: use device=cpu or auto")
    on_gpu = device != "cpu" and torch.cuda.is_available()
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if on_gpu and local >= torch.cuda.device_count():
        raise UsageError(f"process {local} has no GPU: torch sees {torch.cuda.device_count()}; start as many")
    here = torch.device("cuda", local) if on_gpu else torch.device("cpu")
    if world == 1:
        yield Processes(0, 1, here)
        return
    if on_gpu:
        torch.cuda.set_device(here)
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield Processes(rank, world, here)
    finally:
        distributed.destroy_process_group()
