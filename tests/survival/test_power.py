"""The power is cut at any moment: what was acknowledged is there, or, with less durability, what was lost is named.

The calls of a life of a store are recorded once; a model of a disk says what each cut may leave of them.
"""

import random
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path

import pytest

from gitstate.engine import background, journal
from gitstate.engine.git import GitEngine
from tests.survival.calls import Step
from tests.survival.power import (
    Record,
    cuts,
    cuts_of_what_no_sync_kept,
    losses,
    record,
    sync_kinds,
    without_sync,
)
from tests.survival.workloads import life

# Each of these calls waits for the disk, and the promise of "full" rests on it.
NEEDED = [
    "fdatasync state/.git/gitstate/journal",
    "fsync state",
    "fsync state/.git",
    "fsync state/.git/HEAD.new",
    "fsync state/.git/config.new",
    "fsync state/.git/gitstate",
    "fsync state/.git/gitstate/ring-#",
    "fsync state/.git/objects",
    "fsync state/.git/objects/gitstate-fold/pack-*.pack",
    "fsync state/.git/objects/pack",
    "fsync state/.git/objects/pack/pack-*.pack",
    "fsync state/.git/objects/pack/tmp_idx_gitstate_#_#",
    "fsync state/.git/refs",
    "fsync state/.git/refs/heads",
]


@pytest.fixture(scope="module", autouse=True)
def _short_turns() -> Iterator[None]:
    """Let checkpoints come while saves go on, and the journal go over its end, several times in a short life; and let
    who finds a lock that is not his give up soon.
    """
    defaults = GitEngine.__init__.__kwdefaults__
    assert defaults is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(background, "_RECORDS", 6)
        patch.setattr(journal, "_SIZE", 32 << 10)
        patch.setattr(journal, "_LARGEST", 8 << 10)
        patch.setitem(defaults, "ref_timeout", 0.5)
        yield


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A recorded life with full durability."""
    return record(tmp_path_factory.mktemp("full") / "disk", partial(life, saves=24))


@pytest.fixture(scope="module")
def known_normal(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """The same with normal durability."""
    return record(tmp_path_factory.mktemp("normal") / "disk", partial(life, saves=24, durability="normal"))


@pytest.fixture
def another_boot(known: Record, known_normal: Record, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start the machine anew after the records."""
    monkeypatch.setattr(journal, "boot_id", lambda: "another")
    yield


def moments(known: Record, count: int) -> list[int]:
    return sorted(random.Random(1).sample(range(1, len(known.steps) + 1), count))


@pytest.mark.usefixtures("another_boot")
def test_full_durability_loses_no_acknowledged_save(known: Record, scratch: Path) -> None:
    found = list(cuts(known, moments(known, 20), singles=1, mixtures=1))
    assert len(found) > 40
    assert list(losses(known, found, scratch)) == []


@pytest.mark.usefixtures("another_boot")
def test_normal_durability_falls_back_to_a_whole_revision_and_says_so(known_normal: Record, scratch: Path) -> None:
    found = list(cuts(known_normal, moments(known_normal, 20), singles=1, mixtures=1))
    assert len(found) > 40
    # What is lost may be named in more places than the branch, and only git looks at all of them.
    assert list(losses(known_normal, found, scratch, thorough=1, may_lose=True)) == []


@pytest.mark.usefixtures("another_boot")
@pytest.mark.parametrize("kind", NEEDED)
def test_a_program_that_forgets_one_kind_of_sync_is_found_out(known: Record, scratch: Path, kind: str) -> None:
    assert kind in sync_kinds(known.steps)
    forgetful = without_sync(known, kind)
    waits = [end for end, step in enumerate(known.steps, 1) if isinstance(step, Step) and step.kind == kind]
    soon = sorted({end for wait in waits for end in range(wait, min(wait + 20, len(known.steps)))})
    later = random.Random(5).sample(range(1, len(known.steps)), 200)
    found_at_once = losses(forgetful, cuts_of_what_no_sync_kept(known, forgetful, soon[:20]), scratch, thorough=1)
    found_later = losses(forgetful, cuts(forgetful, later, singles=0, mixtures=2), scratch)
    found_soon = losses(forgetful, cuts(forgetful, soon, singles=0, mixtures=1), scratch, thorough=1)
    # The cheapest search first: what none of them finds is not found.
    assert next(chain(found_at_once, found_later, found_soon), None) is not None


@pytest.mark.long
@pytest.mark.usefixtures("another_boot")
@pytest.mark.parametrize("durability", ["full", "normal"])
def test_cuts_after_every_step(known: Record, known_normal: Record, scratch: Path, durability: str) -> None:
    lived = known if durability == "full" else known_normal
    found = cuts(lived, range(1, len(lived.steps) + 1), singles=4, mixtures=3)
    assert list(losses(lived, found, scratch, may_lose=durability == "normal")) == []
