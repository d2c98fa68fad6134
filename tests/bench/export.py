"""A run as JSON, in the form that ``docs/reference/bench.md`` describes."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.bench import growth
from tests.bench.report import STATISTICS, verdict
from tests.bench.results import Figure, Results, Target
from tests.bench.rounds import Sizes

__all__ = ["FORM", "as_json", "read"]

FORM = 1
"""Another number where a reader of an older form would go wrong."""


def as_json(
    about: Mapping[str, Any],
    parts: Mapping[str, Mapping[str, Any]],
    sizes: Sizes,
    results: Results,
    targets: Sequence[Target],
) -> str:
    """Return the whole run: the machine, its parts, every figure in its unit, and every target and curve that was
    measured.
    """
    curves = [growth.as_data(curve, results) for curve in growth.curves(sizes)]
    document = {
        "form": FORM,
        "machine": about,
        "sizes": dataclasses.asdict(sizes),
        "parts": [{"part": part, **noise} for part, noise in parts.items()],
        "figures": _figures(results),
        "targets": _targets(results, targets),
        "curves": [curve for curve in curves if curve is not None],
    }
    return json.dumps(document, indent=2) + "\n"


def read(result: str) -> dict[str, Any]:
    """Return a result as data.

    Raises:
        ValueError: It is no result of this form.
    """
    told = json.loads(result)
    if not isinstance(told, dict) or told.get("form") != FORM:
        raise ValueError(f"this is no result of the benchmark of form {FORM}: run `make bench` again")
    return told


def _figures(results: Results) -> list[dict[str, Any]]:
    return [
        {
            "work": work,
            "peer": peer,
            "unit": series.unit.label,
            "samples": len(series.samples()),
            **{name: series.statistic(name) * series.unit.scale for name in STATISTICS},
            "spread": series.spread(),
            "medians_of_rounds": [series.statistic("median", turn) * series.unit.scale for turn in series.rounds],
            "ratio": _ratio(results, work, peer),
        }
        for work, peers in results.works().items()
        for peer, series in peers.items()
    ]


def _ratio(results: Results, work: str, peer: str) -> dict[str, float] | None:
    ratio = results.ratio(Figure(work, peer), Figure(work))
    return None if ratio is None else dataclasses.asdict(ratio)


def _targets(results: Results, targets: Sequence[Target]) -> list[dict[str, Any]]:
    reached = []
    for target in targets:
        ratio = results.ratio(target.top, target.bottom)
        if ratio is not None:
            reached.append(
                {
                    "target": str(target),
                    "work": target.top.work,
                    "peer": _other(target),
                    "limit": target.limit,
                    "at_least": target.at_least,
                    "ratio": ratio.median,
                    "least": ratio.least,
                    "greatest": ratio.greatest,
                    "asked": target.bound(target.limit),
                    "stretch": None if target.stretch is None else target.bound(target.stretch),
                    "verdict": verdict(target, ratio.median),
                }
            )
    return reached


def _other(target: Target) -> str | None:
    """Return the peer that a target compares with at the same work, None if there is none."""
    if target.bottom is None or target.bottom.work != target.top.work:
        return None
    return target.bottom.peer if target.top.peer == Figure("").peer else target.top.peer
