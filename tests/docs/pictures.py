"""Draws docs/pictures from a real run: ``make pictures``.

A store is made with a clock that goes as we say, and commands look at it on a terminal with colours; what that shows
becomes an SVG. So two runs draw the same, but for what the program itself shows in another way.
"""

import asyncio
import io
import re
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from gitstate import CheckpointState, GitStateBackend
from tests.cli.test_terminal import on_terminal
from tests.clocks import Clock
from tests.docs.pages import PROJECT

__all__ = ["FOLDER", "PICTURES", "drawn", "text_of"]

FOLDER = PROJECT / "docs" / "pictures"

_COLUMNS = 96
_SHEETS = "jobs/nightly/sheets"

PICTURES: Mapping[str, tuple[str, ...]] = {
    "diff": ("gitstate diff nightly ~4 ~2", f"git diff -U1 HEAD~4 HEAD~2 -- {_SHEETS}"),
    "log": ("gitstate log nightly", "gitstate attempts nightly"),
}
"""The commands of each picture."""

_THEME = TerminalTheme(
    (24, 28, 36),
    (214, 220, 228),
    [
        (92, 99, 112),
        (240, 113, 120),
        (152, 195, 121),
        (229, 192, 123),
        (97, 175, 239),
        (198, 146, 233),
        (86, 199, 214),
        (214, 220, 228),
    ],
)

# A window with a ground of its own, so that it can be read on a light page and on a dark one; and with the fonts of who
# looks at it, so that nothing is fetched.
_SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""

_SVG_TEXT = "{http://www.w3.org/2000/svg}text"


def drawn() -> dict[str, str]:
    """Return the pictures, by name, as SVG."""
    with tempfile.TemporaryDirectory(prefix="gitstate-pictures-") as name, pytest.MonkeyPatch.context() as patches:
        home, folder = Path(name), Path(name) / "my-state"
        (home / ".gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
        for variable, value in (("HOME", name), ("XDG_CONFIG_HOME", name), ("GIT_CONFIG_NOSYSTEM", "1"), ("TZ", "UTC")):
            patches.setenv(variable, value)
        with pytest.MonkeyPatch.context() as clocks:
            asyncio.run(_life_of_a_job(folder, Clock(clocks)))
        return {picture: _draw(picture, folder, commands) for picture, commands in PICTURES.items()}


async def _life_of_a_job(folder: Path, clock: Clock) -> None:
    """Three sheets, the second of which fails once."""
    async with GitStateBackend(folder) as backend:
        state = CheckpointState(job_id="nightly", job_name="Nightly report", total_sheets=3, created_at=clock.now)
        for sheet, taken, error in ((1, 42, ""), (2, 13, "no space left on device"), (2, 38, ""), (3, 40, "")):
            state.mark_sheet_started(sheet)
            await backend.save(state)
            clock.now += timedelta(seconds=taken)
            if error:
                state.mark_sheet_failed(sheet, error, exit_code=28, execution_duration_seconds=float(taken))
            else:
                state.mark_sheet_completed(sheet, execution_duration_seconds=float(taken))
            await backend.save(state)
            clock.now += timedelta(seconds=300 if error else 2)


def _draw(name: str, folder: Path, commands: tuple[str, ...]) -> str:
    console = Console(
        record=True,
        width=_COLUMNS,
        file=io.StringIO(),
        force_terminal=True,
        color_system="standard",
        legacy_windows=False,
        _environ={},
    )
    for number, command in enumerate(commands):
        prompt = Text.assemble(("$ ", "green"), (command, "bold"))
        console.print(*([Text()] if number else []), prompt, sep="\n")
        for line in _shown(folder, command).strip("\n").splitlines():
            console.print(Text.from_ansi(line), soft_wrap=True)
    svg = console.export_svg(title="", theme=_THEME, code_format=_SVG, unique_id=f"gitstate-{name}")
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)


def _shown(folder: Path, command: str) -> str:
    """Return what a command shows on a terminal."""
    program, *arguments = command.split()
    if program == "git":
        coloured: list[str | Path] = [program, "-C", folder, "-c", "color.ui=always", *arguments]
        return subprocess.run(coloured, capture_output=True, text=True, check=True).stdout
    status, shown = on_terminal("--store", folder, *arguments, COLUMNS=str(_COLUMNS))
    if status:
        raise RuntimeError(f"{command} ended with {status}: {shown}")
    return shown


def text_of(svg: str) -> str:
    """Return the text of a picture, line by line, each word in its column."""
    lines: dict[float, str] = {}
    for piece in ElementTree.fromstring(svg).iter(_SVG_TEXT):
        text = "".join(piece.itertext()).replace("\N{NO-BREAK SPACE}", " ")
        wide = float(piece.attrib["textLength"]) / len(text) if text else 1.0
        line = lines.get(float(piece.attrib["y"]), "")
        lines[float(piece.attrib["y"])] = line.ljust(round(float(piece.attrib["x"]) / wide)) + text
    return "\n".join(lines[y].rstrip() for y in sorted(lines))


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, svg in drawn().items():
        (FOLDER / f"{name}.svg").write_text(svg, encoding="utf-8")
