"""People use plain git in the folder of a store into which a process keeps saving: both get what they asked for."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.git import git
from tests.survival.people import Person, prepare

Act = Callable[[Person], None]


@pytest.fixture
def person(scratch: Path) -> Person:
    prepare(scratch / "state")
    return Person(scratch / "state", scratch / "acknowledged")


# What people do: each of these leaves the folder on the branch, with nothing but their own notes uncommitted


def add_and_commit(person: Person) -> None:
    """Edit a job, stage it, and commit a moment later."""
    name = person.rename("nightly")
    person.idle()
    person.git("add", "jobs/nightly/job.json")
    person.idle()
    person.git("commit", "-qm", "Call it something else", "--", "jobs/nightly/job.json")
    person.names["nightly"] = name


def commit_what_is_staged(person: Person) -> None:
    """Commit the whole index, with whatever it says of all other files."""
    for job in ("nightly", "weekly"):
        person.names[job] = person.rename(job)
        person.git("add", f"jobs/{job}/job.json")
        person.idle()
    person.git("commit", "-qm", "Call them something else")
    person.status = {line for line in person.status if not line.startswith("A")}


def commit_all(person: Person) -> None:
    name = person.rename("nightly")
    person.idle()
    person.git("commit", "-qam", "Call it something else")
    person.names["nightly"] = name
    person.status = {line for line in person.status if line.startswith("?")}


def amend(person: Person) -> None:
    """Give the last save, which nobody has pushed, other words; and another time an edit."""
    person.git("commit", "-q", "--amend", "-m", "In other words")
    person.idle()
    name = person.rename("growing")
    person.idle()
    person.git("commit", "-qa", "--amend", "--no-edit")
    person.names["growing"] = name
    person.status = {line for line in person.status if line.startswith("?")}


def reset(person: Person) -> None:
    """Throw away what is not committed, which is all that this asks for."""
    for _ in range(8):
        person.rename("nightly")
        person.wait(1)
        person.git("reset", "-q", "--hard")
    drop_notes(person)


def reset_mixed(person: Person) -> None:
    person.names["nightly"] = person.rename("nightly")
    person.git("add", "jobs/nightly/job.json")
    person.idle()
    person.git("reset", "-q")
    person.idle()
    person.git("commit", "-qm", "After all", "--", "jobs/nightly/job.json")
    if "A  todo.txt" in person.status:
        person.status = person.status - {"A  todo.txt"} | {"?? todo.txt"}


def reset_back(person: Person) -> None:
    """Drop the last saves: those are given up, and no others. Who had built on one of them is told so."""
    person.allowed.add("conflict")
    person.idle()
    person.git("reset", "-q", "--hard", "HEAD~3")
    person.give_up()
    drop_notes(person)


def check_out_another_branch(person: Person) -> None:
    """Look at another branch: saving goes on to the store's own, and the folder is left alone."""
    with person.while_it_pauses():
        person.git("checkout", "-q", "elsewhere")
    before, shown = person.git("rev-parse", "main"), person.git("ls-files", "-s")
    person.wait(50)
    assert person.git("ls-files", "-s") == shown
    assert set(person.git("status", "--porcelain").splitlines()) == person.status
    assert person.git("rev-parse", "main") != before
    person.git("checkout", "-q", "main")


def stash(person: Person) -> None:
    """Put edits away, and take them out again later: what was saved in between stays."""
    person.install_attributes()
    with person.while_it_pauses():  # git puts away all that the folder has not, so that must not lag
        name = person.rename("nightly")
        person.git("stash", "-q")
    person.wait(1)
    with person.while_it_pauses():
        person.git("stash", "pop", "-q", "--index")
    person.wait(1)
    person.git("commit", "-qm", "Call it something else", "--", "jobs/nightly/job.json")
    person.names["nightly"] = name


def stash_for_good(person: Person) -> None:
    """Put edits away at whatever moment, and forget them."""
    for _ in range(8):
        person.rename("nightly")
        person.git("stash", "-q")
        person.wait(1)
    person.git("stash", "clear")
    drop_notes(person)


def merge(person: Person) -> None:
    """Merge a branch that edited a job which nobody saves."""
    person.branch_that_edits("side")
    with person.while_it_pauses():
        person.git("merge", "-q", "--no-edit", "side")


def revert(person: Person) -> None:
    """Take back a commit of one's own: git merges by field, once it was told how."""
    person.install_attributes()
    with person.while_it_pauses():
        person.rename("nightly")
        person.git("commit", "-qam", "A mistake")
        mistake = person.git("rev-parse", "HEAD").strip()
    person.wait(1)
    with person.while_it_pauses():
        person.git("revert", "--no-edit", mistake)


def rebase(person: Person) -> None:
    """Bring a branch of one's own to where the saves are by now, and then let the store have it."""
    person.branch_that_edits("topic")
    with person.while_it_pauses():
        person.git("checkout", "-q", "topic")
    person.wait(3)
    person.git("rebase", "-q", "main")
    person.git("checkout", "-q", "main")
    with person.while_it_pauses():
        person.git("merge", "-q", "--no-edit", "topic")


def collect_garbage(person: Person) -> None:
    for _ in range(3):
        person.git("gc", "-q", "--prune=now")
        person.wait(1)


def pack_refs(person: Person) -> None:
    for _ in range(12):
        person.git("pack-refs", "--all", "--prune")
        person.wait(1)


def add_worktrees(person: Person) -> None:
    """Work on another branch in a folder of its own, and look at an older state in another."""
    beside = person.folder.parent / "beside"
    person.git("worktree", "add", "-q", str(beside / "branch"), "elsewhere")
    person.git("worktree", "add", "-q", "--detach", str(beside / "older"), "main~2")
    (beside / "branch/elsewhere.txt").write_text(f"{person.git('rev-parse', 'elsewhere')}")
    person.git("add", "elsewhere.txt", folder=beside / "branch")
    person.git("commit", "-qm", "Work on it", folder=beside / "branch")
    person.wait(50)
    for name in ("branch", "older"):
        assert git(beside / name, "status", "--porcelain") == ""
        person.git("worktree", "remove", str(beside / name))


def drop_notes(person: Person) -> None:
    """What was not committed is gone, as was asked for; git leaves alone what it does not know."""
    person.files = {path: text for path, text in person.files.items() if path.startswith("notes")}
    person.status = {line for line in person.status if line.startswith("?")}


WITH_NOTES: list[Act] = [
    add_and_commit,
    commit_what_is_staged,
    commit_all,
    amend,
    reset,
    reset_mixed,
    reset_back,
    check_out_another_branch,
    stash,
    stash_for_good,
    collect_garbage,
    pack_refs,
    add_worktrees,
]
WITHOUT: list[Act] = [merge, revert, rebase]  # git refuses these while something is staged or edited


@pytest.mark.parametrize("act", [*WITH_NOTES, *WITHOUT], ids=lambda act: act.__name__)
def test_a_process_saves_while_a_person_uses_git(person: Person, act: Act) -> None:
    with person.beside_a_process():
        if act in WITH_NOTES:
            person.note()
        act(person)
    person.check()


MIXED = [act for act in (*WITH_NOTES, *WITHOUT) if act is not stash]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 25))])
def test_a_person_uses_all_of_git_in_random_order(person: Person, seed: int) -> None:
    chance = Random(seed)
    person.random = chance
    with person.beside_a_process():
        for act in chance.sample(MIXED, 6) if seed == 0 else [chance.choice(MIXED) for _ in range(20)]:
            act(person)
            person.idle()
    person.check()
