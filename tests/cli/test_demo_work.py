"""The work of the demo's job."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate.cli import demo_work
from gitstate.errors import InvalidInputError, NotFoundError


@given(st.lists(st.text(), min_size=2, max_size=80))
def test_a_plan_reads_every_file_once_and_in_order(files: list[str]) -> None:
    plan = demo_work.plan(files)
    assert [name for names in plan.values() for name in names] == files
    assert list(plan) == list(range(1, len(plan) + 1)) and len(plan) == min(12, len(files))
    sizes = [len(names) for names in plan.values()]
    assert max(sizes) - min(sizes) <= 1


def test_a_report_counts_terms_and_says_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Store the store.\nThat is a journal, of a kind.\n")
    (tmp_path / "b.md").write_text("\nA store!\n")
    assert demo_work.report(7, tmp_path, ["a.txt", "b.md"]) == (
        "# Sheet 7\n\n2 files, 4 lines, 12 words, 3 different terms:\n\n- a.txt\n- b.md\n\n"
        "| term | times | first seen |\n|---|---|---|\n"
        "| store | 3 | a.txt:1, b.md:2 |\n| journal | 1 | a.txt:2 |\n| kind | 1 | a.txt:2 |\n"
    )


def test_only_text_is_read(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / ".git").mkdir()
    for name, content in {
        "b.txt": b"text",
        "sub/a.md": b"text",
        "empty": b"",
        "nul": b"a\0b",
        "latin": b"\xff\xfe",
        ".hidden": b"text",
        "line\nbreak": b"text",
        ".git/config": b"text",
    }.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "link").symlink_to(tmp_path / "b.txt")
    assert demo_work.sources(tmp_path) == (tmp_path, ["b.txt", "sub/a.md"])


def test_a_folder_without_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"needs two or more text files; .* holds 0"):
        demo_work.sources(tmp_path)
    with pytest.raises(NotFoundError):
        demo_work.sources(tmp_path / "none")


def test_without_a_folder_our_own_documents_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root, files = demo_work.sources(None)
    assert {"README.md", "docs/tutorial.md"} <= set(files) and (root / "gitstate").is_dir()
    # Installed from a wheel there are no documents beside the package.
    package = tmp_path / "gitstate"
    package.mkdir()
    for name in ("__init__.py", "clock.py"):
        (package / name).write_text("pass\n")
    monkeypatch.setattr("gitstate.__file__", str(package / "__init__.py"))
    assert demo_work.sources(None) == (package, ["__init__.py", "clock.py"])
