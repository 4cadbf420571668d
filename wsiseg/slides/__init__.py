"""Pixels in: open slides of any supported kind and read them lazily.

Each name is loaded when it is first used; importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsiseg.slides.array import ArraySlide
    from wsiseg.slides.describing import brightfield_warning, describe
    from wsiseg.slides.names import slide_id
    from wsiseg.slides.opening import BACKENDS, open_slide
    from wsiseg.slides.physical import MAX_MPP, MIN_MPP, parse_mpp, plausible, resolve_mpp
    from wsiseg.slides.slide import RGB, Level, Slide, SlideClosedError

_MODULES = {
    "array": ("ArraySlide",),
    "describing": ("brightfield_warning", "describe"),
    "names": ("slide_id",),
    "opening": ("BACKENDS", "open_slide"),
    "physical": ("MAX_MPP", "MIN_MPP", "parse_mpp", "plausible", "resolve_mpp"),
    "slide": ("RGB", "Level", "Slide", "SlideClosedError"),
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
    from importlib import import_module

    for module, names in _MODULES.items():
        if name in names:
            value = getattr(import_module(f"{__name__}.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
