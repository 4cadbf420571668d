"""Patches read ahead by worker processes that live for a whole stage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, cast

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from wsiseg.errors import WsisegError


class Patches(Protocol):
    """What training reads: a patch depends on the seed, `epoch` and its index alone."""

    epoch: int

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        """Return uint8 (3, H, W) RGB and uint8 (H, W) label ids, 255 ignored; what may follow is Y-Net's."""


Loaded = tuple[Tensor, ...]
"""uint8 (N, 3, H, W) RGB and (N, H, W) label ids; what may follow, stacked too."""


class _ByEpoch(Dataset[Loaded | WsisegError]):
    """The patches by (epoch, index): the workers need not be started anew for another epoch."""

    def __init__(self, patches: Patches) -> None:
        self.patches = patches

    def __getitem__(self, key: tuple[int, int]) -> Loaded | WsisegError:
        self.patches.epoch, index = key
        try:
            return self.patches[index]
        except WsisegError as error:  # handed over, so that it keeps its one line
            return error


def _collate(items: list[Loaded | WsisegError]) -> tuple[NDArray[Any], ...] | WsisegError:
    """Stack patches, as arrays: those come from a worker through a pipe.

    Tensors would come through shared memory, of which containers give 64 MB, and in which, rarely, a page of
    a batch arrived empty when many processes ran.
    """
    read = []
    for item in items:
        if isinstance(item, WsisegError):
            return item
        read.append(item)
    return tuple(torch.stack(parts).numpy() for parts in zip(*read, strict=True))


def load_batches(
    patches: Patches, batches: Iterable[list[tuple[int, int]]], *, workers: int, pin: bool
) -> Iterator[Loaded]:
    """Yield the batches in order. A patch that cannot be read raises its own error here."""
    loader = DataLoader(
        _ByEpoch(patches),
        batch_sampler=cast(Any, _Listed(batches)),
        num_workers=workers,
        collate_fn=_collate,
        # Not fork: the libraries that read slides have threads and handles by then.
        multiprocessing_context="spawn" if workers else None,
        # The loader draws a seed for its workers; the global generator is the network's alone.
        generator=torch.Generator(),
        prefetch_factor=4 if workers else None,
    )
    for batch in loader:
        if isinstance(batch, WsisegError):
            raise batch
        tensors = (torch.from_numpy(array) for array in batch)
        yield tuple(tensor.pin_memory() if pin else tensor for tensor in tensors)


class _Listed:
    """A batch sampler out of what yields batches, once."""

    def __init__(self, batches: Iterable[list[tuple[int, int]]]) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return iter(self._batches)
