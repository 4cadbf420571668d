"""The options of networks: few, literal and typed. Each is checked before anything is built. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, get_args

from wsiseg.errors import UsageError, choose
from wsiseg.models.espnet_layout import STRIDED_K, Decoder, Down, EncoderOptions, ESPNetLayout, Module

MAX_ALPHA = 64
"""More modules than any published network has; a card that asks for more is damaged or hostile."""
MAX_DIAGNOSES = 64

_CHOICES: dict[str, Sequence[object]] = {
    "activation": ("prelu", "relu"),
    "residual": (True, False),
    "hff": (True, False),
    "dilated": (True, False),
    "downsampling": get_args(Down),
    "reduce_kernel": (1, 3),
    "module": get_args(Module),
    "decoder": get_args(Decoder),
    "k": (2, 3, 4, 5, 6, 7, 8),
    "width": (8, 16, 32, 64),
    "diagnoses": range(2, MAX_DIAGNOSES + 1),
    "idle_branches": (True, False),
    "stem": ("deep", "single"),
}


def espnet_layout(num_classes: int, *, decoder: Decoder = "v1", **options: Any) -> ESPNetLayout:
    """Return what an ESPNet with these options is made of. Raises UsageError with the rule that is broken."""
    check_choices("espnet", {"decoder": decoder})
    if num_classes < STRIDED_K:
        raise UsageError(
            f"espnet has {num_classes} classes: its decoder divides the classes over {STRIDED_K} branches, "
            f"so it needs {STRIDED_K} or more; use espnet-c, or add classes"
        )
    return ESPNetLayout(num_classes, encoder_options("espnet", options), decoder)


def encoder_options(name: str, options: dict[str, Any]) -> EncoderOptions:
    """Return the options of an encoder of ESPNet, checked."""
    known = [field.name for field in fields(EncoderOptions)]
    check_known(name, options, known, ["decoder"] if name == "espnet" else [])
    for option in ("alpha2", "alpha3"):
        value = options.get(option, 1)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_ALPHA:
            raise UsageError(f"{name}: {option} is {value!r}: expected a whole number from 1 to {MAX_ALPHA}")
    check_choices(name, options)
    chosen = EncoderOptions(**options)
    _check_combination(name, chosen, options)
    return chosen


def check_known(name: str, options: dict[str, Any], known: list[str], elsewhere: Sequence[str] = ()) -> None:
    """Raise UsageError for an option that a network does not have."""
    for option in options:
        if option in known:
            continue
        if not known:
            raise UsageError(f"{name} has no options, but {option} is given: leave it out")
        raise UsageError(choose(f"option of {name}", option, [*known, *elsewhere]))


def check_choices(name: str, options: dict[str, Any]) -> None:
    """Raise UsageError for an option with a value, or of a type, that it cannot have."""
    for option, valid in _CHOICES.items():
        if option not in options:
            continue
        value = options[option]
        # 1 == True in Python; a typed option keeps them apart.
        if not any(value == item and type(value) is type(item) for item in valid):
            said = f"{valid[0]} to {valid[-1]}" if isinstance(valid, range) else ", ".join(map(str, valid))
            raise UsageError(f"{name}: {option} is {value!r}: expected one of {said}")


def _check_combination(name: str, chosen: EncoderOptions, given: dict[str, Any]) -> None:
    if chosen.module == "esp":
        return
    for option in ("residual", "hff", "dilated", "reduce_kernel"):
        if option in given and given[option] != EncoderOptions.__dataclass_fields__[option].default:
            raise UsageError(
                f"{name}: {option}={given[option]!r} changes the ESP module, but module is "
                f"{chosen.module!r}; leave one of the two out"
            )
    if chosen.module == "shufflenet" and given.get("k", 4) != 4:
        raise UsageError(
            f"{name}: k is {chosen.k} with module 'shufflenet': the paper takes K = 4 and g = 4; leave k out"
        )
