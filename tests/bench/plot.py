"""Draw a result of the benchmark: ``python -m tests.bench.plot RESULT.json FOLDER``.

``growth`` shows the curves, ``ratios`` how each peer compares where there is a target, both as PNG and SVG. The same
result gives the same bytes. What is drawn is readable on light and on dark pages: there is no background.
"""

import argparse
import math
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from PIL import Image

from tests.bench.export import read

__all__ = ["draw", "main"]

_OURS = "gitstate"
_TEXT = "#7d8590"  # grey enough for both kinds of page
_COLUMNS = 2
_WIDTH = 9.0  # inches
_COLORS = 128  # of a PNG
_SETTINGS = {
    **{f"{part}color": _TEXT for part in ("text.", "axes.label", "axes.edge", "xtick.", "ytick.", "grid.")},
    "axes.titlecolor": _TEXT,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 9,
    "font.sans-serif": ["DejaVu Sans"],  # it comes with matplotlib; else each text of an SVG names a dozen
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "savefig.transparent": True,
    "savefig.dpi": 110,
    "svg.fonttype": "none",
    "svg.hashsalt": "gitstate",
}


class _Style(NamedTuple):
    """How peers of a family look: they are told by their marker, too."""

    family: str
    color: str
    marker: str
    line: str = "-"


# A peer has the style of the first of these that its name begins with.
_STYLES = {
    "gitstate, durability normal": _Style("gitstate, durability normal", "#2f81f7", "o", "--"),
    "gitstate, mapped files too": _Style("gitstate, mapped files too", "#2f81f7", "o", ":"),
    _OURS: _Style(_OURS, "#2f81f7", "o"),
    "JSON": _Style("JSON file", "#bf8700", "s"),
    "aiosqlite": _Style("aiosqlite", "#2da44e", "^"),
    "SQL": _Style("aiosqlite", "#2da44e", "^"),
    "LangGraph": _Style("LangGraph", "#d6539b", "D"),
    "pygit2": _Style("pygit2", "#a371f7", "v"),
    "git": _Style("git's own commands", "#e5672e", "P"),
    "": _Style("others", _TEXT, "X"),
}
_WORDS = ("git, or", "the save")  # so the limits begin that are no peer's
_NARROW = 10.0  # an axis of milliseconds spans as much or more: what is flat shall look flat


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the result that a file holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.plot", description=__doc__)
    parser.add_argument("result", type=Path, help="what `make bench BENCH='--json FILE'` wrote")
    parser.add_argument("folder", type=Path, help="where the pictures go")
    options = parser.parse_args(arguments)
    try:
        for path in draw(options.result.read_text(encoding="utf-8"), options.folder):
            print(path)
    except (OSError, ValueError) as error:
        parser.error(str(error))


def draw(result: str, folder: Path) -> list[Path]:
    """Draw what a result has of curves and ratios, and return the files.

    Raises:
        ValueError: It is no result of this form.
    """
    told = read(result)
    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(_SETTINGS):
        figures = {"growth": _growth(told["curves"]), "ratios": _ratios(told)}
        return [path for name, figure in figures.items() if figure for path in _saved(figure, folder, name)]


def _saved(figure: Figure, folder: Path, name: str) -> list[Path]:
    png, svg = (folder / f"{name}.{form}" for form in ("png", "svg"))
    figure.savefig(svg, metadata={"Date": None, "Creator": None})
    drawn = BytesIO()
    figure.savefig(drawn, format="png")
    with Image.open(drawn) as image:
        image.quantize(_COLORS, Image.Quantize.FASTOCTREE).save(png, optimize=True)  # a third of the bytes
    return [png, svg]


