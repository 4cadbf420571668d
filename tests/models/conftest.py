"""Networks on small pictures: more threads only wait for each other."""

import pytest
import torch

from wsiseg.class_map import TISSUE8
from wsiseg.models.card import Architecture, ModelCard


@pytest.fixture(scope="package", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def saved_card():
    """Make a valid card of an untrained network, with changes."""

    def make(**changes):
        fields = {
            "name": "small",
            "summary": "a network for tests",
            "architecture": Architecture(name="espnet", num_classes=8, options={"alpha3": 1}),
            "classes": TISSUE8.classes,
            "domain": "slide",
            "mpp": 1.0,
            "mean": (120.0, 121.0, 122.0),
            "std": (50.0, 51.0, 52.0),
            "licence": "Apache-2.0",
            "source": "tests",
            "training_data": "none",
        }
        return ModelCard.model_validate({**fields, **changes})

    return make
