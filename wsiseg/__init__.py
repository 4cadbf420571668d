"""Whole-slide tissue segmentation: a gigapixel slide in, a tissue label pyramid out.

with wsiseg.open_slide("slide.svs") as slide: ...
model = wsiseg.load_model("tissue8-demo")
result = wsiseg.segment_slide("slide.svs", "out")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsiseg.models import load_model
    from wsiseg.pipeline import segment_slide
    from wsiseg.run.predict_options import PredictOptions
    from wsiseg.run.result import SlideResult
    from wsiseg.slides import open_slide

__version__ = "0.1.0"

__all__ = ["PredictOptions", "SlideResult", "__version__", "load_model", "open_slide", "segment_slide"]

_HOMES = {
    "load_model": "wsiseg.models",
    "open_slide": "wsiseg.slides",
    "segment_slide": "wsiseg.pipeline",
    "SlideResult": "wsiseg.run.result",
    "PredictOptions": "wsiseg.run.predict_options",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
