"""Saves and a person's commits in random order, in a folder that lags: in the end both count."""

from pathlib import Path
from random import Random
from typing import Any

import pytest

from gitstate.format.message import Message
from gitstate.store.documents import Draft, Snapshot
from gitstate.store.store import Store
from tests.git import fsck
from tests.store.lagging import Desk
from tests.stores import NOTES

STEPS = ["save"] * 4 + ["flush"] * 2 + ["edit"] * 3 + ["commit"] * 3 + ["add", "commit one", "amend", "reset", "reopen"]


@pytest.mark.parametrize("seed", [*range(24), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(24, 400))])
def test_saves_and_a_person_s_commits_in_random_order(tmp_path: Path, seed: int) -> None:
    """Saves count one field of each document, the person another one: in the end both have counted all they did."""
    random = Random(seed)
    desk = Desk(tmp_path / "store")
    saved, committed = dict.fromkeys("ab", 0), dict.fromkeys("ab", 0)
    edited = dict.fromkeys("ab", 0)  # and not committed

    def count(current: Snapshot | None) -> Draft:
        assert current is not None
        value: Any = current.value()
        value["m"] += 1
        return Draft(Message("count", trailers=(("Gitstate-Note", current.document),)), value=value)

    for _ in range(30):
        step, document = random.choice(STEPS), random.choice("ab")
        if step == "save":
            desk.store.submit(NOTES, document, count).result()
            saved[document] += 1
        elif step == "flush":
            desk.store.flush()
        elif step == "edit":
            edited[document] += 1
            desk.edit(document, n=committed[document] + edited[document])
        elif step == "add":
            desk.git("add", "-A")
        elif step == "reset":
            desk.git("reset", "-q", "--hard")
            edited = dict.fromkeys("ab", 0)
        elif step == "reopen":
            desk.store.close()
            desk.store = Store.open(desk.path, worktree=random.choice([False, True]))
            desk.store.serve(NOTES)
        elif any(edited.values()):
            words = ["-qa", "--amend", "-m", "amended"] if step == "amend" else ["-qam", "by hand"]
            taken = list("ab")
            if step == "commit one" and edited[document]:
                words, taken = ["-qm", "one", "--", f"notes/{document}/job.json"], [document]
            desk.git("commit", *words)
            for each in taken:
                committed[each] += edited[each]
                edited[each] = 0
    desk.git("stash", "-q") if any(edited.values()) else None
    desk.store.flush()
    values = {document: desk.value(document) for document in "ab"}
    assert values == {document: {"m": saved[document], "n": committed[document]} for document in "ab"}
    desk.store.close()
    fsck(desk.path)
