"""Reports of known numbers, and of hostile ones; the commands as a user types them."""

import json

import pytest
from fake_jetson import METRICS, TIMES
from typer.testing import CliRunner

from wsiseg.cli.main import app
from wsiseg.profiling import published
from wsiseg.profiling.kernels.nvprof import read_nvprof
from wsiseg.profiling.modules import compare_modules
from wsiseg.profiling.report import tables
from wsiseg.profiling.report.build import write_report
from wsiseg.profiling.report.document import Document, Section, Table, as_html, as_markdown
from wsiseg.profiling.results import Latency, Missing, Results, available

ALL_PLOTS = {
    "speed-network-size.png",
    "speed-image-size.png",
    "speed-frequency.png",
    "sensitivity.png",
    "utilisation-mean.png",
    "utilisation-time.png",
    "power-speed.png",
    "power-frequency.png",
    "efficiency.png",
    "top-operators.png",
    "modules.png",
}


@pytest.fixture
def swept(one_measurement):
    """Two networks, two sizes, two clocks."""
    found = []
    for model, factor in (("espnet", 1.0), ("erfnet", 3.0)):
        for width in (512, 1024):
            for mhz in (854.25, 1122.0):
                time = 100 * factor * width / 1024 * (854.25 / mhz) ** 0.5
                update = {
                    "model": model,
                    "width_px": width,
                    "latency": Latency(times_ms=(time,), warm_up=1),
                    "gpu_clock": available(mhz, "MHz"),
                    "file_bytes": round(1_490_000 * factor),
                }
                found.append(one_measurement.model_copy(update=update))
    return Results(
        machine={"board": "quill"},
        measurements=tuple(found),
        kernels=(read_nvprof([TIMES, METRICS], "espnet"), read_nvprof([TIMES, METRICS], "erfnet")),
    )


def test_every_plot_of_the_paper_is_drawn_where_there_is_data(swept, tmp_path):
    written = write_report(swept, tmp_path, compare_modules())
    assert {path.name for path in (tmp_path / "plots").iterdir()} == ALL_PLOTS
    assert all(path.is_file() for path in written)
    for name in ALL_PLOTS:
        assert (tmp_path / "plots" / name).read_bytes().startswith(b"\x89PNG")
        assert f"plots/{name}" in (tmp_path / "report.md").read_text(encoding="utf-8")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == len(ALL_PLOTS)
    assert "<script" not in page


def test_what_has_no_data_is_named_not_drawn(without_readings, tmp_path):
    write_report(Results(machine={}, measurements=(without_readings,)), tmp_path)
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"speed-network-size.png"}
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    for name in ALL_PLOTS - {"speed-network-size.png"}:
        assert f"{name}: not drawn" in text.replace("\\", "")
    assert "not available" in text
    assert "RAPL" in text


def test_report_without_matplotlib_says_so(one_measurement, tmp_path, monkeypatch):
    monkeypatch.setattr("wsiseg.profiling.report.build.can_plot", lambda: False)
    write_report(Results(machine={}, measurements=(one_measurement,)), tmp_path)
    assert not (tmp_path / "plots").exists()
    assert "wsiseg\\[plots\\]" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_utilisation_is_that_of_the_execution(one_measurement):
    """The readings before the first timed call, at 0.5 s, do not count."""
    row = tables.utilisation([one_measurement]).rows[0]
    assert list(row) == ["espnet", "1024x512", "854", "25 %", "95 %", "40 %"]


def test_power_is_gross_idle_and_net_beside_the_papers(one_measurement):
    rows = {row[3]: list(row) for row in tables.power([one_measurement]).rows}
    whole = rows["tegrastats: VDD_IN (whole)"]
    assert whole[4:8] == ["6.00", "2.00", "4.00", "0.600"]
    assert whole[-1] == "1 at 824 MHz, 2.2 at 1134 MHz"
    assert one_measurement.whole_power().rail == "VDD_IN"


