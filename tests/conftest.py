"""What every test gets: a home and a git configuration of its own, and the same random numbers each time."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import stores

settings.register_profile(
    "default",
    deadline=None,
    derandomize=True,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("default")

GIT_CONFIG = "[user]\n\tname = A Tester\n\temail = tester@example.org\n[init]\n\tdefaultBranch = main\n"


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


@pytest.fixture(autouse=True)
def stores_are_sound(request: pytest.FixtureRequest) -> Iterator[None]:
    """Verify, after each test, the stores that it opened and those that its processes left in its folder."""
    stores.forget()
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    stores.verify_all(folder)
