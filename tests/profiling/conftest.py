"""A measurement with known numbers."""

import pytest

from wsiseg.profiling.results import (
    Latency,
    Measurement,
    Missing,
    Operator,
    Power,
    Utilisation,
    available,
    unavailable,
)


@pytest.fixture
def one_measurement():
    return Measurement(
        model="espnet",
        trained=False,
        parameters=364_569,
        file_bytes=1_490_000,
        flops=9_400_000_000,
        width_px=1024,
        height_px=512,
        runtime="torch 1.10",
        precision="fp32",
        device="NVIDIA Tegra X2",
        latency=Latency(times_ms=(100.0, 110.0, 130.0), warm_up=10),
        initialise_s=2.0,
        executing=(2.0, 4.0),
        images=20,
        peak_memory=available(200, "MiB"),
        power=(
            Power(
                source="tegrastats",
                rail="VDD_SYS_GPU",
                whole=False,
                gross_w=1.0,
                idle_w=available(0.2, "W"),
                samples=9,
                energy_per_image_j=0.1,
            ),
            Power(
                source="tegrastats",
                rail="VDD_IN",
                whole=True,
                gross_w=6.0,
                idle_w=available(2.0, "W"),
                samples=9,
                energy_per_image_j=0.6,
            ),
        ),
        utilisation=(
            Utilisation(what="cpu", points=((0.5, 1.0), (2.5, 0.2), (3.5, 0.3))),
            Utilisation(what="gpu", points=((0.5, 0.0), (2.5, 0.9), (3.5, 1.0))),
            Utilisation(what="memory", points=((0.5, 0.1), (2.5, 0.4), (3.5, 0.4))),
        ),
        operators=(Operator(name="gemm", share=0.38, calls=80), Operator(name="im2col", share=0.1, calls=80)),
        operators_of="CUDA kernels",
        gpu_clock=available(854.25, "MHz"),
        power_mode="MAXQ (1), Max-Q",
        agreement=available(1.0, "share"),
        missing=(Missing(what="RAPL", reason="no such processor", remedy="none"),),
    )


@pytest.fixture
def without_readings(one_measurement):
    return one_measurement.model_copy(
        update={
            "power": (),
            "utilisation": (),
            "operators": (),
            "gpu_clock": unavailable("MHz", "no GPU", "none"),
            "peak_memory": unavailable("MiB", "no account", "none"),
            "agreement": unavailable("share", "not checked", "none"),
        }
    )