def _growth(curves: Sequence[dict[str, Any]]) -> Figure | None:
    if not curves:
        return None
    rows = -(-len(curves) // _COLUMNS)
    figure = Figure(figsize=(_WIDTH, 2.5 * rows + 0.8), layout="constrained")
    panels = list(figure.subplots(rows, _COLUMNS, squeeze=False).flat)
    for panel, curve in zip(panels, curves, strict=False):
        _draw_curve(panel, curve)
    for panel in panels[len(curves) :]:
        panel.set_axis_off()
    _add_legend(figure, [line["peer"] for curve in curves for line in curve["lines"]])
    return figure


def _draw_curve(panel: Axes, curve: dict[str, Any]) -> None:
    for line in curve["lines"]:
        style = _style(line["peer"])
        size, median, least, greatest = (
            [point[name] for point in line["points"]] for name in ("size", "median", "least", "greatest")
        )
        panel.fill_between(size, least, greatest, color=style.color, alpha=0.12, linewidth=0)
        panel.plot(size, median, **_look(style), linewidth=2 if line["peer"] == _OURS else 1.2)
    panel.set(title=curve["curve"], xlabel=curve["grows"], ylabel=curve["unit"])
    _set_sizes(panel, [point["size"] for point in curve["lines"][0]["points"]])
    if curve["unit"] == "ms":
        _set_powers(panel, "y")
        low, high = panel.get_ylim()
        more = math.sqrt(max(1.0, _NARROW * low / high))
        panel.set_ylim(low / more, high * more)
    else:
        panel.set_ylim(bottom=0)
        panel.yaxis.set(major_locator=MaxNLocator(5), major_formatter=FuncFormatter(_number))


def _set_sizes(panel: Axes, sizes: Sequence[int]) -> None:
    """Let an axis have a number at each size; where these are many steps of one width, at some of them."""
    if len(sizes) > 2 and sizes[2] - sizes[1] == sizes[1] - sizes[0]:
        panel.set_xlim(left=0)
        panel.xaxis.set(major_locator=MaxNLocator(5))
    else:
        panel.set_xscale("log")
        panel.set_xticks(sizes)
        panel.xaxis.set(minor_locator=NullLocator())
    panel.xaxis.set(major_formatter=FuncFormatter(_number))


def _set_powers(panel: Axes, which: str) -> None:
    """Let an axis go by powers of ten, with numbers that people read."""
    panel.set(**{f"{which}scale": "log"})
    axis = panel.xaxis if which == "x" else panel.yaxis
    axis.set(
        major_locator=LogLocator(subs=(1.0, 2.0, 5.0)),
        minor_locator=NullLocator(),
        major_formatter=FuncFormatter(_number),
    )


def _ratios(told: dict[str, Any]) -> Figure | None:
    """Draw how many times as long as ours each peer takes, and where the targets want it."""
    asked = [target for target in told["targets"] if target["peer"] not in (None, _OURS)]
    works = list(dict.fromkeys(target["work"] for target in asked))
    figures = [figure for figure in told["figures"] if figure["work"] in works and _is_peer(figure)]
    works = [work for work in works if any(figure["work"] == work for figure in figures)]
    if not works:
        return None
    figure = Figure(figsize=(_WIDTH, 0.27 * len(works) + 1.8), layout="constrained")
    panel = figure.subplots()
    for each in figures:
        _draw_ratio(panel, works.index(each["work"]), each)
    for target in asked:
        if target["work"] in works and not target["peer"].startswith(_WORDS):
            limit = target["limit"] if target["at_least"] else 1 / target["limit"]
            color = _style(target["peer"]).color
            panel.plot(limit, works.index(target["work"]), marker="|", markersize=12, color=color, linestyle="")
    panel.axvline(1, color=_style(_OURS).color, linewidth=2)
    _set_powers(panel, "x")
    panel.set_yticks(range(len(works)), works)
    panel.set_ylim(len(works) - 0.5, -0.5)
    panel.set(xlabel="times as long as gitstate; a target is reached at its bar | or right of it")
    panel.set_title("gitstate is slower ←", loc="left")
    panel.set_title("→ gitstate is faster", loc="right")
    _add_legend(figure, [_OURS, *(each["peer"] for each in figures)])
    return figure


def _is_peer(figure: dict[str, Any]) -> bool:
    peer = figure["peer"]
    return figure["ratio"] is not None and not peer.startswith((_OURS, *_WORDS))


def _draw_ratio(panel: Axes, row: int, figure: dict[str, Any]) -> None:
    style = _style(figure["peer"])
    middle, *ends = (figure["ratio"][name] for name in ("median", "least", "greatest"))
    if figure["unit"] != "ms":  # a rate: who takes twice as long reaches half of it
        middle, *ends = (1 / ratio for ratio in (middle, *ends))
    panel.plot(ends, [row, row], color=style.color, linewidth=3, alpha=0.3)
    panel.plot(middle, row, **_look(style))


def _add_legend(figure: Figure, peers: Iterable[str]) -> None:
    """Name the peers, ours first; several that look the same have the name of their family."""
    named: dict[_Style, set[str]] = {}
    for peer in peers:
        named.setdefault(_style(peer), set()).add(peer)
    lines = []
    for style in sorted(named, key=lambda style: (style.family != _OURS, list(_STYLES.values()).index(style))):
        label = style.family if len(named[style]) > 1 else next(iter(named[style]))
        lines.append(Line2D([], [], label=label, **_look(style)))
    figure.legend(handles=lines, loc="outside lower center", ncols=3)


def _style(peer: str) -> _Style:
    return next(style for name, style in _STYLES.items() if peer.startswith(name))


def _look(style: _Style) -> dict[str, Any]:
    return {"color": style.color, "marker": style.marker, "markersize": 5, "linestyle": style.line}


def _number(value: float, _: object = None) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


if __name__ == "__main__":
    main()
