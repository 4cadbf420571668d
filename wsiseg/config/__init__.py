"""What a run depends on, from one YAML file: typed, and refused with its path when a key is unknown."""

from wsiseg.config.base import Config, Location, Name
from wsiseg.config.data import (
    CityscapesData,
    Data,
    ExtraList,
    FolderData,
    MapillaryData,
    RegionsData,
    SlidesData,
    VocData,
)
from wsiseg.config.evaluate import Bootstrap, CalibrateConfig, EvaluateConfig, ModelChoice
from wsiseg.config.load import apply_setting, load_config, read_yaml

__all__ = [
    "Bootstrap",
    "CalibrateConfig",
    "CityscapesData",
    "Config",
    "Data",
    "EvaluateConfig",
    "ExtraList",
    "FolderData",
    "Location",
    "MapillaryData",
    "ModelChoice",
    "Name",
    "RegionsData",
    "SlidesData",
    "VocData",
    "apply_setting",
    "load_config",
    "read_yaml",
]
