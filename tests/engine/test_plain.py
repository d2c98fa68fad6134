"""Files that git reads, written beside and moved to their places."""

import os
import stat
from pathlib import Path

import pytest

from gitstate.engine.plain import replace_file


def test_a_file_keeps_its_permissions_and_a_new_one_has_those_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(_: int) -> int:
        raise AssertionError("other threads make files meanwhile")

    usual, old = tmp_path / "usual", tmp_path / "old"
    usual.write_bytes(b"")
    old.write_bytes(b"1")
    old.chmod(0o640)
    monkeypatch.setattr(os, "umask", forbidden)
    replace_file(tmp_path / "new", b"2")
    replace_file(old, b"2")
    replace_file(tmp_path / "hook", b"2", mode=0o755)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("new", "old", "hook")]
    assert modes == [stat.S_IMODE(usual.stat().st_mode), 0o640, 0o755]
    assert {path.name for path in tmp_path.iterdir()} == {"usual", "old", "new", "hook"}
