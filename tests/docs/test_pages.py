"""Everything that a page shows is run, in order, in a folder of its own; what it mentions exists."""

import re
from pathlib import Path

import pytest

from gitstate.cli.main import cli
from tests.docs.pages import PROJECT, Block, blocks, commands, pages, shows
from tests.docs.shell import Shell, environment

_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_SOURCE = re.compile(r"`(?P<path>(?:gitstate|backends|store|format|engine|values|cli|docs|tests)/[\w./-]*)`")
_HEADING = re.compile(r"^#+ (?P<text>.*)$", re.MULTILINE)
_CODE = ("python", "console")
_STARTED = ("README.md", "docs/tutorial.md")  # the pages whose commands are started, and not forked


def _name(page: Path) -> str:
    return page.relative_to(PROJECT).as_posix()


_WITH_CODE = [page for page in pages() if any(block.language in _CODE for block in blocks(page))]


@pytest.mark.parametrize("page", _WITH_CODE, ids=_name)
def test_what_a_page_shows_happens(
    page: Path,
    tmp_path: Path,
    forking: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    names: dict[str, object] = {"__name__": "page"}
    printed = ""
    with Shell(tmp_path, environment() if _name(page) in _STARTED else forking) as shell:
        for block in blocks(page):
            where = f"{_name(page)}:{block.line}"
            if block.language == "console":
                for command, expected in commands(block):
                    actual = shell.run(command)
                    assert shows(expected, actual), f"{where}: $ {command}\n--- shown\n{expected}\n--- said\n{actual}"
            elif block.file is not None:
                (shell.folder() / block.file).write_text(block.text)
            elif block.language == "python":
                monkeypatch.chdir(shell.folder())
                _execute(block, where, names)
                printed = capfd.readouterr().out
                monkeypatch.chdir(PROJECT)
            elif block.language == "text" and block.follows == "python":
                assert shows(block.text, printed), f"{where}: shown\n{block.text}\n--- printed\n{printed}"


def _execute(block: Block, where: str, names: dict[str, object]) -> None:
    padding = "\n" * (block.line - 1)  # so that a traceback names the line of the page
    exec(compile(padding + block.text, where.split(":")[0], "exec"), names)


def test_the_readme_and_the_tutorial_are_run() -> None:
    assert {"README.md", "docs/tutorial.md"} <= {_name(page) for page in _WITH_CODE}


@pytest.mark.parametrize("page", pages(), ids=_name)
def test_links_and_files_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in _LINK.finditer(text):
        target, _, anchor = link["target"].partition("#")
        if "://" in target:
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{_name(page)} links to {target}"
        if anchor:
            anchors = {_anchor(heading["text"]) for heading in _HEADING.finditer(file.read_text(encoding="utf-8"))}
            assert anchor in anchors, f"{_name(page)} links to #{anchor}"
    for mention in _SOURCE.finditer(text):
        path = mention["path"]
        homes = [PROJECT / path, PROJECT / "gitstate" / path]
        assert any(home.exists() for home in homes), f"{_name(page)} mentions {path}"


def _anchor(heading: str) -> str:
    """Return the anchor that git servers give to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_module_has_a_line_on_the_page_of_modules() -> None:
    text = (PROJECT / "docs/design/0001-modules.md").read_text(encoding="utf-8")
    map_of_modules = text.partition("```text\n")[2].partition("```")[0]
    said = set(re.findall(r"\w+", map_of_modules))
    modules = {path.stem for path in (PROJECT / "gitstate").rglob("*.py")}
    assert {name for name in modules if not name.startswith("__")} <= said


def test_plain_git_is_told_of_for_every_verb() -> None:
    text = (PROJECT / "docs/how-to/do-it-with-plain-git.md").read_text(encoding="utf-8")
    told = set(re.findall(r"gitstate ([a-z-]+)", text))
    verbs = {name for name, command in cli.commands.items() if not command.hidden}
    assert verbs - told == set(), "say which git command does the same, or that none does"


def test_make_targets_that_pages_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target for page in pages() for target in re.findall(r"(?:^|`)make ([a-z]+)\b", page.read_text(), re.MULTILINE)
    }
    assert {"demo", "test"} <= named <= targets


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        ("a\nb", "a\nb\n", True),
        ("a\nb", "a\nc\n", False),
        ("a", "a\nb\n", False),
        ("a\n...", "a\nb\nc\n", True),
        ("...\nb", "a\n", False),
        ("at ... end", "at the end\n", True),
        ("at ... end", "at the\nend\n", False),
        ("1234abc x", "ffff000 x\n", True),
        ("2026-01-01 00:00:00Z", "2027-02-02 11:22:33Z\n", True),
        ("", "", True),
        ("", "noise\n", False),
        ("a.b", "axb\n", False),
    ],
)
def test_outputs_are_compared_as_the_pages_mean_it(expected: str, actual: str, same: bool) -> None:
    assert shows(expected, actual) is same


def test_words_stand_in_the_order_of_the_alphabet() -> None:
    text = (PROJECT / "docs/reference/glossary.md").read_text(encoding="utf-8")
    words = re.findall(r"^\| \*\*(.*?)\*\* \|", text, re.MULTILINE)
    assert words == sorted(set(words)) and len(words) > 50
