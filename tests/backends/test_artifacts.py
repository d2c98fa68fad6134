"""Sheet numbers out of file names, and the same patterns over folders and over committed paths."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitstate import InvalidInputError
from gitstate.backends.artifacts import check_pattern, find_sheets, last_sheet, match_paths, sheet_number


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("sheet3.md", 3),
        ("Sheet_3.md", 3),
        ("SHEET-003.md", 3),
        ("sheet 4.txt", 4),
        ("sheet12-security-report.md", 12),
        ("my-sheet3.md", 3),
        ("_sheet3", 3),
        ("sheet-notes-sheet7.md", 7),
        ("sheet1-of-sheet9.md", 1),
        ("batchsheet99.md", None),
        ("2sheet9.md", None),
        ("ésheet9.md", None),
        ("sheet.md", None),
        ("sheet0.md", None),
        ("sheets3.md", None),
        ("sheet__3.md", None),
        ("sheet٣.md", None),
        ("sheet" + "9" * 9, 999_999_999),
        ("sheet" + "0" * 5_000 + "7", 7),
        ("sheet" + "9" * 10, None),
        ("sheet" + "9" * 100_000, None),
        ("", None),
    ],
)
def test_the_number_in_a_name(name: str, number: int | None) -> None:
    assert sheet_number(name) == number


@pytest.mark.parametrize("pattern", ["", " ", ".", "./", "/sheet*.md", "../sheet*.md", "a/../sheet*.md", "..", "//x"])
def test_a_pattern_that_names_nothing_or_leaves_the_workspace_is_refused(pattern: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError):
        find_sheets(tmp_path, pattern)
    with pytest.raises(InvalidInputError):
        match_paths(["sheet1.md"], pattern)


def test_a_pattern_is_a_text() -> None:
    with pytest.raises(InvalidInputError):
        check_pattern(None)  # type: ignore[arg-type]  # what a caller may do all the same


PATHS = [
    "sheet1.md",
    "sheet2.txt",
    "Sheet10.md",
    "a/sheet3.md",
    "a/b/sheet4.md",
    "a/b/c/sheet5.md",
    ".hidden/sheet6.md",
    ".sheet7.md",
    "sheets/README.md",
]


@pytest.mark.parametrize(
    ("pattern", "numbers"),
    [
        ("sheet*.md", {1}),
        ("./sheet*.md", {1}),
        ("[sS]heet*", {1, 2, 10}),
        ("*", {1, 2, 10}),
        ("a/sheet?.md", {3}),
        ("*/sheet*.md", {3}),
        ("**/sheet*.md", {1, 3, 4, 5}),
        ("a/**/sheet*.md", {3, 4, 5}),
        ("a/**/**/c/*", {5}),
        ("a/b/**", {4, 5}),
        ("**", {1, 2, 3, 4, 5, 10}),
        (".hidden/*", {6}),
        (".*", {7}),
        ("SHEET*", set()),
        ("a", set()),
        ("a/**/x/*", set()),
    ],
)
def test_a_pattern_finds_the_same_in_a_folder_and_in_a_list_of_paths(
    pattern: str, numbers: set[int], tmp_path: Path
) -> None:
    for path in PATHS:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    found = find_sheets(tmp_path, pattern)
    assert found.keys() == numbers
    assert found == match_paths(PATHS, pattern)


segment = st.sampled_from(["a", "b", "sheet1", ".a", "*", "**", "a*", "?", "*1", "sheet*", ".*"])


@settings(max_examples=60)
@given(
    paths=st.sets(st.lists(st.sampled_from(["a", "b", ".a"]), max_size=3).map(lambda parts: "/".join([*parts, "s"]))),
    pattern=st.lists(segment, min_size=1, max_size=4).map("/".join),
)
def test_folder_and_list_agree_whatever_the_pattern(
    paths: set[str], pattern: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("workspace")
    files = [path[:-1] + f"sheet{number}" for number, path in enumerate(sorted(paths), start=1)]
    for path in files:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    assert find_sheets(folder, pattern) == match_paths(files, pattern)


def test_several_files_of_one_sheet_are_sorted(tmp_path: Path) -> None:
    for name in ("sheet1-b.md", "sheet1-a.md", "sheet2.md"):
        (tmp_path / name).touch()
    assert find_sheets(tmp_path, "*.md") == {1: ["sheet1-a.md", "sheet1-b.md"], 2: ["sheet2.md"]}
    assert last_sheet(find_sheets(tmp_path, "*.md")) == 2
    assert last_sheet({}) is None


def test_folders_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "sheet9.md").mkdir()
    assert find_sheets(tmp_path, "sheet*") == {}


def test_no_workspace_is_no_sheets(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for workspace in (tmp_path / "none", tmp_path / "file", Path("bad\0name")):
        assert find_sheets(workspace, "sheet*") == {}


def test_links_are_followed_inside_the_workspace_only(tmp_path: Path) -> None:
    outside, workspace = tmp_path / "outside", tmp_path / "workspace"
    for folder in (outside, workspace / "run"):
        folder.mkdir(parents=True)
    (outside / "sheet8.md").touch()
    (workspace / "run" / "sheet1.md").touch()
    os.symlink(outside, workspace / "away")
    os.symlink(outside / "sheet8.md", workspace / "sheet8.md")
    os.symlink("run/sheet1.md", workspace / "sheet2.md")
    os.symlink("run", workspace / "last")
    os.symlink("nowhere", workspace / "sheet5.md")
    assert find_sheets(workspace, "**/sheet*") == {1: ["last/sheet1.md", "run/sheet1.md"], 2: ["sheet2.md"]}


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "sheet1.md").touch()
    os.symlink("..", tmp_path / "a" / "up")
    os.symlink(".", tmp_path / "here")
    os.symlink("self", tmp_path / "self")
    assert find_sheets(tmp_path, "**/sheet*") == {1: ["a/sheet1.md"]}


def test_a_workspace_may_itself_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "sheet1.md").touch()
    os.symlink("real", tmp_path / "link")
    assert find_sheets(tmp_path / "link", "sheet*") == {1: ["sheet1.md"]}
