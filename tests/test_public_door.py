"""The names that users may rely on, and the tree of errors."""

import inspect
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gitstate
from gitstate import errors


def test_the_public_names_are_these_and_each_is_there() -> None:
    assert gitstate.__all__ == [
        "BusyError",
        "CheckpointState",
        "ClosedError",
        "ConflictError",
        "ExecutionRecord",
        "GitStateBackend",
        "GitStateError",
        "InMemoryStateBackend",
        "InvalidInputError",
        "JobNotFoundError",
        "JobStatus",
        "Redactor",
        "RevisionNotFoundError",
        "SheetState",
        "SheetStatus",
        "StateBackend",
        "StateCorruptionError",
        "Store",
        "__version__",
        "errors",
        "rules",
    ]
    for name in gitstate.__all__:
        assert getattr(gitstate, name) is not None
    with pytest.raises(AttributeError):
        _ = gitstate.nothing_of_this_name


def test_importing_gitstate_reads_nothing_heavy() -> None:
    program = "import sys, gitstate; print([name for name in ('pydantic', 'dulwich', 'rich') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


_NAMING_ALL = ("errors.py", "test_public_door.py")  # modules that name each error anyway
ERRORS = [getattr(errors, name) for name in errors.__all__]


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    """Each class stands in the drawing with its code, indented below its parent."""
    drawn: dict[int, str] = {}
    seen = set()
    for line in (errors.__doc__ or "").splitlines():
        words = line.replace("├──", "   ").replace("└──", "   ").replace("│", " ")
        name = words.strip().split(" ")[0]
        if name not in errors.__all__:
            continue
        depth = (len(words) - len(words.lstrip()) - 4) // 4
        drawn[depth] = name
        error = getattr(errors, name)
        assert words.split()[1] == error.code
        if depth:
            assert issubclass(error, getattr(errors, drawn[depth - 1]))
        seen.add(name)
    assert seen == set(errors.__all__)


def test_every_error_has_a_code_of_its_own_a_hint_and_its_cousins() -> None:
    assert len({error.code for error in ERRORS}) == len(ERRORS)
    assert issubclass(errors.JobNotFoundError, (LookupError, ValueError))
    assert issubclass(errors.InvalidInputError, ValueError)
    assert issubclass(errors.StorageError, OSError)
    for error in ERRORS:
        assert issubclass(error, errors.GitStateError)
        raised = error("it happened", hint="do this")
        assert str(raised) == "it happened (do this)"
        assert str(error("it happened")) == "it happened"
        assert inspect.getdoc(error)


def test_every_error_is_raised_and_tested() -> None:
    product, tests = (
        "".join(path.read_text(encoding="utf-8") for path in top.rglob("*.py") if path.name not in _NAMING_ALL)
        for top in (Path(gitstate.__file__).parent, Path(__file__).parent)
    )
    for error in ERRORS:
        if error is not errors.GitStateError:
            assert re.search(rf"\b{error.__name__}\(", product), f"nothing raises {error.__name__}"
            assert re.search(rf"\b{error.__name__}\b", tests), f"no test knows {error.__name__}"


def test_errors_cross_processes() -> None:
    for error in ERRORS:
        copy = pickle.loads(pickle.dumps(error("it happened", hint="do this")))
        assert (type(copy), copy.message, copy.hint) == (error, "it happened", "do this")


def test_a_storage_error_keeps_what_the_system_said() -> None:
    raised = errors.StorageFullError("no room", cause=OSError(28, "No space left on device", "pack"))
    assert (raised.errno, raised.filename) == (28, "pack")
    assert str(raised) == "no room"
