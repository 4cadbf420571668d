"""Which patches make which step: a function of (seed, epoch), so any process and any resume agrees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from wsiseg.errors import UsageError

Batch = list[int]
"""Indices of patches of one shape."""


def epoch_batches(groups: Sequence[range], batch: int, seed: int, epoch: int) -> list[Batch]:
    """Return the batches of an epoch, shuffled; each is taken from one group of patches of one shape.

    What does not fill a batch is left out of the epoch, unless the group has less than one batch.
    """
    rng = np.random.default_rng((seed, epoch))
    found = []
    for group in groups:
        order = (group.start + rng.permutation(len(group))).tolist()
        whole = max(len(order) - len(order) % batch, min(batch, len(order)))
        found += [order[at : at + batch] for at in range(0, whole, batch)]
    return [found[at] for at in rng.permutation(len(found))]


def steps_in_epoch(groups: Sequence[range], batch: int, per_step: int) -> int:
    """Return the number of steps of `per_step` batches. Raises UsageError where there is not one."""
    batches = sum(max(len(group) // batch, min(1, len(group))) for group in groups)
    if batches < per_step:
        raise UsageError(
            f"an epoch has {batches} batches, but a step takes {per_step} (accumulate x processes): "
            "make batch or accumulate smaller, or give more patches"
        )
    return batches // per_step


def batches_of_rank(
    groups: Sequence[range],
    *,
    batch: int,
    accumulate: int,
    rank: int,
    world: int,
    seed: int,
    epochs: range,
    first_step: int,
) -> Iterator[list[tuple[int, int]]]:
    """Yield this process's batches as (epoch, index) pairs, `accumulate` for each step.

    The first epoch begins at `first_step`. Several processes take each step's batches in turn, so that
    2 processes see what 1 process with twice the `accumulate` sees.
    """
    per_step = accumulate * world
    for epoch in epochs:
        batches = epoch_batches(groups, batch, seed, epoch)
        steps = len(batches) // per_step
        for step in range(first_step if epoch == epochs.start else 0, steps):
            of_step = batches[step * per_step : (step + 1) * per_step]
            for one in of_step[rank::world]:
                yield [(epoch, index) for index in one]