def test_nothing_read_is_never_zero(without_readings):
    assert tables.power([without_readings]) is None
    assert tables.agreement([without_readings]) is None
    assert list(tables.utilisation([without_readings]).rows[0][3:]) == ["not available"] * 3
    assert "not available" in tables.overview([without_readings]).rows[0]


def test_ratios_compare_like_with_like(swept):
    rows = tables.ratios(swept.measurements).rows
    assert [(row[0], row[1], row[2], row[3], row[4], row[6]) for row in rows] == [
        ("erfnet", size, mhz, "3.00", "5.45", "3.00")
        for size in ("512x512", "1024x512")
        for mhz in ("854", "1122")
    ]


def test_published_figures():
    assert [(item.model, item.power_w) for item in published.NETWORKS] == [
        ("espnet", (1.0, 2.2)),
        ("enet", (1.5, 4.6)),
        ("erfnet", (2.9, 6.7)),
    ]
    assert published.published("tissue8-demo") is None


HOSTILE = "<script>alert(1)</script> $\\frac{ \u4e00 | `x` [a](javascript:b) \x1b[31m\n# heading"


def test_hostile_text_stays_text(one_measurement, tmp_path):
    item = one_measurement.model_copy(
        update={"model": HOSTILE, "missing": (Missing(what=HOSTILE, reason=HOSTILE, remedy=HOSTILE),)}
    )
    write_report(Results(machine={HOSTILE: HOSTILE}, measurements=(item,), notes=(HOSTILE,)), tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "<script" not in text.replace("\\<", "")
    assert "\x1b" not in text
    assert "\n# heading" not in text


def test_document_forms():
    document = Document("T", [Section("S", ["p"], Table(["a", "b"], [["1|2", "x"]]), ["p.png"])])
    assert as_markdown(document) == (
        "# T\n\n## S\n\np\n\n| a | b |\n|---|---|\n| 1\\|2 | x |\n\n![S](plots/p.png)\n"
    )
    assert '<img alt="S"' in as_html(document, {"p.png": b"x"})


def invoke(*arguments):
    return CliRunner().invoke(app, ["profile", *map(str, arguments)])


def test_commands_on_files(tmp_path, swept):
    (tmp_path / "times.csv").write_text(TIMES)
    (tmp_path / "metrics.csv").write_text(METRICS)
    said = invoke("kernels", tmp_path / "times.csv", tmp_path / "metrics.csv", "--name", "espnet", "--json")
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout)["kernels"][0]["efficiencies"][0]["percent"] == pytest.approx(95)
    (tmp_path / "clocks.csv").write_text("model,gpu_mhz,time_ms\na,800,100\na,1200,70\n")
    assert "0.60" in invoke("clocks", "--measured", tmp_path / "clocks.csv").output
    assert "33 x 33" in invoke("modules").output
    (tmp_path / "in.json").write_text(swept.model_dump_json())
    said = invoke("report", tmp_path / "in.json", "-o", tmp_path / "report")
    assert said.exit_code == 0, said.output
    assert "report.html" in said.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no-such-network"], "no-such-network"),
        (["espnet", "--size", "big"], "WIDTHxHEIGHT"),
        (["espnet", "--size", "60x60"], "multiples of 8"),
        (["espnet", "espnet"], "named twice"),
        (["espnet", "--device", "abacus"], "abacus"),
        (["clocks", "--measured", "absent.csv"], "absent.csv"),
        (["kernels"], "either the CSV files"),
        (["report", "absent.tar.gz"], "absent.tar.gz"),
        (["report", "absent.json"], "absent.json"),
    ],
)
def test_wrong_use_is_one_line(arguments, said):
    from wsiseg.errors import WsisegError

    done = invoke(*arguments)
    assert isinstance(done.exception, WsisegError)
    assert said in str(done.exception)
    assert "\n" not in str(done.exception)


def test_report_does_not_replace_its_input(tmp_path, swept):
    (tmp_path / "results.json").write_text(swept.model_dump_json())
    done = invoke("report", tmp_path / "results.json", "-o", tmp_path)
    assert "would be replaced" in str(done.exception)
    assert list(tmp_path.iterdir()) == [tmp_path / "results.json"]
