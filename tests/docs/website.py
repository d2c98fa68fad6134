"""Makes of the pages what mkdocs can build; mkdocs.yml names this as a hook, and ``make site`` runs it.

The pages are written for a git server, where they may link to any file of the project. A web site has only docs/: so
the README becomes its first page, the changelog a page too, and each other file that a page links to goes along as
text.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

__all__ = ["PAGES_OUTSIDE", "linked", "origin_of", "place_of", "prose_and_code", "site_text"]

PAGES_OUTSIDE = {"README.md": "index.md", "CHANGELOG.md": "changelog.md"}
"""Pages that lie outside of docs/, and what they are called on the site."""

_PROJECT = Path(__file__).parents[2]
_DOCS = "docs/"
_CODE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?P<before>\[[^\]]*\]\()(?P<target>[^)\s#]+)(?P<after>(?:#[^)\s]*)?\))")
_FILE = re.compile(r"^(```\w+) file=\S+$", re.MULTILINE)


def prose_and_code(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the pieces of a page in order, and of each whether it is a block of code."""
    for number, piece in enumerate(_CODE.split(text)):
        yield piece, bool(number % 2)


def origin_of(place: str) -> str:
    """Return which file of the project a page of the site is; both are paths."""
    outside = {page: file for file, page in PAGES_OUTSIDE.items()}
    return outside.get(place, _DOCS + place)


def place_of(file: str) -> str:
    """Return where a file of the project lies on the site."""
    if file in PAGES_OUTSIDE:
        return PAGES_OUTSIDE[file]
    return file.removeprefix(_DOCS) if file.startswith(_DOCS) else f"source/{file}.txt"  # which a browser shows


def linked(text: str, file: str) -> Iterator[str]:
    """Yield the files of the project that the text of a page links to; ``file`` is the page."""
    for piece, is_code in prose_and_code(text):
        if not is_code:
            targets = (link["target"] for link in _LINK.finditer(piece))
            yield from (_resolved(target, file) for target in targets if "://" not in target)


def site_text(text: str, file: str) -> str:
    """Return the text of a page with links that hold on the site, and blocks of code as mkdocs reads them."""
    here = os.path.dirname(place_of(file))

    def moved(link: re.Match[str]) -> str:
        target = link["target"]
        if "://" not in target:
            target = os.path.relpath(place_of(_resolved(target, file)), here or ".")
        return link["before"] + target + link["after"]

    return "".join(
        _FILE.sub(r"\1", piece) if is_code else _LINK.sub(moved, piece) for piece, is_code in prose_and_code(text)
    )


def _resolved(target: str, file: str) -> str:
    return os.path.normpath(os.path.join(os.path.dirname(file), target))


def _pages() -> Iterator[str]:
    yield from PAGES_OUTSIDE
    yield from (path.relative_to(_PROJECT).as_posix() for path in sorted((_PROJECT / "docs").rglob("*.md")))


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """Add what lies outside of docs/."""
    from mkdocs.structure.files import File

    wanted = {file for page in _pages() for file in linked((_PROJECT / page).read_text(encoding="utf-8"), page)}
    wanted |= set(PAGES_OUTSIDE)
    for file in sorted(file for file in wanted if not file.startswith(_DOCS)):
        files.append(File.generated(config, place_of(file), abs_src_path=str(_PROJECT / file)))
    return files


def on_page_markdown(markdown: str, page: "Page", config: "MkDocsConfig", files: "Files") -> str:
    """Give mkdocs the page as it is on the site."""
    return site_text(markdown, origin_of(page.file.src_uri))
