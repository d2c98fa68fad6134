"""Print a result of the benchmark as tables for a page: ``python -m tests.bench.table RESULT.json``.

The first is for the targets, the second for what each peer took at the same works.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.bench.export import read

__all__ = ["lines", "main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables of the result that a file holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.table", description=__doc__)
    parser.add_argument("result", type=Path, help="what `make bench BENCH='--json FILE'` wrote")
    options = parser.parse_args(arguments)
    try:
        told = read(options.result.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print("\n".join(lines(told)))


def lines(told: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the tables, in Markdown."""
    yield "| target | measured | over the rounds | asked | stretch | |"
    yield "|---|---:|---:|---:|---:|---|"
    for target in told["targets"]:
        over = f"{_number(target['least'])} to {_number(target['greatest'])}"
        cells = _number(target["ratio"]), over, target["asked"], target["stretch"] or "", target["verdict"]
        yield f"| {target['target']} | {' | '.join(cells)} |"
    yield ""
    yield "| work | peer | median | p99 | times gitstate |"
    yield "|---|---|---:|---:|---:|"
    works = {target["work"] for target in told["targets"]}
    for figure in told["figures"]:
        if figure["work"] in works:
            ratio = "" if figure["ratio"] is None else _number(figure["ratio"]["median"])
            p99 = _number(figure["p99"]) if figure["unit"] == "ms" else ""
            median = f"{_number(figure['median'])} {figure['unit']}"
            yield f"| {figure['work']} | {figure['peer']} | {median} | {p99} | {ratio} |"


def _number(value: float) -> str:
    """Return a number with three digits that count, at most two of them behind the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


if __name__ == "__main__":
    main()
