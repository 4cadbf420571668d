"""A diagnosis that follows from what was drawn: the worst kind of structure counts.

The four names are those of the breast biopsy lists (Mehta et al., MICCAI 2018). What is drawn for them is
told apart by shape, and is no pathology: weights that learnt from it say nothing about a patient.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

DIAGNOSES = ("benign", "atypia", "ductal carcinoma in situ", "invasive carcinoma")
"""1, 2, 3 and 4 of the lists."""

_OF_KIND = MappingProxyType({"cribriform": 2, "solid": 3, "comedo": 3, "cords": 4, "glands": 4})


def diagnosis_of(kinds: Iterable[str]) -> int:
    """Return 1 to 4 for the kinds of structures in a phantom."""
    return max((_OF_KIND.get(kind, 1) for kind in kinds), default=1)


def kinds_against(diagnosis: int) -> frozenset[str]:
    """Return the kinds that are to be left out, so that no other diagnosis is drawn."""
    return frozenset(kind for kind, worst in _OF_KIND.items() if worst != diagnosis)
