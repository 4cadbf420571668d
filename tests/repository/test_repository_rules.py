"""What holds for the whole repository: light help, declared packages, links, versions, the wheel."""

import ast
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import wsiseg

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HEAVY = (
    "torch",
    "zarr",
    "dask",
    "openvino",
    "skimage",
    "scipy",
    "tifffile",
    "imagecodecs",
    "openslide",
    "pydicom",
    "matplotlib",
    "numpy",
    "PIL",
)
TEXT_SUFFIXES = {".py", ".md", ".toml", ".yaml", ".yml", ".txt", ".cfg", ".json", ".sh", ""}


def tracked_files() -> list[Path]:
    """Return the files of the repository; without git, those that are no build output."""
    git = shutil.which("git")
    if git and (ROOT / ".git").exists():
        listed = subprocess.run(
            [git, "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    skip = {name.strip("/") for name in ignored} | {".git"}
    return [
        path for path in ROOT.rglob("*") if path.is_file() and not skip & set(path.relative_to(ROOT).parts)
    ]


def text_files() -> list[Path]:
    return [path for path in tracked_files() if path.suffix in TEXT_SUFFIXES and path.name != "LICENSE"]


def loaded_after(code: str) -> set[str]:
    """Return the top-level packages that a fresh interpreter has loaded after some code."""
    names = "' '.join({name.split('.')[0] for name in sys.modules})"
    tail = f"\nimport sys\nsys.stderr.write('\\nLOADED ' + {names})"
    done = subprocess.run(
        [sys.executable, "-c", code + tail], capture_output=True, text=True, timeout=120, check=True
    )
    return set(done.stderr.rsplit("LOADED ", 1)[1].split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["predict", "--help"],
        ["models", "--help"],
        ["profile", "--help"],
        ["evaluate", "--help"],
        ["batch", "--help"],
        ["train", "--help"],
        ["calibrate", "--help"],
    ],
)
def test_help_loads_nothing_heavy(arguments):
    code = (
        f"import sys\nsys.argv = ['wsiseg', *{arguments!r}]\nfrom wsiseg.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code"
    )
    assert not loaded_after(code) & set(HEAVY)


@pytest.mark.parametrize("stage", ["slides", "tiling", "stitching", "pyramid"])
def test_stages_below_the_network_run_without_torch(stage):
    modules = sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "wsiseg" / stage).glob("*.py")
    )
    loaded = loaded_after("\n".join(f"import {module}" for module in modules))
    assert "numpy" in loaded
    assert not loaded & {"torch", "openvino", "napari", "qtpy"}


def imported_packages(folder: str, *, keep_standard: bool = False) -> set[str]:
    names = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {item.name.split(".")[0] for item in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names.add(node.module.split(".")[0])
    own = {path.stem for path in (ROOT / folder).rglob("*.py")} | {"wsiseg", "contracts", "benchmarks"}
    return names - own - (set() if keep_standard else set(sys.stdlib_module_names))


def declared(*extras: str) -> set[str]:
    lines = list(PROJECT["project"]["dependencies"])
    for extra in extras:
        lines += PROJECT["project"]["optional-dependencies"][extra]
    return {re.split(r"[\s\[<>=!~;]", line, maxsplit=1)[0].lower().replace("_", "-") for line in lines}


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("wsiseg", ("remote", "export", "cluster", "dicom", "gpu", "parquet", "plots", "train")),
        ("tests", ("remote", "export", "cluster", "dicom", "gpu", "parquet", "plots", "train", "dev")),
    ],
)
def test_every_imported_package_is_declared(folder, extras):
    providers = importlib.metadata.packages_distributions()
    for package in sorted(imported_packages(folder)):
        names = {name.lower().replace("_", "-") for name in providers.get(package, [package])}
        assert names & declared(*extras), f"{package} is imported under {folder}, but not declared"


def test_every_declared_package_is_used():
    providers = importlib.metadata.packages_distributions()
    used = {
        name.lower().replace("_", "-")
        for package in imported_packages("wsiseg")
        for name in providers.get(package, [package])
    }
    # Found by fsspec, zarr, openslide-python and torch.
    indirect = {"aiohttp", "fsspec", "openslide-bin", "tensorboard"}
    extras = ("remote", "export", "cluster", "dicom", "gpu", "parquet", "plots", "train")
    assert declared(*extras) - used <= indirect


