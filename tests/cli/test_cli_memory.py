"""Libraries that run out of memory say so in words of their own."""

import threading

import pytest
import torch

from wsiseg.cli.main import _is_want_of_memory


def error_of(call):
    with pytest.raises((MemoryError, RuntimeError)) as caught:
        call()
    return caught.value


def test_an_allocation_that_torch_cannot_make_is_recognised():
    assert _is_want_of_memory(error_of(lambda: torch.empty(2**60, dtype=torch.uint8)))


def test_other_errors_are_not():
    assert not _is_want_of_memory(error_of(lambda: torch.zeros(2) @ torch.zeros(3)))
    assert not _is_want_of_memory(error_of(lambda: threading.Thread().join()))


@pytest.mark.parametrize(
    "text", ["Cannot load library x: failed to map segment from shared object", "can't start new thread"]
)
def test_what_was_seen_of_others_is(text):
    assert _is_want_of_memory(RuntimeError(text))
