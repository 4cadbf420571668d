"""The order of patches: every patch once, one shape per batch, the same for any division of the work."""

import numpy as np
import pytest
import torch

from wsiseg.datasets.augment import Augment
from wsiseg.datasets.phantom import PatchDataset
from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.training.loader import load_batches
from wsiseg.training.order import batches_of_rank, epoch_batches, steps_in_epoch


def test_an_epoch_has_every_patch_once_and_is_shuffled():
    batches = epoch_batches([range(40)], 4, seed=1, epoch=0)
    assert sorted(index for batch in batches for index in batch) == list(range(40))
    assert [index for batch in batches for index in batch] != list(range(40))
    assert batches == epoch_batches([range(40)], 4, seed=1, epoch=0)
    assert batches != epoch_batches([range(40)], 4, seed=1, epoch=1)
    assert batches != epoch_batches([range(40)], 4, seed=2, epoch=0)


def test_a_batch_has_patches_of_one_shape():
    groups = [range(10), range(10, 30), range(30, 33)]
    batches = epoch_batches(groups, 4, seed=1, epoch=0)
    assert all(any(set(batch) <= set(group) for group in groups) for batch in batches)
    assert sorted(map(len, batches)) == [3, 4, 4, 4, 4, 4, 4, 4]  # what fills no batch is left out
    assert steps_in_epoch(groups, 4, 1) == len(batches)
    assert steps_in_epoch(groups, 4, 3) == len(batches) // 3


def test_too_few_patches_for_a_step_are_refused():
    with pytest.raises(UsageError, match="an epoch has 2 batches, but a step takes 3"):
        steps_in_epoch([range(8)], 4, 3)


def given(rank=0, world=1, accumulate=1, first_step=0, epochs=range(2)):
    return list(
        batches_of_rank(
            [range(20)],
            batch=2,
            accumulate=accumulate,
            rank=rank,
            world=world,
            seed=7,
            epochs=epochs,
            first_step=first_step,
        )
    )


def test_two_processes_see_what_one_accumulates():
    alone = given(accumulate=2)
    first, second = given(rank=0, world=2), given(rank=1, world=2)
    assert alone == [batch for pair in zip(first, second, strict=True) for batch in pair]


def test_a_resume_begins_where_it_stopped():
    assert given(first_step=3) == given()[3:]
    assert given(accumulate=3, first_step=2) == given(accumulate=3)[6:]


def patches():
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (2, 48, 48, 3), dtype=np.uint8)
    labels = rng.integers(0, 8, (2, 48, 48), dtype=np.uint8)
    return PatchDataset(rgb, labels, side_px=32, per_epoch=20, seed=5, augmentation=Augment())


def test_worker_processes_change_nothing():
    """Over two epochs, without starting them anew."""
    alone = list(load_batches(patches(), given(), workers=0, pin=False))
    shared = list(load_batches(patches(), given(), workers=2, pin=False))
    assert len(alone) == 20
    for one, other in zip(alone, shared, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
    assert not torch.equal(alone[0][0], alone[10][0])


def test_the_global_random_numbers_are_the_networks_alone():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    list(load_batches(patches(), given(), workers=0, pin=False))
    assert torch.equal(before, torch.random.get_rng_state())


class Unreadable:
    epoch = 0

    def __len__(self):
        return 20

    def __getitem__(self, index):
        raise InputRefusedError(f"slide.svs: patch {index} cannot be read")


def test_a_patch_that_cannot_be_read_keeps_its_one_line():
    with pytest.raises(InputRefusedError, match=r"^slide\.svs: patch \d+ cannot be read$"):
        list(load_batches(Unreadable(), given(), workers=1, pin=False))
