"""The budgets as a table: read, compared with what was counted, and written anew by ``python -m tests.budgets``."""

from collections.abc import Mapping, Sequence

from tests.budgets.meter import KINDS, Work

__all__ = ["Row", "parse", "row", "to_text", "wrong"]

Row = Mapping[str, int]

_EXACT = {"calls", "syncs", "objects", "sql"}
"""What is the same each time, to the last one."""
_BELOW = 0.8  # of a budget; what takes less has a budget that is too large
_ABOVE = 1.05  # of a budget: zlib is not the same everywhere, and ids of executions are drawn
_ABOVE_PYTHON = 1.15  # what Python and pydantic do for a call differs between their versions
_SMALL = 30  # bytes or calls of functions, by which a count may always differ


def parse(text: str) -> dict[str, dict[str, Row]]:
    """Read a table: the rows by operation and store. Behind each operation stands its reason; columns are apart by two
    spaces.
    """
    head, *lines = (line for line in text.splitlines() if line.strip())
    kinds = head.split()
    assert tuple(kinds) == KINDS
    found: dict[str, dict[str, Row]] = {}
    operation = ""
    for line in lines:
        if not line.startswith(" "):
            operation = line.partition(":")[0]
            continue
        store, *numbers = [cell.strip() for cell in line.split("  ") if cell.strip()]
        assert len(numbers) == len(kinds), line
        counts = (int(number.replace(",", "").replace("-", "0")) for number in numbers)
        found.setdefault(operation, {})[store] = dict(zip(kinds, counts, strict=True))
    return found


def to_text(counted: Mapping[str, Mapping[str, Work]]) -> str:
    """Write a table of what was counted, by store and operation."""
    lines = [_line("", KINDS)]
    for operation in dict.fromkeys(name for works in counted.values() for name in works):
        lines.append(operation)
        lines += [row(store, works[operation]) for store, works in counted.items() if operation in works]
    return "\n".join(lines)


def row(store: str, work: Work) -> str:
    """Write one row of it."""
    return _line(store, [f"{work[kind]:,}" if work[kind] else "-" for kind in KINDS])


def _line(first: str, cells: Sequence[str]) -> str:
    return f"    {first:12}" + "".join(f"  {cell:>7}" for cell in cells)


def wrong(work: Work, budget: Row) -> list[str]:
    """Return what is not as the budget says; of what is more, all that it is made of."""
    found = []
    for kind in KINDS:
        number, most = work[kind], budget[kind]
        low, high = _bounds(kind, most)
        if number > high:
            found.append(f"{kind}: {number:,} are more than {most:,}\n{work.told(kind)}")
        elif number < low:
            found.append(f"{kind}: {number:,} are fewer than {most:,}, so the budget can be made smaller")
    return found


def _bounds(kind: str, most: int) -> tuple[float, float]:
    if kind in _EXACT or not most:
        return most, most
    above = _ABOVE_PYTHON if kind == "python" else _ABOVE
    return min(most * _BELOW, most - _SMALL), max(most * above, most + _SMALL)
