"""The paper's system metrics, as printed (Mehta et al., ECCV 2018, section 4 and figures 1, 6, 7, 10-14).

Only what stands in its text: curves without numbers are left out rather than read off a picture.
"""

from __future__ import annotations

from dataclasses import dataclass

SIZE = (1024, 512)
TRIALS = 200
PAPER_MHZ = (824, 1134)
"""GPU clocks of the power measurements, figures 7f and 7g."""
SWEEP_SIZES = ((224, 224), (640, 360), (1024, 512), (2048, 1024))
"""Image sizes; 224x224 and 640x360 are named in appendix C, 1024x512 is the paper's default."""
TX2 = "NVIDIA Jetson TX2"


@dataclass(frozen=True)
class Published:
    """What the paper's text says of one network; None where it says nothing."""

    model: str
    size_ratio: float
    """Network size over ESPNet's (figure 7a)."""
    tx2_fps: float | None
    power_w: tuple[float, float]
    """Average power during execution on the TX2, at the two clocks of PAPER_MHZ."""
    memory_alignment_percent: float | None = None
    """Share of the time spent in memory alignment kernels on the TX2."""


NETWORKS = (
    Published("espnet", 1.0, 9.0, (1.0, 2.2), 4.2),
    Published("enet", 1.12, None, (1.5, 4.6), 6.6),
    Published("erfnet", 5.45, None, (2.9, 6.7), 20.0),
)
FPS = {"TitanX": 112.0, "GTX-960M": 21.0, TX2: 9.0}
"""ESPNet, 1024x512, mean of 200 trials."""
GEMM_PERCENT = 38.0
"""Share of ESPNet's top kernel, a matrix product, on the TX2 (figure 11)."""
SPEED_NOTES = (
    "TX2: ESPNet has almost the frame rate of ENet and about 3 times that of ERFNet",
    "TitanX and GTX-960M: ESPNet is 1.27 and 1.16 times as fast as ENet",
    "warp execution efficiency on the TX2: ESPNet about 9 % above ENet and about 14 % above ERFNet",
    "CPU utilisation on the TX2 in Max-Q mode: below 25 % on average, for all three",
)
ALIASES = {"espnet": ("espnet", "espnet-cityscapes"), "enet": ("enet",), "erfnet": ("erfnet",)}


def published(model: str) -> Published | None:
    """Return what the paper says of a network, by its name."""
    for item in NETWORKS:
        if model in ALIASES[item.model]:
            return item
    return None
