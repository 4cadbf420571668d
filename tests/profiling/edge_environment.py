"""Make an environment with what JetPack 4.6 has, Python 3.6 and torch 1.10.2; the former must be here.

python tests/profiling/edge_environment.py .venv-edge
"""

import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = ("torch==1.10.2", "numpy==1.19.5")
PIP = "pip==21.3.1"
"""The last one for Python 3.6."""


def find_python() -> str | None:
    """Return a Python 3.6 on the path or of pyenv, one that really starts."""
    candidates = [shutil.which("python3.6")]
    pyenv = shutil.which("pyenv")
    if pyenv:
        said = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=False).stdout.strip()
        candidates += sorted(str(path) for path in Path(said).glob("versions/3.6*/bin/python3.6"))
    for candidate in candidates:
        if candidate is None:
            continue
        command = [candidate, "-c", "import sys; sys.exit(sys.version_info[:2] != (3, 6))"]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return candidate
    return None


def main() -> None:
    folder = Path(sys.argv[1])
    done = folder / "installed"
    if done.exists():
        return
    python = find_python()
    if python is None:
        print("no Python 3.6 here: the test of the runner under Python 3.6 will be skipped")
        return
    print(f"installing {', '.join(PACKAGES)} into {folder} (900 MB are fetched)", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([python, "-m", "venv", folder], check=True)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, PIP], check=True)
    subprocess.run([*pip, *PACKAGES], check=True)
    done.touch()


if __name__ == "__main__":
    main()
