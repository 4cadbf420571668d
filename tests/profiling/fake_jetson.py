"""A Jetson TX2 that is not there: a sysfs tree, and programs that answer as NVIDIA's do.

`tegrastats` replays lines of a log at the interval that it is asked for; `nvpmodel` keeps a mode in a file
and answers in the words of L4T R32; `nvprof` runs its program and leaves a log of the real form.
"""

import os
import sys
from pathlib import Path

GPU = "sys/devices/17000000.gp10b/devfreq/17000000.gp10b"
CLOCKS_R32 = (
    "114750000 216750000 318750000 420750000 522750000 624750000 726750000 854250000 930750000 1032750000 "
    "1122000000 1236750000 1300500000"
)
RAILS = {
    "0-0040": {"VDD_SYS_GPU": 153, "VDD_SYS_SOC": 383, "VDD_4V0_WIFI": 0},
    "0-0041": {"VDD_IN": 1840, "VDD_SYS_CPU": 306, "VDD_SYS_DDR": 269},
}

TEGRASTATS = """#!{python}
import sys, time
interval = int(sys.argv[sys.argv.index("--interval") + 1]) / 1000.0
with open({log!r}, errors="replace") as file:
    lines = [line.rstrip("\\n") for line in file]
try:
    while True:
        for line in lines:
            print(line, flush=True)
            time.sleep(interval)
except (KeyboardInterrupt, BrokenPipeError):
    pass
"""

NVPMODEL = """#!{python}
import pathlib, sys
state = pathlib.Path({state!r})
names = ["MAXN", "MAXQ", "MAXP_CORE_ALL", "MAXP_CORE_ARM", "MAXP_CORE_DENVER"]
if sys.argv[1] == "-m":
    state.write_text(state.read_text() + sys.argv[2] + "\\n")
else:
    mode = state.read_text().split()[-1]
    print("NV Power Mode: " + names[int(mode)] + "\\n" + mode)
"""

NVPROF = """#!{python}
import pathlib, subprocess, sys
log = pathlib.Path(sys.argv[sys.argv.index("--log-file") + 1])
program = sys.argv.index({interpreter!r})
text = {metrics!r} if "--metrics" in sys.argv[:program] else {times!r}
log.write_text(text)
sys.exit(subprocess.call(sys.argv[program:]))
"""

TIMES = """==7== NVPROF is profiling process 7, command: python3
==7== Profiling result:
"Type","Time(%)","Time","Calls","Avg","Min","Max","Name"
,%,ms,,ms,ms,ms,
"GPU activities",60.0,3.0,10,0.3,0.3,0.3,"void gemm<float, int=4>(float*)"
"GPU activities",20.0,1.0,10,0.1,0.1,0.1,"im2col(float*)"
"GPU activities",20.0,1.0,2,0.5,0.5,0.5,"[CUDA memcpy HtoD]"
"API calls",99.0,80.0,12,6.6,6.6,6.6,"cudaLaunchKernel"
"""

METRICS = """==8== Metric result:
"Device","Kernel","Invocations","Metric Name","Metric Description","Min","Max","Avg"
"NVIDIA Tegra X2 (0)","void gemm<float, int=4>(float*)",10,"warp_execution_efficiency","W","1%","1%","100.000000%"
"NVIDIA Tegra X2 (0)","im2col(float*)",10,"warp_execution_efficiency","W","1%","1%","80.000000%"
"NVIDIA Tegra X2 (0)","void gemm<float, int=4>(float*)",10,"shared_efficiency","S","1%","1%","50.000000%"
"NVIDIA Tegra X2 (0)","im2col(float*)",10,"shared_efficiency","S","0%","0%","0.000000%"
"""


def write(path: Path, text: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


def make_tree(root: Path) -> Path:
    """Write the sysfs of a TX2 with L4T R32; its clock follows the upper limit."""
    write(root / GPU / "available_frequencies", CLOCKS_R32)
    write(root / GPU / "min_freq", 114750000)
    write(root / GPU / "max_freq", 1300500000)
    (root / GPU / "cur_freq").symlink_to("max_freq")
    write(root / "sys/devices/gpu.0/load", 870)
    write(root / "proc/device-tree/model", "quill")
    for address, rails in RAILS.items():
        for channel, (name, milliwatts) in enumerate(rails.items()):
            folder = root / f"sys/bus/i2c/drivers/ina3221x/{address}/iio_device"
            write(folder / f"rail_name_{channel}", name)
            write(folder / f"in_power{channel}_input", milliwatts)
    return root


def make_programs(folder: Path, log: Path, interpreter: str = sys.executable) -> dict[str, str]:
    """Write the programs and return an environment in which they are found first; mode 0 is set."""
    folder.mkdir()
    state = folder / "mode"
    state.write_text("0\n")
    texts = {
        "tegrastats": TEGRASTATS.format(python=sys.executable, log=str(log)),
        "nvpmodel": NVPMODEL.format(python=sys.executable, state=str(state)),
        "nvprof": NVPROF.format(python=sys.executable, interpreter=interpreter, times=TIMES, metrics=METRICS),
    }
    for name, text in texts.items():
        program = folder / name
        program.write_text(text)
        program.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
