"""A disk that refuses once, at any call: the save says so or succeeds, nothing is lost, and the next one works."""

import asyncio
import errno
import os
import shutil
from pathlib import Path

import pytest

from gitstate import GitStateBackend
from gitstate.errors import GitStateError
from tests.survival.calls import Call, Calls, Fate
from tests.survival.checks import survived
from tests.survival.test_kills import fresh, moments, prepare
from tests.survival.workloads import one_save

CODES = [errno.ENOSPC, errno.EIO, errno.EMFILE, errno.EROFS]


class Refusal(Fate):
    """Refuses the ``number``-th change of a file, or takes half of what that call writes (code 0).

    ``plausible``: only calls count that a system refuses with this code. A full disk still gives what it has, and files
    that are open do not become too many by a write.
    """

    def __init__(self, number: int, code: int, *, plausible: bool) -> None:
        self._left = number
        self._code = code
        self._opens = {errno.ENOSPC: False, errno.EMFILE: True}.get(code) if plausible else None
        self.kinds: list[str] = []

    def _counts(self, call: Call) -> bool:
        if call.name == "flock" or (not self._code and call.size < 2):
            return False
        if self._opens is None or call.name == "create":
            return True
        return self._opens == (call.name == "open")

    def before(self, call: Call) -> int | None:
        if not self._counts(call):
            return None
        self.kinds.append(call.kind)
        self._left -= 1
        if self._left:
            return None
        if not self._code:
            return call.size // 2
        raise OSError(self._code, os.strerror(self._code), call.path)


async def save_twice(folder: Path) -> tuple[list[str], int]:
    """Save until two saves were acknowledged; return their commits, and how often something was refused."""
    acknowledged: list[str] = []
    refused = 0
    while len(acknowledged) < 2:
        try:
            async with GitStateBackend(folder) as backend:
                while len(acknowledged) < 2:
                    try:
                        await one_save(backend, "job-0", len(acknowledged))
                        acknowledged.append(backend.store.head())
                    except GitStateError:
                        refused += 1
        except GitStateError:
            refused += 1
        assert refused < 3, "it was refused once only"
    return acknowledged, refused


def refuse(prepared: Path, scratch: Path, code: int, *, everywhere: bool) -> int:
    """Refuse the calls of two saves in turn, each time on a fresh copy; return how often that was told."""
    healthy = Refusal(0, code, plausible=not everywhere)
    folder = fresh(prepared, scratch / "healthy")
    with Calls(scratch, healthy):
        asyncio.run(save_twice(folder))
    numbers = range(1, len(healthy.kinds) + 1) if everywhere else moments(healthy.kinds)
    told = 0
    for number in numbers:
        folder = fresh(prepared, scratch / str(number))
        with Calls(scratch, Refusal(number, code, plausible=not everywhere)):
            acknowledged, refused = asyncio.run(save_twice(folder))
        told += refused
        survived(folder, acknowledged)
        shutil.rmtree(folder)
    return told


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EMFILE], ids=errno.errorcode.get)
def test_a_call_that_is_refused_loses_nothing(tmp_path: Path, scratch: Path, code: int) -> None:
    assert refuse(prepare(tmp_path / "prepared", 2), scratch, code, everywhere=False) > 5


def test_a_write_that_comes_short_is_gone_on_with(tmp_path: Path, scratch: Path) -> None:
    assert refuse(prepare(tmp_path / "prepared", 2), scratch, 0, everywhere=False) == 0


@pytest.mark.long
@pytest.mark.parametrize("before", [0, 2, 31], ids=["first", "second", "fold"])
@pytest.mark.parametrize("code", [0, *CODES], ids=lambda code: errno.errorcode.get(code, "short"))
def test_any_call_at_all_that_is_refused_loses_nothing(tmp_path: Path, scratch: Path, code: int, before: int) -> None:
    told = refuse(prepare(tmp_path / "prepared", before), scratch, code, everywhere=True)
    assert bool(told) == bool(code)
