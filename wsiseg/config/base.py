"""What all configs have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _at_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError(f"{error}; write the path out") from error


Name = Annotated[str, Field(min_length=1, max_length=100)]
Location = Annotated[Path, AfterValidator(_at_home)]
"""A path, from where the command is run; `~` is the user's home."""


class Config(BaseModel):
    """Base of the configs: given by keyword, frozen, no keys but the listed ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)
