"""A run as tables for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.bench.results import Figure, Results, Target, Unit

__all__ = ["STATISTICS", "print_figures", "print_machine", "print_parts", "print_targets", "verdict"]

STATISTICS = ("median", "p99", "mean")
_WIDTH = 66


def print_machine(about: dict[str, Any]) -> None:
    """Print what the numbers depend on."""
    print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in about.items()))


def print_parts(parts: Mapping[str, Mapping[str, Any]]) -> None:
    """Print how long each part took, and what else the machine did meanwhile."""
    print(f"\n{'part':<16}{'seconds':>9}{'load average':>14}{'used by others':>16}{'stolen by the host':>20}")
    for part, noise in parts.items():
        shares = [noise.get(f"{name}_percent") for name in ("others", "steal")]
        others, steal = ("" if share is None else f"{share:.1f} %" for share in shares)
        print(f"{part:<16}{noise['seconds']:>9.1f}{noise['load_average']:>14.2f}{others:>16}{steal:>20}")


def print_figures(results: Results) -> None:
    """Print a table for each kind of work: each peer's numbers, how its rounds differ, and its ratio to gitstate."""
    for work, peers in results.works().items():
        unit = next(iter(peers.values())).unit
        names = STATISTICS if unit is Unit.MS else STATISTICS[:1]
        heads = "".join(f"{name:>11}" for name in (*names, "+- %", "x gitstate"))
        print(f"\n{f'{work} ({unit.label})':<{_WIDTH}}{heads}")
        for peer, series in peers.items():
            cells = "".join(f"{series.statistic(name) * unit.scale:>11.3f}" for name in names)
            spread = series.spread()
            cells += f"{'' if spread is None else f'{spread * 100:.1f}':>11}"
            ratio = results.ratio(Figure(work, peer), Figure(work))
            print(f"  {peer:<{_WIDTH - 2}}{cells}" + (f"{ratio.median:>11.2f}" if ratio is not None else ""))


def print_targets(results: Results, targets: Sequence[Target]) -> None:
    """Print each target that was measured: the ratio, its range over the rounds, and whether it was reached."""
    print(f"\n{'target':<78}{'ratio':>8}{'over the rounds':>18}{'asked':>9}{'stretch':>9}")
    for target in targets:
        ratio = results.ratio(target.top, target.bottom)
        if ratio is None:
            continue
        stretch = "" if target.stretch is None else target.bound(target.stretch)
        over = f"{ratio.least:.2f} to {ratio.greatest:.2f}"
        print(
            f"{target!s:<78}{ratio.median:>8.2f}{over:>18}{target.bound(target.limit):>9}{stretch:>9}"
            f"  {verdict(target, ratio.median)}"
        )


def verdict(target: Target, value: float) -> str:
    """Return whether a target was reached, in words."""
    if not target.holds(value, target.limit):
        return "NOT REACHED"
    return "reached" if target.stretch is None or not target.holds(value, target.stretch) else "stretch reached"
