"""What ``make site`` builds has every page, and its links hold. mkdocs itself is not run here."""

import os
import re
from collections import Counter
from itertools import pairwise

import pytest

from tests.docs import website
from tests.docs.pages import PROJECT, pages

_PAGES = [page.relative_to(PROJECT).as_posix() for page in pages()] + ["CHANGELOG.md"]
_SETTINGS = (PROJECT / "mkdocs.yml").read_text(encoding="utf-8")


def test_every_page_has_one_place_in_the_navigation() -> None:
    navigation = _SETTINGS.partition("\nnav:\n")[2]
    named = Counter(re.findall(r": (\S+\.md)$", navigation, re.MULTILINE))
    assert named == Counter(map(website.place_of, _PAGES))


@pytest.mark.parametrize("page", _PAGES)
def test_links_of_a_page_hold_on_the_site(page: str) -> None:
    text = (PROJECT / page).read_text(encoding="utf-8")
    files = list(website.linked(text, page))
    for file in files:
        assert (PROJECT / file).is_file(), f"{page} links to {file}, which is no file"
    there = {website.place_of(file) for file in files}
    here = website.place_of(page)
    on_site = "".join(piece for piece, is_code in website.prose_and_code(website.site_text(text, page)) if not is_code)
    for target in re.findall(r"\]\(([^)\s#]+)", on_site):
        if "://" not in target:
            assert os.path.normpath(os.path.join(os.path.dirname(here), target)) in there


@pytest.mark.parametrize("page", _PAGES)
def test_a_page_has_one_title(page: str) -> None:
    prose = "".join(
        piece for piece, is_code in website.prose_and_code((PROJECT / page).read_text(encoding="utf-8")) if not is_code
    )
    assert prose.startswith("# ") and len(re.findall(r"^# ", prose, re.MULTILINE)) == 1
    levels = [len(marks) for marks in re.findall(r"^(#+) ", prose, re.MULTILINE)]
    assert all(after <= before + 1 for before, after in pairwise(levels))


@pytest.mark.parametrize(
    ("text", "page", "expected"),
    [
        ("[a](docs/caveats.md#sync)", "README.md", "[a](caveats.md#sync)"),
        ("![a\nb](docs/pictures/log.svg)", "README.md", "![a\nb](pictures/log.svg)"),
        ("[a](tests/git.py)", "README.md", "[a](source/tests/git.py.txt)"),
        ("[a](../../tests/git.py)", "docs/concepts/sync.md", "[a](../source/tests/git.py.txt)"),
        ("[a](../../README.md)", "docs/concepts/sync.md", "[a](../index.md)"),
        ("[a](#b), [c](https://example.org/d)", "README.md", "[a](#b), [c](https://example.org/d)"),
        ("```python file=a.py\n[a](docs/b.md)\n```", "README.md", "```python\n[a](docs/b.md)\n```"),
    ],
)
def test_a_page_on_the_site(text: str, page: str, expected: str) -> None:
    assert website.site_text(text, page) == expected


def test_a_page_is_known_by_its_place() -> None:
    assert [website.origin_of(website.place_of(page)) for page in _PAGES] == _PAGES


def test_the_site_fetches_nothing() -> None:
    assert "highlightjs: false" in _SETTINGS and "://" not in _SETTINGS