def test_versions_agree():
    assert PROJECT["project"]["version"] == wsiseg.__version__


@pytest.mark.parametrize("path", sorted((ROOT / "configs").rglob("*.yaml")), ids=lambda path: path.stem)
def test_configs_parse(path):
    from wsiseg.cohort.clusters import read_workers
    from wsiseg.config import CalibrateConfig, EvaluateConfig, load_config
    from wsiseg.training.config import TrainConfig

    if path.stem.startswith("evaluate_"):
        found = load_config(path, [], EvaluateConfig)
        assert path.stem.removeprefix("evaluate_") in found.data.dataset
        assert not found.data.root.is_absolute()
        return
    if path.stem.startswith("calibrate_"):
        both = load_config(path, [], CalibrateConfig)
        assert both.fit != both.test
        assert {both.fit.dataset, both.test.dataset} == {both.fit.dataset}
        return
    if path.stem.startswith("cluster_"):
        assert path.stem.removeprefix("cluster_").startswith(read_workers(path).cluster)
        return
    assert load_config(path, [], TrainConfig).name


MACHINE_PATH = re.compile(r"(?<![\w.*<>$}{-])/(?:work|root|home|Users|tmp/\w)[/\w]|\b[A-Z]:\\\\?Users")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see /" + "root/x", True),
        ('"/' + 'home/someone/slide.svs"', True),
        ("C:" + r"\Users\someone", True),
        ("the folder docs/work/x", False),
        ("slide.wsiseg-work/", False),
        ("a/b", False),
    ],
)
def test_machine_paths_are_recognised(text, found):
    assert bool(MACHINE_PATH.search(text)) is found


def test_no_path_of_one_machine():
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in text_files()
        for match in MACHINE_PATH.finditer(path.read_text(encoding="utf-8"))
    ]
    assert not found


def anchors(path: Path) -> set[str]:
    """Return the anchors of a Markdown file's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


MARKDOWN = sorted(path for path in tracked_files() if path.suffix == ".md")


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_resolve(path):
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.exists(), f"{path.name} links to {target}"
        if anchor:
            assert anchor in anchors(file), f"{path.name} links to {target}"


POSIX_ONLY = ("fork", "pread", "sched_getaffinity", "posix_fadvise", "getuid", "mkfifo", "chown", "statvfs")
POSIX_MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "posix"}


def test_posix_calls_have_a_fallback():
    """A call that Windows lacks stands behind `hasattr`, its modules are not imported."""
    for path in (ROOT / "wsiseg").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"\bos\.(\w+)\(", text):
            assert name not in POSIX_ONLY or f'hasattr(os, "{name}")' in text, f"{path.name}: os.{name}"
    assert not imported_packages("wsiseg", keep_standard=True) & POSIX_MODULES


def test_modules_stay_small():
    lengths = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n")
        for path in (ROOT / "wsiseg").rglob("*.py")
    }
    assert not {name: lines for name, lines in lengths.items() if lines > 320}


def test_wheel_holds_what_a_user_needs(tmp_path):
    from hatchling.builders.wheel import WheelBuilder

    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path))
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        licence = next(name for name in names if name.endswith("/licenses/LICENSE"))
        assert "Apache License" in archive.read(licence).decode()
    assert "wsiseg/py.typed" in names
    assert "wsiseg/models/bundled/tissue8-demo.safetensors" in names
    assert all(name.startswith(("wsiseg/", f"wsiseg-{wsiseg.__version__}.dist-info/")) for name in names)


def test_bundled_model_is_small_and_says_what_it_is():
    from wsiseg.models import read_card
    from wsiseg.models.files import BUNDLED

    assert (BUNDLED / "tissue8-demo.safetensors").stat().st_size < 3_000_000
    card = read_card("tissue8-demo")
    assert "not for diagnos" in card.summary.lower()
    assert "generated" in card.training_data.lower()
    assert card.mpp is not None
    assert card.scores
