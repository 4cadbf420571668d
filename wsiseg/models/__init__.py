"""Networks, and their weights with a card that says what they are. Needs torch, but not to read a card.

Nothing here imports torch until a name that needs it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsiseg.models.build import MODELS, build_model
    from wsiseg.models.card import Architecture, ModelCard
    from wsiseg.models.checkpoint import save_model
    from wsiseg.models.files import DEFAULT_MODEL, list_models, read_card
    from wsiseg.models.model import Model, load_model

__all__ = [
    "DEFAULT_MODEL",
    "MODELS",
    "Architecture",
    "Model",
    "ModelCard",
    "build_model",
    "list_models",
    "load_model",
    "read_card",
    "save_model",
]

_HOMES = {
    "Architecture": "card",
    "ModelCard": "card",
    "DEFAULT_MODEL": "files",
    "list_models": "files",
    "read_card": "files",
    "MODELS": "build",
    "build_model": "build",
    "Model": "model",
    "load_model": "model",
    "save_model": "checkpoint",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
