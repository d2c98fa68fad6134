"""What every test gets: a home and a git configuration of its own, the same random numbers each time, and room in
memory.
"""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests import stores
from tests.forked import gitstate_in_front

settings.register_profile(
    "default",
    deadline=None,
    derandomize=True,
    max_examples=40,  # the long profile has many more
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("long", settings.get_profile("default"), max_examples=500, derandomize=False)
# Thousands of runs, in one process, of the very same tests: see docs/design/0015-mutation.md.
settings.register_profile(
    "mutation",
    settings.get_profile("default"),
    max_examples=20,
    phases=[Phase.explicit, Phase.generate],  # to make an example small takes longer than all the tests
    database=None,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("default")

GIT_CONFIG = "[user]\n\tname = A Tester\n\temail = tester@example.org\n[init]\n\tdefaultBranch = main\n"


_PYTHON = sys.executable
_PROJECT = Path(__file__).parents[1]
_IN_MEMORY = Path("/dev/shm")
_ROOM = 2 << 30  # bytes; the folder of a test that passed goes at once
_BEGINNING = "gitstate-tests-"
_FIRST = ("tests/survival/", "tests/backends/test_processes", "tests/backends/test_purge_kills")
_NEXT = ("tests/bench/", "tests/test_package", "tests/docs/", "tests/budgets/")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give tests their folders on a file system in memory, if there is one: what they do is the same, and a fifth of
    the time went into a disk. ``--basetemp`` names another place.
    """
    # A shell has what it runs in the background ignore Ctrl-C, and so all that is started here: tests of it would hang.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.option.basetemp is None and _has_room():
        _remove_left()
        config.option.basetemp = tempfile.mkdtemp(prefix=f"{_BEGINNING}{os.getpid()}-", dir=_IN_MEMORY)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Run one more worker than there are processors: a quarter of the time tests wait, for servers and clocks."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return len(os.sched_getaffinity(0)) + 1 if sys.platform == "linux" else None


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Let each worker begin to import at another test module, if it is to import all: in a fresh clone they need to be
    compiled for pytest, and else each worker would compile each of them.
    """
    told = getattr(session.config, "workerinput", {})
    if told and session.config.args == session.config.getini("testpaths"):
        names = sorted(path.relative_to(_PROJECT).with_suffix("") for path in Path(__file__).parent.rglob("test_*.py"))
        first = len(names) * int(told["workerid"].removeprefix("gw")) // told["workercount"]
        for name in (*names[first:], *names[:first]):
            with suppress(Exception, pytest.skip.Exception):  # the collection meets it again, and tells
                if (_PROJECT / name.parent / "conftest.py").exists():
                    import_module(".".join((*name.parent.parts, "conftest")))  # it may register what is compiled too
                import_module(".".join(name.parts))
    return (yield)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let workers begin with what forks, since a fork costs the more the more memory tests have used before, and go on
    with other long tests: whoever came to them last would leave the other processors idle.
    """
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: 0 if item.nodeid.startswith(_FIRST) else 1 if item.nodeid.startswith(_NEXT) else 2)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keep the folders of tests that failed, until the next run, but nothing that is found out once in a process, since
    mutants are tried in forks of one that has run all tests.
    """
    modules = [module for name, module in sys.modules.items() if name.startswith("gitstate.")]
    for kept in [kept for module in modules for kept in vars(module).values() if hasattr(kept, "cache_clear")]:
        kept.cache_clear()
    base = session.config.option.basetemp
    if not exitstatus and base is not None and Path(base).name.startswith(f"{_BEGINNING}{os.getpid()}-"):
        shutil.rmtree(base, ignore_errors=True)


def _has_room() -> bool:
    with suppress(OSError):
        found = os.statvfs(_IN_MEMORY)
        return not found.f_flag & os.ST_NOEXEC and found.f_bavail * found.f_frsize >= _ROOM  # tests run hooks
    return False


def _remove_left() -> None:
    """Remove what runs left that are over."""
    for folder in _IN_MEMORY.glob(f"{_BEGINNING}*-*"):
        process = folder.name.removeprefix(_BEGINNING).partition("-")[0]
        if process.isdecimal() and not Path(f"/proc/{process}").exists():
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True, scope="session")
def hermetic_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give git, ours and the real one, a home that holds nothing of the machine's."""
    home = tmp_path_factory.mktemp("home")
    (home / ".gitconfig").write_text(GIT_CONFIG)
    kept = {name: value for name, value in os.environ.items() if name.startswith(("GIT", "XDG_")) or name == "HOME"}
    for name in kept:
        del os.environ[name]
    os.environ |= {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of processes would each compile all modules anew
    yield home
    for name in ("HOME", "GIT_CONFIG_NOSYSTEM", "GIT_TERMINAL_PROMPT"):
        del os.environ[name]
    os.environ |= kept


@pytest.fixture(scope="session")
def python_in_front(hermetic_home: Path) -> Iterator[Path]:
    """Give a ``python`` whose ``-m gitstate`` is forked from one process, see :mod:`tests.forked`."""
    with gitstate_in_front(os.environ) as variables:
        is_there = variables["PATH"] != os.environ["PATH"]
        yield Path(variables["PATH"].split(os.pathsep)[0], "python") if is_there else Path(sys.executable)


@pytest.fixture
def forked(python_in_front: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``python -m gitstate``, as hooks and drivers of git run it, be forked and not started."""
    monkeypatch.setattr(sys, "executable", str(python_in_front))


@pytest.fixture
def started(forked: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be started after all, in a module whose tests have it forked."""
    monkeypatch.setattr(sys, "executable", _PYTHON)


@pytest.fixture(autouse=True)
def stores_are_sound(request: pytest.FixtureRequest) -> Iterator[None]:
    """Verify, after each test, the stores that it opened and those that its processes left in its folder; close what it
    left open.
    """
    stores.forget()
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    stores.verify_all(folder)
    stores.close_all()
