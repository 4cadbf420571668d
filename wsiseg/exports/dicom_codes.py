"""Coded concepts of tissue classes for DICOM SEG: a category, a type, and a modifier.

Codes are those of DICOM PS3.16 (context groups 6063, 7150, 7151 and 7159, as pydicom ships them), and SNOMED
CT's "Epithelium" (31610004, body structure). What has no code there that we could verify (stroma, secretion)
gets a private code made from the class name, in the scheme 99WSISEG: it says less than a standard code, and
nothing wrong.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

PRIVATE_SCHEME = "99WSISEG"


@dataclass(frozen=True, slots=True)
class Code:
    """Value, coding scheme and meaning."""

    value: str
    scheme: str
    meaning: str


TISSUE = Code("85756007", "SCT", "Tissue")
SUBSTANCE = Code("91720002", "SCT", "Body Substance")
ALTERED = Code("49755003", "SCT", "Morphologically Abnormal Structure")
SPATIAL = Code("309825002", "SCT", "Spatial and Relational Concept")
BACKGROUND = Code("125040", "DCM", "Background")

ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
EPITHELIUM = Code("31610004", "SCT", "Epithelium")
MALIGNANT = Code("21594007", "SCT", "Malignant")

KNOWN = {
    "epithelium": (TISSUE, EPITHELIUM),
    "benign epithelium": (TISSUE, EPITHELIUM),
    "malignant epithelium": (ALTERED, EPITHELIUM),
    "blood": (SUBSTANCE, Code("87612001", "SCT", "Blood")),
    "necrosis": (ALTERED, Code("6574001", "SCT", "Necrosis")),
    "fat": (TISSUE, Code("55603005", "SCT", "Fat")),
    "adipose tissue": (TISSUE, Code("55603005", "SCT", "Fat")),
    "connective tissue": (TISSUE, Code("21793004", "SCT", "Connective tissue")),
    "blood vessel": (TISSUE, Code("59820001", "SCT", "Blood Vessel")),
    "inflammation": (ALTERED, Code("409774005", "SCT", "Inflammation")),
    "background": (SPATIAL, BACKGROUND),
}
"""Class name, lower case: category and type."""
MODIFIERS = {"malignant epithelium": MALIGNANT}
"""Class name: what narrows its type."""
CATEGORY_WORDS = {"secretion": SUBSTANCE}
"""A word of a name without a code of its own that tells its category; other names are tissue."""


def concepts(name: str, *, background: bool = False) -> tuple[Code, Code]:
    """Return category and type of a class, by its name."""
    if background:
        return SPATIAL, BACKGROUND
    known = KNOWN.get(name.casefold())
    if known is not None:
        return known
    words = set(name.casefold().split())
    category = next((code for word, code in CATEGORY_WORDS.items() if word in words), TISSUE)
    return category, private(name)


def private(name: str) -> Code:
    """Return a private code: at most 16 letters and digits (DICOM's SH), its meaning at most 64."""
    value = re.sub(r"[^A-Z0-9]+", "-", name.upper()).strip("-")
    if not 0 < len(value) <= 16:
        value = f"{value[:9].rstrip('-') or 'CLASS'}-{hashlib.sha256(name.encode()).hexdigest()[:6].upper()}"
    return Code(value, PRIVATE_SCHEME, name[:64])
