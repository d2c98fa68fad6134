"""What is built from the project holds what it should, and works where nothing else of the project is."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

import pytest

import gitstate
from tests.docs.pages import PROJECT, blocks, commands
from tests.git import git

_PACKAGE = PROJECT / "gitstate"
_NAME = f"gitstate-{gitstate.__version__}"
_COMES_WITH = {"pydantic_core": "pydantic", "_typeshed": None}  # the second is there for type checkers only
_IMPORT = re.compile(rb"^ *(?:from (\w+)[\w.]* import |import (\w+)(?:[\w.]*(?: as \w+)?)$)", re.M)


def _run(*command: str | Path, folder: Path, alone: bool = True) -> str:
    """Run a command; ``alone``: without what this process would find in addition to what is installed."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH" or not alone}
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout


def _build(target: str, source: Path, place: Path) -> Path:
    _run(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", place, folder=source, alone=False)
    (built,) = place.iterdir()
    return built


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build("sdist", PROJECT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="session")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the sdist: what was left out of that is missing here."""
    source = tmp_path_factory.mktemp("source")
    with tarfile.open(sdist) as archive:
        archive.extractall(source, filter="data")
    return _build("wheel", source / _NAME, tmp_path_factory.mktemp("wheel"))


def _package_files() -> dict[str, bytes]:
    found = (path for path in _PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(PROJECT).as_posix(): path.read_bytes() for path in found}


@pytest.mark.skipif(not (PROJECT / ".git").exists(), reason="what is no clone does not know what is tracked")
def test_the_sdist_holds_what_git_tracks_and_nothing_else(sdist: Path) -> None:
    tracked = set(git(PROJECT, "ls-files", "-z").split("\0")[:-1])
    not_yet = set(git(PROJECT, "ls-files", "-z", "--others", "--exclude-standard").split("\0")[:-1])
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    assert all(member.isfile() for member in members)
    names = {member.name.removeprefix(f"{_NAME}/") for member in members}
    assert names - not_yet == tracked | {"PKG-INFO"}


def test_the_wheel_holds_the_package_and_what_is_said_about_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    about = {name.partition("/")[2]: found.pop(name) for name in list(found) if name.startswith(f"{_NAME}.dist-info/")}
    assert found == _package_files()
    assert "gitstate/py.typed" in found
    assert set(about) == {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    assert about["licenses/LICENSE"] == (PROJECT / "LICENSE").read_bytes()
    assert b"gitstate = gitstate.cli:start" in about["entry_points.txt"]
    for name, content in about.items():
        assert str(PROJECT).encode() not in content, name


def _metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        return BytesParser().parsebytes(archive.read(f"{_NAME}.dist-info/METADATA"))


def _imported() -> Iterator[tuple[str, str]]:
    """Yield the names of top modules that files of the package import, with the floor of the file."""
    for name, content in _package_files().items():
        for found in _IMPORT.finditer(content):
            yield (found[1] or found[2]).decode(), name.split("/")[1]


def test_what_it_asks_for_is_what_it_imports_and_says_of_itself(wheel: Path) -> None:
    metadata = _metadata(wheel)
    assert (metadata["Name"], metadata["Version"]) == ("gitstate", gitstate.__version__)
    assert metadata["License-Expression"] == "MIT"
    assert metadata.get_payload() == (PROJECT / "README.md").read_text(encoding="utf-8")
    assert metadata["Requires-Python"] == "<3.14,>=3.11"
    versions = {each.rpartition(" ")[2] for each in metadata.get_all("Classifier", []) if ":: Python :: 3." in each}
    assert versions == {"3.11", "3.12", "3.13"}
    asked: dict[str, set[str]] = {}
    for line in metadata.get_all("Requires-Dist", []):
        requirement, _, condition = line.partition("; extra == ")
        name = requirement.split("<")[0].split(">")[0]
        asked.setdefault(condition.strip("'\""), set()).add(name)
    assert set(asked) == {"", "testing", "dev", "bench", "docs"}
    others = {(name, floor) for name, floor in _imported() if name not in {*sys.stdlib_module_names, "gitstate"}}
    needed = {_COMES_WITH.get(name, name) for name, floor in others if floor != "testing"}
    assert needed - {None} == asked[""]
    assert {name for name, floor in others if floor == "testing"} <= asked[""] | asked["testing"]


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment that has what gitstate needs, and no gitstate."""
    folder = tmp_path / "environment"
    _run(sys.executable, "-m", "venv", "--without-pip", folder, folder=tmp_path)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "needs.pth").write_text(sysconfig.get_path("purelib") + "\n")  # .pth files in there are not followed
    return folder


def test_what_was_installed_does_what_the_readme_says_and_leaves_nothing(
    wheel: Path, environment: Path, tmp_path: Path
) -> None:
    python, command = environment / "bin/python", environment / "bin/gitstate"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    before = sorted(environment.rglob("*"))
    empty = tmp_path / "empty"
    empty.mkdir()
    _run(*pip, "install", "-q", "--no-index", "--no-deps", "--no-compile", wheel, folder=empty)
    page = list(blocks(PROJECT / "README.md"))
    programs = [block.text for block in page if block.language == "python"]
    assert programs
    for program in programs:
        _run(python, "-W", "error", "-c", program, folder=empty)
    place = _run(python, "-c", "import gitstate; print(gitstate.__file__)", folder=empty)
    assert Path(place.strip()).is_relative_to(environment)
    shown = [each for block in page if block.language == "console" for each, _ in commands(block)]
    assert "gitstate list" in shown
    state = empty / "my-state"
    for each in shown:
        if not each.startswith("cd "):
            _run("bash", "-c", f"PATH={command.parent}:$PATH; {each}", folder=state)
    assert _run(command, "--version", folder=empty) == _run(python, "-m", "gitstate", "--version", folder=empty)
    assert _run(command, "--help", folder=empty).startswith("Usage: gitstate ")
    _run(*pip, "uninstall", "-q", "-y", "gitstate", folder=empty)
    assert sorted(environment.rglob("*")) == before
