"""What dead processes left, and what the journal says of itself: all that is transient in a repository."""

import os
from collections.abc import Iterator

from gitstate.engine import files, locks, packs, scratch, upkeep
from gitstate.engine.check import Problem
from gitstate.engine.journal import Journal
from gitstate.engine.repository import Repository
from gitstate.engine.settling import DAMAGED

__all__ = ["look"]

_GOES = "it goes with the next write, or with --repair"


def look(repository: Repository, journal: Journal) -> Iterator[Problem]:
    """Yield what is left behind; call it under the store's lock, so that nothing of the living is taken for it."""
    for name in sorted(packs.leftovers(repository.objects / "pack")):
        yield Problem("leftover", f"objects/pack/{name}", "a dead process left it", _GOES, "warning")
    for name in upkeep.leftovers(repository):
        yield Problem("leftover", f"objects/{name}", "a dead process left it", _GOES, "warning")
    for name in scratch.leftovers(repository):
        yield Problem("leftover", f"gitstate/{name}", "a dead process left it", _GOES, "warning")
    for name in locks.leftovers(repository.private):
        yield Problem("leftover", f"gitstate/{name}", "a dead process left it", _GOES, "warning")
    common, branch = repository.common_dir, f"{repository.common_dir / repository.ref}.lock"
    left = {path for path, _ in locks.doubles(repository.private, common / "refs") if path.endswith(".lock")}
    for path in sorted(left | ({branch} if locks.is_of_the_dead(repository.private, branch) else set())):
        yield Problem("leftover", os.path.relpath(path, common), "a dead process left it", _GOES, "warning")
    aside = repository.private / DAMAGED
    if aside.is_dir():
        for name in sorted(os.listdir(aside)):
            hint = "when nothing is missing, delete it; `git index-pack` may read what is left of a pack"
            yield Problem("damaged", f"gitstate/{DAMAGED}/{name}", "it did not reach the disk whole", hint, "warning")
    if journal.is_damaged:
        hint = "the next write begins it anew; what was saved before is not lost"
        yield Problem("journal", "gitstate/journal", "its beginning cannot be read", hint, "warning")
    for record in journal.records:
        yield from _judge(repository, record.pack)


def _judge(repository: Repository, data: bytes) -> Iterator[Problem]:
    """Compare the pack of a record with the one in its place; one that is gone was joined with others, or is lost."""
    name = packs.pack_name(data[-20:])
    path = repository.objects / "pack" / (name + ".pack")
    try:
        same = files.read(path) == data
    except FileNotFoundError:
        return
    if not same:
        hint = "--repair writes it anew out of the journal"
        yield Problem("pack", f"objects/pack/{name}.pack", "it is not what the journal says", hint)
