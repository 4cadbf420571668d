#!/usr/bin/env bash
# The plug-in's tests, in windows on a screen that nobody sees: run_tests.sh VENV, where wsiseg is installed.
# They have an environment of their own beside it, so that Qt can break nothing else. Where no window can be had
# (no xvfb-run, no OpenGL, no napari to install) they are skipped, and that is said.
set -euo pipefail
cd "$(dirname "$0")/../.."

core=$(realpath "$1")
venv=$core-napari
skip() {
    echo "SKIPPED: the napari plug-in's tests ($1)"
    exit 0
}

command -v xvfb-run >/dev/null || skip "xvfb-run is missing; on Debian: apt-get install xvfb libegl1 libgl1-mesa-dri"

stamp=$venv/.installed
if [[ ! -f $stamp || plugins/napari-wsiseg/pyproject.toml -nt $stamp || plugins/napari-wsiseg/run_tests.sh -nt $stamp || $core/bin/python -nt $stamp ]]; then
    echo "installing napari into $venv"
    "$core/bin/python" -m venv --clear "$venv"
    # wsiseg and what it needs are there already, and large: they are found, not installed again. As a folder of
    # packages whose own .pth files count: an editable wsiseg is one of them.
    "$core/bin/python" -c \
        'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
        >"$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/wsiseg-core.pth"
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check -c constraints.txt \
        -e "plugins/napari-wsiseg[test]" || skip "napari cannot be installed"
    touch "$stamp"
fi

screen=(xvfb-run -a -s "-screen 0 1500x1100x24" env LIBGL_ALWAYS_SOFTWARE=1 QT_QPA_PLATFORM=xcb)
timeout 240 "${screen[@]}" "$venv/bin/python" - <<'PY' || skip "no window with OpenGL can be had here"
import napari
import numpy as np

viewer = napari.Viewer()
viewer.add_image(np.eye(64))
viewer.screenshot(canvas_only=True, flash=False)
viewer.close()
PY

cd plugins/napari-wsiseg
exec "${screen[@]}" "$venv/bin/python" -m pytest
