"""What web viewers show of a result: python benchmarks/viewers/look.py STORE... -o PICTURES --tools FOLDER.

Installs neuroglancer (from PyPI, with its built page), vitessce and itk-vtk-viewer (from npm) into FOLDER
where they are missing, serves the stores by range requests, opens each in headless Chromium, and writes one
picture per viewer and store, and what the page said. Then look at the pictures. Needs npm and Chromium.
"""

from __future__ import annotations

import argparse
import asyncio
import http.server
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tornado.websocket import websocket_connect

from wsiseg.exports.label_store import LabelStore, open_label_store

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from report import Browser

HERE = Path(__file__).parent
NEUROGLANCER = "neuroglancer==2.41.2"
VITESSCE = "vitessce@4.0.8"
ITK = "itk-vtk-viewer@14.51.0"
BUNDLED_WITH = ["react@18.3.1", "react-dom@18.3.1", "esbuild@0.25.0"]
WAIT_S = 25
"""For the page to fetch and draw; software rendering is slow."""


class Ranges(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, whole or by range, for pages of any origin."""

    protocol_version = "HTTP/1.1"

    def end_headers(self) -> None:
        """Let pages of other origins read."""
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Expose-Headers", "*")
        super().end_headers()

    def do_GET(self) -> None:
        """Answer one range; what is no file is answered as usual."""
        path = Path(self.translate_path(self.path))
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if asked is None or not path.is_file():
            super().do_GET()
            return
        size = path.stat().st_size
        first, last = asked.groups()
        begin = int(first) if first else max(0, size - int(last))
        end = min(size, int(last) + 1) if first and last else size
        with path.open("rb") as file:
            file.seek(begin)
            content = file.read(end - begin)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {begin}-{begin + len(content) - 1}/{size}")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def install(tools: Path) -> None:
    """Fetch what is missing, and bundle the page of vitessce."""
    tools.mkdir(parents=True, exist_ok=True)
    python = tools / "python"
    if not python.is_dir():
        pip = [sys.executable, "-m", "pip", "install", "-q", "--target", str(python), NEUROGLANCER]
        subprocess.run(pip, check=True)
    sys.path.append(str(python))
    if not (tools / "bundle").is_dir():
        modules = tools / "npm"
        modules.mkdir(exist_ok=True)
        # Packed, not installed: both are built, and some of what they were built of is not in the registry.
        npm = shutil.which("npm") or "npm"
        subprocess.run([npm, "install", "--no-save", "--silent", *BUNDLED_WITH], check=True, cwd=modules)
        for name in (VITESSCE, ITK):
            packed = [npm, "pack", "--silent", name]
            file = subprocess.run(packed, check=True, cwd=modules, capture_output=True, text=True).stdout
            with tarfile.open(modules / file.split()[-1]) as archive:
                archive.extractall(modules / "unpacked", filter="data")
            shutil.move(modules / "unpacked" / "package", modules / "node_modules" / name.split("@")[0])
        shutil.copy(HERE / "vitessce_page.js", modules)
        bundle = [
            str(modules / "node_modules" / ".bin" / "esbuild"),
            "vitessce_page.js",
            "--bundle",
            "--format=esm",
            "--splitting",
        ]
        bundle += ["--external:@react-three/*", "--external:three", "--log-level=error"]
        bundle += [
            "--define:process.env.NODE_ENV='production'".replace("'", '"'),
            f"--outdir={tools / 'bundle'}",
        ]
        subprocess.run(bundle, check=True, cwd=modules)
    page = '<!doctype html><div id="root"></div><script type="module" src="vitessce_page.js"></script>'
    (tools / "bundle" / "index.html").write_text(page)


def neuroglancer(root: str, store: LabelStore, address: str) -> str:
    """Return the page with the image, and the labels as a segmentation in the class colours."""
    import neuroglancer as package

    del root
    kind = "zarr3" if (store.path / "zarr.json").is_file() else "zarr2"
    channels = ",".join(f"toNormalized(getDataValue({channel}))" for channel in range(3))
    colours = {str(item.id): "#{:02x}{:02x}{:02x}".format(*item.colour) for item in store.classes.classes}
    rows, columns = store.shape(0)
    um = store.mpp or (1.0, 1.0)
    state = {
        "layers": [
            {
                "type": "image", "name": "slide", "source": f"{kind}://{address}/", "opacity": 1,
                "shader": f"void main(){{emitRGB(vec3({channels}));}}",
                "localDimensions": {"c'": [1, ""]}, "channelDimensions": {"c^": [1, ""]},
            },
            {
                "type": "segmentation", "name": "tissue", "source": f"{kind}://{address}/labels/tissue/",
                "selectedAlpha": 0.45, "segments": list(colours), "segmentColors": colours,
            },
        ],
        "layout": "xy",
        "dimensions": {"x": [1e-6, "m"], "y": [1e-6, "m"]},
        "position": [columns * um[0] / 2, rows * um[1] / 2],
        "crossSectionScale": rows * um[1] / 700,
    }  # fmt: skip
    viewer = package.Viewer()
    viewer.set_state(package.ViewerState(state))
    OPEN.append(viewer)
    return str(viewer.get_viewer_url())


def vitessce(root: str, store: LabelStore, address: str) -> str:
    """Return the page with the image, and the labels as a segmentation."""
    del store
    return f"{root}/tools/bundle/index.html?store={quote(address)}"


def itk_vtk_viewer(root: str, store: LabelStore, address: str) -> str:
    """Return the page with the image; labels have an address of their own there."""
    del store
    page = f"{root}/tools/npm/node_modules/itk-vtk-viewer/dist/index.html"
    return f"{page}?image={quote(address)}&labelImage={quote(address + '/labels/tissue')}"


OPEN: list[Any] = []
"""Pages that neuroglancer's own server keeps for as long as these live."""
VIEWERS = {"neuroglancer": neuroglancer, "vitessce": vitessce, "itk-vtk-viewer": itk_vtk_viewer}


async def look(port: int, address: str, picture: Path, wait_s: float) -> None:
    """Open a page in a browser that runs, wait, and keep what is seen."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
        tab = next(item for item in json.load(answer) if item["type"] == "page")
    socket = await websocket_connect(tab["webSocketDebuggerUrl"], max_message_size=1 << 28)
    browser = Browser(socket)
    await browser.call("Page.enable")
    await browser.call("Page.navigate", url=address)
    await asyncio.sleep(wait_s)
    await browser.picture(picture)
    socket.close()


def main() -> None:
    """Serve, open, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("stores", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for pictures")
    parser.add_argument("--tools", type=Path, required=True, help="folder for the viewers")
    parser.add_argument("--viewer", choices=VIEWERS, action="append", help="only this one; repeatable")
    parser.add_argument("--chromium", default=shutil.which("chromium") or "chromium")
    parser.add_argument("--wait-s", type=float, default=WAIT_S)
    given = parser.parse_args()
    install(given.tools.resolve())
    given.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        served = Path(temporary) / "served"
        served.mkdir()
        (served / "tools").symlink_to(given.tools.resolve())
        for number, path in enumerate(given.stores):
            (served / f"{number}").mkdir()
            (served / f"{number}" / path.name).symlink_to(path.resolve())
        server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), lambda *args: Ranges(*args, directory=str(served))
        )
        threading.Thread(target=server.serve_forever, daemon=True).start()
        root = f"http://127.0.0.1:{server.server_address[1]}"
        for number, path in enumerate(given.stores):
            store = open_label_store(path)
            for name in given.viewer or VIEWERS:
                address = VIEWERS[name](root, store, f"{root}/{number}/{quote(path.name)}")
                picture = given.output / f"{name}-{number}.png"
                show(given.chromium, address, picture, Path(temporary) / f"{name}-{number}", given.wait_s)
                print(picture, flush=True)
        server.shutdown()


def show(chromium: str, address: str, picture: Path, profile: Path, wait_s: float) -> None:
    """Open an address in a browser of its own."""
    command = [chromium, "--headless=new", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader"]
    command += ["--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", "--window-size=1200,900"]
    command += [
        f"--user-data-dir={profile}",
        "--remote-debugging-port=0",
        "--enable-logging=stderr",
        "about:blank",
    ]
    said: list[str] = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as browser:
        assert browser.stderr is not None
        try:
            line = next(line for line in browser.stderr if "DevTools listening on" in line)
            reader = threading.Thread(target=lambda lines: said.extend(lines), args=(browser.stderr,))
            reader.start()
            port = int(line.rsplit("/devtools", 1)[0].rsplit(":", 1)[1])
            asyncio.run(look(port, address, picture, wait_s))
        finally:
            browser.kill()
    reader.join()
    for line in [line for line in said if "CONSOLE" in line][:10]:
        print(f"  {line.strip()[:300]}")


if __name__ == "__main__":
    main()
