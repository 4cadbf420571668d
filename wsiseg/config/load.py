"""A config from one YAML file: typed, and refused with its path when a key is unknown."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from wsiseg.config.base import Config
from wsiseg.errors import UsageError

MAX_CONFIG_BYTES = 1_000_000
"""A config is written by hand; anything larger is something else."""

Kind = TypeVar("Kind", bound=Config)


def load_config(path: Path, settings: Sequence[str], kind: type[Kind]) -> Kind:
    """Return the config of a YAML file, changed by `key=value` settings with dotted keys.

    Raises UsageError, in one line with the path of the key, for whatever does not fit.
    """
    values = read_yaml(path)
    for setting in settings:
        apply_setting(values, setting)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"{path.name}: {_said(error.errors()[0], values)}") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file of plain values; no aliases, no tags, no key twice."""
    try:
        size = path.stat().st_size
        if size > MAX_CONFIG_BYTES:
            raise UsageError(f"{path.name}: {size} bytes: expected a config of at most {MAX_CONFIG_BYTES}")
        found = _parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}; give the path of a config") from error
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(f"{path.name}: is no YAML that wsiseg reads: {_short(error)}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path.name}: holds a {type(found).__name__}: expected keys and values")
    return found


def apply_setting(values: dict[str, Any], setting: str) -> None:
    """Put one `key.of.keys=value` into nested mappings; the value is read as YAML."""
    key, equals, text = setting.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise UsageError(f"--set {setting}: expected KEY=VALUE, such as data.root=FOLDER")
    try:
        value = _parse(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(f"--set {setting}: the value is no YAML: {_short(error)}") from error
    at = values
    for part in parts[:-1]:
        inner = at.setdefault(part, {})
        if not isinstance(inner, dict):
            raise UsageError(f"--set {setting}: {part} is a value and has no keys of its own")
        at = inner
    at[parts[-1]] = value


class _PlainLoader(yaml.SafeLoader):
    """The safe loader without aliases, which can blow a small file up, and without keys given twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it uses an alias (*name): write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.YAMLError(f"key {twice[0]} is given twice")
        return super().construct_mapping(node, deep)


def _parse(text: str) -> Any:
    loader = _PlainLoader(text)  # a SafeLoader: plain values only
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _short(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}..."


def _said(error: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """Return what is wrong, with the path of the key as it stands in the file."""
    loc = error["loc"]
    parts, at = [], values
    for place, part in enumerate(loc):
        # A choice among kinds puts the kind's name into the path; in the file there is no such key.
        if isinstance(at, Mapping) and part not in at and place < len(loc) - 1:
            continue
        parts.append(str(part))
        if isinstance(at, Mapping):
            at = at.get(str(part), {})
    path = ".".join(parts) or "config"
    if error["type"] == "extra_forbidden":
        return f"unknown key {path}: leave it out, or look for its right name in the shipped configs"
    if error["type"] == "missing":
        return f"{path} is missing: give it in the file or with --set {path}=VALUE"
    if error["type"] == "union_tag_invalid":
        context = error["ctx"]
        kind = context["discriminator"].strip("'")
        return f"{path}.{kind} is {context['tag']!r}: expected one of {context['expected_tags']}"
    if error["type"] == "union_tag_not_found":
        kind = error["ctx"]["discriminator"].strip("'")
        return f"{path}.{kind} is missing: it says which keys the others are"
    shown = repr(error["input"])
    shown = shown if len(shown) <= 80 else f"{shown[:80]}..."
    return f"{path} is {shown}: {error['msg']}"
