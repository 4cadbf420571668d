"""The networks that the paper compares, and what its text and tables say of each.

Figure 6 is a drawing: what stands in it alone is left out here rather than read off the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

BASE = "espnet"
BASE_MILLIONS = 0.364


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One network; None and empty where the paper prints nothing."""

    model: str
    """For `build_model`."""
    millions: float | None = None
    """Parameters, table 1c."""
    parameters_ratio: float | None = None
    """Over ESPNet's, in words; else from table 1c."""
    size_ratio: float | None = None
    """File over ESPNet's, figure 7a."""
    slower: str = ""
    """How many times as fast ESPNet is."""
    watts: str = ""
    voc: float | None = None
    """mIoU on the PASCAL VOC test set, table 1c."""
    cityscapes: tuple[float, float] | None = None
    """Class and category mIoU on the Cityscapes test set, table 4."""

    @property
    def ratio(self) -> float | None:
        """Parameters over ESPNet's, as printed, or from the printed counts."""
        if self.parameters_ratio is not None or self.millions is None:
            return self.parameters_ratio
        return self.millions / BASE_MILLIONS


NETWORKS = (
    Compared(
        model=BASE,
        millions=BASE_MILLIONS,
        size_ratio=1.0,
        slower="112 FPS (TitanX), 21 (GTX-960M), 9 (TX2)",
        watts="1.0, 2.2 (TX2)",
        voc=63.01,
        cityscapes=(60.34, 82.18),
    ),
    Compared(
        model="enet",
        size_ratio=1.12,
        slower="1.27 (TitanX), 1.16 (GTX-960M), almost 1 (TX2)",
        watts="1.5, 4.6 (TX2)",
        cityscapes=(58.29, 80.40),
    ),
    Compared(
        model="erfnet",
        parameters_ratio=5.5,
        size_ratio=5.45,
        slower="about 3 (TX2)",
        watts="2.9, 6.7 (TX2)",
        cityscapes=(68.02, 86.46),
    ),
    Compared(model="sqnet"),
    Compared(model="segnet", millions=29.5, parameters_ratio=81, voc=59.10),
    Compared(model="deeplab-v2", millions=44.04, voc=79.70),
    Compared(model="lrr", millions=48, voc=79.30),
    Compared(
        model="pspnet",
        millions=65.7,
        parameters_ratio=180,
        slower="22 (a standard GPU), about 1 FPS (laptop)",
        watts="77 (laptop's battery)",
        voc=85.40,
    ),
    Compared(model="refinenet", millions=42.6, voc=82.40),
    Compared(model="fcn8s", millions=134.5, voc=67.20),
    Compared(model="dilation8", millions=141.13, voc=75.30),
)
"""From the smallest to the largest as built here."""


def compared(model: str) -> Compared:
    """Return what the paper says of a network; nothing of one that it does not compare."""
    return next((item for item in NETWORKS if item.model == model), Compared(model=model))
