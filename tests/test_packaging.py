"""What is installed: the packages, their data, the version, and a wheel that runs outside the clone."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]


def test_every_folder_with_an_init_is_listed():
    rooms = [ROOT / room for room in ("hw", "mapper", "sim", "host", "cli", "examples")]
    folders = {path.parent.relative_to(ROOT).as_posix() for room in rooms for path in room.rglob("__init__.py")}
    assert SETUPTOOLS["package-dir"] == {f"tilewright.{folder.replace('/', '.')}": folder for folder in folders}
    assert sorted(SETUPTOOLS["packages"]) == sorted(SETUPTOOLS["package-dir"])


def test_every_file_beside_the_modules_is_listed():
    for package, folder in SETUPTOOLS["package-dir"].items():
        files = {path for path in (ROOT / folder).iterdir() if path.is_file() and path.suffix not in (".py", ".md")}
        patterns = SETUPTOOLS["package-data"].get(package, [])
        listed = {path for pattern in patterns for path in (ROOT / folder).glob(pattern)}
        assert files <= listed, f"package-data of {package}"


def test_version_and_extras():
    assert importlib.metadata.version("tilewright") == PROJECT["project"]["version"]
    assert set(PROJECT["project"]["optional-dependencies"]) <= {"dev", "docs", "fuzz"}


def test_changelog_has_the_version():
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert f"## [{PROJECT['project']['version']}]" in changelog


def test_constraints_are_versions_and_nothing_else():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(len(line.split("==")) == 2 and "/" not in line and "@" not in line for line in lines)
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    extras = PROJECT["project"]["optional-dependencies"].values()
    wanted = PROJECT["project"]["dependencies"] + [requirement for extra in extras for requirement in extra]
    for requirement in wanted:
        name = requirement.split(">")[0].split("[")[0].lower()
        assert name in pinned, f"constraints.txt lacks {name}"


def call(*command: object, **options: object) -> str:
    """Run a command that must succeed; its standard output."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an empty environment with a wheel that was built from a copy of the project."""
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns(".*", "build", "dist", "__pycache__", "*.egg-info", "tests")
    shutil.copytree(ROOT, folder / "project", ignore=ignored)
    pip = ["-m", "pip", "-qq", "--disable-pip-version-check"]
    # A build environment of pip's own would bring other versions than constraints.txt.
    call(sys.executable, *pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, folder / "project")
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    call(python, *pip, "install", "-c", ROOT / "constraints.txt", wheel)
    return python.parent


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["golden", "cycles", "rtl"])
def test_the_wheel_runs_digits_from_another_folder(installed: Path, tmp_path: Path, engine: str):
    ours = ("PYTHON", "COV", "VERILATOR")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    variables["TILEWRIGHT_CACHE"] = str(tmp_path / "cache")
    command = [installed / "tilewright", "run", "digits", "--array", "4x4", "--engine", engine, "--json", "report.json"]
    call(*command, cwd=tmp_path, env=variables)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["array"] == [4, 4]
    assert report["engine"] == engine
    if engine != "cycles":
        assert report["mismatches"] == 0


@pytest.mark.slow
def test_the_wheel_says_its_version(installed: Path, tmp_path: Path):
    said = call(installed / "tilewright", "--version", cwd=tmp_path)
    assert said == f"tilewright {PROJECT['project']['version']}\n"
