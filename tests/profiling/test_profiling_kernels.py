"""Kernel counters: hand-made profiles whose means can be computed on paper, and real ones of nvprof."""

import sys

import pytest
from fake_jetson import METRICS, TIMES

from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.profiling.kernels import ncu, nvprof, run
from wsiseg.profiling.kernels.counters import COUNTERS
from wsiseg.profiling.kernels.tables import number, tables
from wsiseg.profiling.measure.child import Job


def by_name(report):
    return {item.name: item for item in report.efficiencies}


def test_nvprof_means_are_weighted_by_time():
    """3 ms at 100 % and 1 ms at 80 %: 95 %. The kernel without shared accesses does not count there."""
    found = by_name(nvprof.read_nvprof([METRICS, TIMES], "espnet"))
    assert found["warp_execution_efficiency"].percent == pytest.approx(95)
    assert found["warp_execution_efficiency"].covered == 1
    assert found["shared_efficiency"].percent == pytest.approx(50)
    assert found["shared_efficiency"].covered == pytest.approx(0.75)
    assert "gld_efficiency" not in found


def test_nvprof_top_kernels_leave_out_copies_and_api_calls():
    report = nvprof.read_nvprof([TIMES], "espnet")
    assert [(item.name, item.share, item.calls) for item in report.top] == [
        ("void gemm<float, int=4>(float*)", 0.75, 10),
        ("im2col(float*)", 0.25, 10),
    ]
    assert {item.what for item in report.missing} == {counter.nvprof for counter in COUNTERS}


def test_nvprof_units_are_read():
    in_us = TIMES.replace(",%,ms,,ms,ms,ms,", ",%,us,,us,us,us,")
    assert [item.share for item in nvprof.read_nvprof([in_us], "x").top] == [0.75, 0.25]
    without = TIMES.replace(",%,ms,,ms,ms,ms,\n", "")
    assert nvprof.read_nvprof([without], "x").top == ()


@pytest.mark.shared
def test_real_nvprof_output(shared_data):
    folder = shared_data / "tegra"
    times = (folder / "nvprof_time_k20c_excerpt.csv").read_text(encoding="utf-8")
    metrics = (folder / "nvprof_metrics_k20c_excerpt.csv").read_text(encoding="utf-8")
    top = nvprof.read_nvprof([times], "forma").top
    assert len(top) == 5
    assert top[0].name.startswith("__kernel___forma_kernel__0__")
    assert top[0].calls == 3
    assert top[0].share == pytest.approx(
        63.890299 / (63.890299 + 13.650686 + 13.607806 + 13.435546 + 13.376506)
    )
    # The two excerpts are of different programs: counters without times give no mean, and say so.
    both = nvprof.read_nvprof([times, metrics], "forma")
    assert both.efficiencies == ()
    assert any("not in the table of times" in item.reason for item in both.missing)
    # With its time, the real kernel's real counters come out.
    kernel = '"__kernel___forma_kernel__0__(float*, int, int, int, int, int, int, float*)"'
    own = times.split("Name")[0] + f'Name"\n%,ms,,ms,ms,ms,\n100.0,5.0,2,2.5,2.5,2.5,{kernel}\n'
    found = by_name(nvprof.read_nvprof([own, metrics], "forma"))
    assert found["warp_execution_efficiency"].percent == 100
    assert found["shared_efficiency"].percent == pytest.approx(45.732169)
    assert found["gst_efficiency"].percent == pytest.approx(78.154206)
    assert "gld_efficiency" not in found  # 0 %: this kernel loads through another path


WARP, LOADS, STORES, SHARED = (counter.ncu for counter in COUNTERS)
LONG = f'''==PROF== Connected to process 1 (python)
the program's own words, with a comma
"ID","Process ID","Process Name","Host Name","Kernel Name","Context","Stream","Section Name","Metric Name","Metric Unit","Metric Value"
"0","1","p","h","gemm","1","7","Command line profiler metrics","{ncu.NCU_TIME}","usecond","3,000"
"0","1","p","h","gemm","1","7","Command line profiler metrics","{WARP}","","32"
"0","1","p","h","gemm","1","7","Command line profiler metrics","{LOADS}","%","25"
"1","1","p","h","im2col","1","7","Command line profiler metrics","{ncu.NCU_TIME}","usecond","1,000"
"1","1","p","h","im2col","1","7","Command line profiler metrics","{WARP}","","16"
"1","1","p","h","im2col","1","7","Command line profiler metrics","{LOADS}","%","n/a"
==PROF== Disconnected from process 1
'''
WIDE = f'''"ID","Process ID","Kernel Name","Context","{ncu.NCU_TIME}","{WARP}","{LOADS}"
"","","","","nsecond","",%
"0","1","gemm","1","3,000,000","32","25"
"1","1","im2col","1","1,000,000","16","n/a"
'''


@pytest.mark.parametrize("text", [LONG, WIDE])
def test_ncu_in_both_of_its_forms(text):
    """3 ms with 32 of 32 threads and 1 ms with 16: 87.5 %; loads of 25 % for the three quarters that say so."""
    assert ncu.is_ncu(text)
    report = ncu.read_ncu(text, "espnet")
    found = by_name(report)
    assert found["warp_execution_efficiency"].percent == pytest.approx(87.5)
    assert found["gld_efficiency"].percent == pytest.approx(25)
    assert found["gld_efficiency"].covered == pytest.approx(0.75)
    assert [(item.name, item.share) for item in report.top] == [("gemm", 0.75), ("im2col", 0.25)]


@pytest.mark.parametrize("text", ["", "hello", "a,b\n1,2\n", '"unclosed,\n', "\0" * 100])
def test_what_is_no_profile_is_refused(text):
    with pytest.raises(InputRefusedError, match="expected"):
        nvprof.read_nvprof([text], "x")
    with pytest.raises(InputRefusedError, match="expected"):
        ncu.read_ncu(text, "x")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("45.7%", 45.7),
        ("1,024", 1024),
        ("9.0e-03", 0.009),
        ("n/a", None),
        ("", None),
        ("inf", None),
        ("nan", None),
    ],
)
def test_numbers(text, value):
    assert number(text) == value


def test_rows_that_are_not_of_the_table_are_left_out():
    (rows,) = tables("x,y\nname,n\na,1\nprinted, by, the program\nb,2\n", headings={"name", "n"})
    assert rows == [{"name": "a", "n": "1"}, {"name": "b", "n": "2"}]


NCU = f"""#!{sys.executable}
import sys
sys.stdout.write({WIDE!r})
"""


def job(device):
    return Job(
        model="espnet",
        width_px=64,
        height_px=64,
        runtime="torch",
        precision="fp32",
        device=device,
        version="",
        threads=1,
        trials=1,
        warm_up=1,
        min_seconds=0,
    )


def test_running_ncu(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="no program ncu"):
        run.run_ncu(job("cuda"))
    program = tmp_path / "ncu"
    program.write_text(NCU)
    program.chmod(0o755)
    with pytest.raises(UsageError, match="CPU"):
        run.run_ncu(job("cpu"))
    assert by_name(run.run_ncu(job("cuda")))["warp_execution_efficiency"].percent == pytest.approx(87.5)
    program.write_text(f"#!{sys.executable}\nprint('==ERROR== ERR_NVGPUCTRPERM'); raise SystemExit(1)\n")
    with pytest.raises(UsageError, match="NVreg_RestrictProfilingToAdminUsers"):
        run.run_ncu(job("cuda"))
