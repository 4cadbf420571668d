"""Lines of tegrastats: the real excerpts whole, and hand-made ones for what must not be taken for a line."""

import pytest

from wsiseg.profiling.tegrastats import Core, Rail, parse_line, parse_log

EXCERPTS = {
    # file: lines that are tegrastats's, lines that are not (a date that a logger wrote)
    "tx2_r28_tegrastats_excerpt.txt": (80, 0),
    "tx2_r32_tegrastats_excerpt.txt": (79, 1),
    "xavier_nx_r35_tegrastats_excerpt.txt": (40, 0),
    "tegrastats_single_lines.txt": (35, 0),
}


@pytest.mark.shared
@pytest.mark.parametrize("name", EXCERPTS)
def test_every_line_of_the_excerpts_is_understood(shared_data, name):
    lines = (shared_data / "tegra" / name).read_text(encoding="utf-8").splitlines()
    log = parse_log(line for line in lines if not line.startswith("#"))
    assert (len(log.lines), log.garbage) == EXCERPTS[name]
    assert [line.unknown for line in log.lines if line.unknown] == []
    for line in log.lines:
        assert 0 <= line.cpu_percent <= 100
        assert 0 < line.memory_percent < 100


@pytest.mark.shared
def test_values_of_real_lines(shared_data):
    text = (shared_data / "tegra" / "tegrastats_single_lines.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    oldest = parse_line(lines[0])
    assert (oldest.ram_used_mb, oldest.emc_mhz, oldest.gpu_mhz, oldest.rails) == (2632, 1866, (1300,), {})
    off = next(parse_line(line) for line in lines if "1154x4MB" in line)
    assert off.cores[1] is None
    assert off.cores[0] == Core(1.0, 345)
    assert off.gpu_mhz == (624,)
    assert off.rails["VDD_IN"] == Rail(3056, 3056)
    orin = next(parse_line(line) for line in lines if "NVDEC 40%@115" in line)
    assert (orin.gpu_percent, orin.gpu_mhz, orin.engines["NVDEC"]) == (84.0, (713,), "40%@115")
    assert orin.rails["VDD_IN"] == Rail(17946, 15710)
    assert orin.time_text == "05-15-2025 18:30:28"
    clusters = next(parse_line(line) for line in lines if "[305,305]" in line)
    assert clusters.gpu_mhz == (305, 305)
    assert clusters.engines["NVENC"] == "off"
    asleep = next(parse_line(line) for line in lines if "-256C" in line)
    assert "GPU" not in asleep.temperatures_c
    assert "NC" not in asleep.rails
    latest = next(parse_line(line) for line in lines if "07-25-2026" in line)
    assert latest.temperatures_c["cpu"] == 52.968
    assert latest.rails["VIN_SYS_5V0"] == Rail(5500, 5500)
    xavier = next(parse_line(line) for line in lines if "GPU 463/463" in line)
    assert (xavier.temperatures_c["GPU"], xavier.rails["GPU"]) == (30.5, Rail(463, 463))


LINE = "RAM 895/7859MB (lfb 26x4MB) CPU [1%@345,off,5%@345] EMC_FREQ 0% GR3D_FREQ 4% VDD_IN 1610/1658"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Tue Jan 26 18:22:31 UTC 2021",
        "tegrastats: command not found",
        "RAM 895/7859MB (lfb 26x4MB)",
        "CPU [1%@345]",
        LINE.replace("1%@345", "many"),
        LINE + " x" * 5000,
        "\0\xff" * 50,
    ],
)
def test_garbage_is_no_line(text):
    assert parse_line(text) is None


def test_garbage_is_counted_and_named():
    log = parse_log(["", "  ", "what?", LINE, "again", LINE])
    assert (len(log.lines), log.garbage, log.first_garbage) == (2, 2, "what?")


def test_what_is_new_in_a_line_is_kept_apart():
    line = parse_line(LINE + " QUANTUM<7>")
    assert line.unknown == ("QUANTUM<7>",)
    assert line.rails == {"VDD_IN": Rail(1610, 1658)}
    assert line.cpu_percent == 3.0
    assert line.gpu_mhz == ()
