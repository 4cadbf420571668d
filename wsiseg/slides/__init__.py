"""Pixels in: open slides of any supported kind and read them lazily.

Everything here is loaded when it is first used; importing the package is quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wsiseg.slides.names import slide_id
from wsiseg.slides.opening import BACKENDS, open_slide
from wsiseg.slides.physical import MAX_MPP, MIN_MPP, parse_mpp, plausible, resolve_mpp
from wsiseg.slides.slide import RGB, Level, Slide, SlideClosedError

if TYPE_CHECKING:
    from wsiseg.slides.array import ArraySlide
    from wsiseg.slides.describing import brightfield_warning, describe

_LAZY = {
    "ArraySlide": "wsiseg.slides.array",
    "brightfield_warning": "wsiseg.slides.describing",
    "describe": "wsiseg.slides.describing",
}

__all__ = [
    "BACKENDS",
    "MAX_MPP",
    "MIN_MPP",
    "RGB",
    "ArraySlide",
    "Level",
    "Slide",
    "SlideClosedError",
    "brightfield_warning",
    "describe",
    "open_slide",
    "parse_mpp",
    "plausible",
    "resolve_mpp",
    "slide_id",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
