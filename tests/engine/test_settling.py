"""What is made of a repository that a cut of the power left: the journal's word counts, and nobody else's is undone."""

import hashlib
import os
import subprocess
from pathlib import Path
from unittest.mock import Mock

import pytest

from gitstate.engine import packs, settling
from gitstate.engine.git import GitEngine
from gitstate.errors import CorruptionError
from tests.engine.conftest import OpenEngine, Reboot, content, git, packs_of, save, synced_while

REF = "refs/heads/main"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


def crashed(open_engine: OpenEngine, saves: int = 5, **options: bool) -> tuple[GitEngine, list[str]]:
    """Return an engine that saved and was then forgotten, and the commits it made; the first is on the disk."""
    engine = open_engine(**options)
    return engine, [save(engine, {"a": b"%d" % n}) for n in range(saves)]


def lose(folder: Path, count: int, *, how: str) -> None:
    """Let the newest packs be as if they had not reached the disk."""
    newest = sorted(packs_of(folder), key=lambda path: path.stat().st_mtime_ns)[-count:]
    for path in newest:
        for file in (path, path.with_suffix(".idx")):
            if how == "gone":
                file.unlink()
            else:
                file.chmod(0o644)
                file.write_bytes(b"" if how == "empty" else bytes(file.stat().st_size))


@pytest.mark.parametrize("how", ["gone", "empty", "zeros"])
def test_packs_and_branch_are_made_again_out_of_the_journal(
    open_engine: OpenEngine, folder: Path, reboot: Reboot, how: str
) -> None:
    _, made = crashed(open_engine)
    lose(folder, 4, how=how)
    (folder / ".git" / REF).write_text(made[0] + "\n")
    reboot()
    again = open_engine()
    assert again.head() == made[-1]
    assert content(again, "a") == b"4"
    assert [(found.was, found.now, found.lost) for found in again.settled] == [(made[0], made[-1], ())]
    assert git(folder, "rev-list", "--count", "main") == "5\n"
    assert open_engine().settled == [], "once"
    save(again, {"a": b"on"})


def test_spare_files_are_not_used_after_a_cut(open_engine: OpenEngine, folder: Path, reboot: Reboot) -> None:
    engine, _ = crashed(open_engine, saves=3)
    engine._tidy(False)
    spare = folder / ".git" / "gitstate" / "spare"
    for number, pack in enumerate(
        packs_of(folder)
    ):  # that it has a new name reached the disk, and not that the old one went
        (spare / f"{number}").unlink()
        (spare / f"{number}").hardlink_to(pack)
    reboot()
    again = open_engine()
    assert not any(spare.iterdir())
    for turn in range(2):
        for n in range(2):
            save(again, {"b": b"%d %d" % (turn, n)})
        again._tidy(False)
    assert content(open_engine(), "a") == b"2"


@pytest.mark.parametrize("suffix", [".pack", ".idx"])
def test_a_pack_in_a_spare_file_that_was_made_long_ago_is_looked_at_too(
    open_engine: OpenEngine, folder: Path, reboot: Reboot, suffix: str
) -> None:
    engine, _ = crashed(open_engine)
    engine.close()  # all that the journal says is on the disk
    [*_, newest] = packs_of(folder)
    lost = folder / f".git/objects/pack/pack-{'0' * 40}"  # of a publish whose record is lost
    lost.with_suffix(".pack").write_bytes(newest.read_bytes())
    lost.with_suffix(".idx").write_bytes(newest.with_suffix(".idx").read_bytes())
    for file in (lost.with_suffix(".pack"), lost.with_suffix(".idx")):
        if file.suffix == suffix:
            file.write_bytes(b"")  # neither what was written into it reached the disk, nor when that was
        os.utime(file, (1, 1))
    reboot()
    open_engine()
    assert not lost.with_suffix(".idx").exists() and not lost.with_suffix(".pack").exists()
    assert sorted(os.listdir(folder / ".git/gitstate/damaged")) == [lost.name + ".idx", lost.name + ".pack"]


@pytest.mark.parametrize("left", [b"", b"\0" * 41, b"0123"], ids=["empty", "zeros", "short"])
@pytest.mark.parametrize("same_boot", [False, True], ids=["another boot", "same boot"])
def test_a_branch_that_cannot_be_read_is_put_where_it_was(
    open_engine: OpenEngine, folder: Path, reboot: Reboot, left: bytes, same_boot: bool
) -> None:
    _, made = crashed(open_engine)
    (folder / ".git" / REF).unlink()
    (folder / ".git" / REF).write_bytes(left)
    if not same_boot:
        reboot()
    again = open_engine()
    assert again.head() == made[-1]
    assert again.settled[0].was is None
    assert git(folder, "reflog", "-1", "--format=%gs", "main") == "gitstate: settled after a restart\n"


def test_a_branch_that_cannot_be_read_is_put_where_a_person_left_it(open_engine: OpenEngine, folder: Path) -> None:
    engine, _ = crashed(open_engine)
    git(folder, "commit", "--allow-empty", "-q", "-m", "by hand")
    theirs = git(folder, "rev-parse", "main").strip()
    (folder / ".git" / REF).write_bytes(b"")
    assert engine.head() == theirs


def test_a_reset_on_the_same_boot_is_never_undone(open_engine: OpenEngine, folder: Path) -> None:
    engine, made = crashed(open_engine)
    git(folder, "reset", "-q", "--hard", "HEAD~2")
    for again in (engine, open_engine()):
        with again.lock():
            pass
        assert again.head() == made[2]
    save(engine, {"b": b"after"})
    assert git(folder, "rev-list", "--count", "main") == "4\n"


def test_a_commit_of_a_person_after_ours_stays(open_engine: OpenEngine, folder: Path, reboot: Reboot) -> None:
    crashed(open_engine)
    git(folder, "reset", "-q", "--hard")
    git(folder, "commit", "--allow-empty", "-q", "-m", "by hand")
    theirs = git(folder, "rev-parse", "main").strip()
    lose(folder, 2, how="gone")
    reboot()
    again = open_engine()
    assert again.head() == theirs
    assert content(again, "a") == b"4"


def test_a_branch_that_was_deleted_stays_deleted(open_engine: OpenEngine, folder: Path, reboot: Reboot) -> None:
    crashed(open_engine)
    git(folder, "update-ref", "-d", REF)
    reboot()
    assert open_engine(check=False).head() is None


def test_a_record_whose_branch_did_not_follow_is_void(open_engine: OpenEngine, folder: Path, reboot: Reboot) -> None:
    engine, made = crashed(open_engine)
    lock = folder / ".git" / (REF + ".lock")
    lock.touch()
    engine._ref_timeout = 0.0
    with pytest.raises(Exception, match="held by another git"):
        save(engine, {"a": b"refused"})
    lock.unlink()
    reboot()
    assert open_engine().head() == made[-1]


def test_without_the_records_the_newest_whole_commit_counts_and_the_rest_is_named(
    open_engine: OpenEngine, folder: Path, reboot: Reboot
) -> None:
    _, made = crashed(open_engine, durable=False)
    with (folder / ".git/gitstate/journal").open("r+b") as file:
        file.seek(8192 + 512 * 2)  # the last records did not reach the disk
        file.write(bytes(900_000))
    lose(folder, 2, how="empty")
    reboot()
    again = open_engine()
    assert again.head() == made[2]
    assert [(found.now, set(found.lost)) for found in again.settled] == [(made[2], {made[3], made[4]})]
    assert sorted(os.listdir(folder / ".git/gitstate/damaged")), "what could not be read is kept beside"
    save(again, {"a": b"on"})


def test_a_log_names_no_commit_that_can_be_read_and_is_not_whole(
    open_engine: OpenEngine, folder: Path, reboot: Reboot
) -> None:
    # The packs of the last saves reached the disk, and one before them did not: git fsck and gc begin at the logs too.
    engine = open_engine(durable=False)
    made = [save(engine, {f"folder-{n}/file": b"%d" % n}) for n in range(7)]
    lost = folder / ".git/objects/pack" / packs.pack_name(engine._journal.records[2].pack[-20:])  # of made[3]
    (folder / ".git/gitstate/journal").write_bytes((folder / ".git/gitstate/journal").read_bytes()[:8192])
    for suffix in (".pack", ".idx"):
        lost.with_suffix(suffix).unlink()
    reboot()
    again = open_engine()
    assert again.head() == made[2]
    assert again.settled[0].lost == (made[6], made[5], made[4], made[3])
    assert git(folder, "reflog", "--format=%H", "main").split() == [made[2], made[2], made[1], made[0]]
    git(folder, "gc", "--quiet")


def test_an_index_of_git_that_names_what_is_lost_names_what_the_branch_has(
    open_engine: OpenEngine, folder: Path, reboot: Reboot
) -> None:
    engine = open_engine(durable=False)
    save(engine, {"changed": b"0", "staged": b"0", "same": b"0"})
    made = save(engine, {"same": b"1"})
    save(engine, {"changed": b"lost", "new": b"lost"})
    git(folder, "reset", "--quiet", "--hard")
    (folder / "staged").write_bytes(b"staged")
    git(folder, "add", "staged")
    (folder / "intended").write_bytes(b"not staged yet")
    git(folder, "add", "--intent-to-add", "intended")
    (folder / ".git/gitstate/journal").write_bytes((folder / ".git/gitstate/journal").read_bytes()[:8192])
    lose(folder, 1, how="gone")
    reboot()
    again = open_engine()
    assert again.head() == made
    assert git(folder, "status", "--porcelain").splitlines() == [" M changed", " A intended", "M  staged", "?? new"]
    assert (folder / "changed").read_bytes() == b"lost", "what a person may want to keep"
    git(folder, "fsck", "--strict")
    git(folder, "commit", "--quiet", "-m", "by hand")
    assert content(again, "staged") == b"staged"


def test_an_index_of_git_does_not_name_a_lost_tree_of_which_every_file_is_there(
    open_engine: OpenEngine, folder: Path, reboot: Reboot
) -> None:
    engine = open_engine(durable=False)
    made = save(engine, {"first": b"0", "second": b"0"})
    save(engine, {"second": None})
    git(folder, "reset", "--quiet", "--hard")
    (folder / ".git/gitstate/journal").write_bytes((folder / ".git/gitstate/journal").read_bytes()[:8192])
    lose(folder, 1, how="gone")
    reboot()
    again = open_engine()
    assert again.head() == made
    assert git(folder, "status", "--porcelain").splitlines() == ["D  second"]
    git(folder, "fsck", "--strict")
    git(folder, "gc", "--quiet")
    git(folder, "reset", "--quiet", "--hard")


def test_nothing_whole_is_an_error_that_names_the_branch(open_engine: OpenEngine, folder: Path, reboot: Reboot) -> None:
    crashed(lambda **options: open_engine(check=False, **options), durable=False)
    (folder / ".git/gitstate/journal").write_bytes((folder / ".git/gitstate/journal").read_bytes()[:8192])
    lose(folder, 5, how="zeros")
    reboot()
    with pytest.raises(CorruptionError, match=REF):
        open_engine(check=False)


def test_a_reset_is_not_undone_by_a_repair_whatever_else_is_wrong(open_engine: OpenEngine, folder: Path) -> None:
    engine, made = crashed(open_engine)
    git(folder, "reset", "--quiet", "--hard", "HEAD~2")
    git(folder, "reflog", "expire", "--expire=now", "--all")
    (folder / ".git/objects/pack/tmp_pack_gitstate_1_1").write_bytes(b"left by the dead")
    assert [problem.repaired for problem in engine.check(repair=True)] == [True]
    assert engine.head() == made[2]


def test_an_open_that_fails_leaves_no_file_open(
    open_engine: OpenEngine, reboot: Reboot, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashed(open_engine)
    reboot()
    before = len(os.listdir("/dev/fd"))
    with monkeypatch.context() as patch:
        patch.setattr(settling, "settle", Mock(side_effect=CorruptionError("no revision is whole")))
        with pytest.raises(CorruptionError):
            open_engine()
    assert len(os.listdir("/dev/fd")) == before


def test_a_checkpoint_syncs_what_a_symbolic_branch_points_to(
    open_engine: OpenEngine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, _ = crashed(open_engine, 2)
    git(folder, "branch", "--quiet", "-m", "main", "trunk")
    git(folder, "symbolic-ref", REF, "refs/heads/trunk")
    save(engine, {"a": b"on"})
    trunk, synced = os.stat(folder / ".git/refs/heads/trunk").st_ino, synced_while(monkeypatch)
    engine.close()
    assert trunk in synced


def test_a_pack_that_is_lost_on_the_same_boot_comes_out_of_the_journal(open_engine: OpenEngine, folder: Path) -> None:
    _, made = crashed(open_engine)
    lose(folder, 1, how="gone")
    again = open_engine()
    assert again.head() == made[-1]
    assert content(again, "a") == b"4"


def test_a_pack_of_which_only_the_index_was_lost_gets_it_back(
    open_engine: OpenEngine, folder: Path, reboot: Reboot
) -> None:
    _, made = crashed(open_engine, durable=False)
    (folder / ".git/gitstate/journal").write_bytes((folder / ".git/gitstate/journal").read_bytes()[:8192])
    for path in sorted(packs_of(folder), key=lambda path: path.stat().st_mtime_ns)[-2:]:
        path.with_suffix(".idx").chmod(0o644)
        path.with_suffix(".idx").write_bytes(b"")
    reboot()
    again = open_engine()
    assert again.head() == made[-1]
    assert not (folder / ".git/gitstate/damaged").exists()
    assert content(again, "a") == b"4"


def test_an_index_of_git_that_is_torn_is_put_aside(open_engine: OpenEngine, folder: Path, reboot: Reboot) -> None:
    engine = open_engine(durable=False)
    made = save(engine, {"a": b"1"})
    git(folder, "reset", "--quiet", "--hard")
    whole = (folder / ".git/index").read_bytes()
    (folder / ".git/index").write_bytes(whole[:60])
    reboot()
    again = open_engine()
    assert again.head() == made
    assert not (folder / ".git/index").exists()
    assert (folder / ".git/gitstate/damaged/index").read_bytes() == whole[:60]
    git(folder, "reset", "--quiet")
    assert git(folder, "status", "--porcelain") == ""


def test_an_index_of_git_in_the_middle_of_a_merge_is_left_as_it_is(
    open_engine: OpenEngine, folder: Path, reboot: Reboot
) -> None:
    engine = open_engine(durable=False)
    save(engine, {"a": b"base"})
    git(folder, "reset", "--quiet", "--hard")
    git(folder, "checkout", "--quiet", "-b", "other")
    (folder / "a").write_bytes(b"theirs")
    git(folder, "commit", "--quiet", "-am", "theirs")
    git(folder, "checkout", "--quiet", "main")
    made = save(engine, {"a": b"ours"})
    git(folder, "reset", "--quiet", "--hard")
    with pytest.raises(subprocess.CalledProcessError):
        git(folder, "merge", "other")
    unmerged = git(folder, "ls-files", "--unmerged")
    reboot()
    assert open_engine().head() == made
    assert git(folder, "ls-files", "--unmerged") == unmerged and unmerged


def test_an_index_of_git_of_which_nothing_is_lost_stays_as_it_is(
    open_engine: OpenEngine, folder: Path, reboot: Reboot
) -> None:
    save(open_engine(), {"a": b"1", "folder/b": b"2"})
    git(folder, "reset", "--quiet", "--hard")
    git(folder, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},elsewhere")
    git(folder, "write-tree")  # the index says of the folder which tree it makes
    (folder / "a").write_bytes(b"staged")
    git(folder, "add", "a")
    whole = (folder / ".git/index").read_bytes()
    without_sum = whole[:-20] + bytes(20)  # as git writes it where index.skipHash is set
    for before in (without_sum, whole):
        (folder / ".git/index").write_bytes(before)
        reboot()
        open_engine()
        assert (folder / ".git/index").read_bytes() == before
        assert not (folder / ".git/gitstate/damaged").exists()


def test_a_submodule_that_a_person_staged_stays_beside_what_is_lost(
    open_engine: OpenEngine, folder: Path, reboot: Reboot
) -> None:
    engine = open_engine()
    save(engine, {"a": b"1"})
    git(folder, "reset", "--quiet", "--hard")
    git(folder, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},elsewhere")
    git(folder, "update-index", "--add", "--cacheinfo", f"100644,{'2' * 40},lost")
    (folder / ".git/index.lock").touch()  # of a git that is dead
    reboot()
    open_engine()
    assert git(folder, "ls-files", "--stage").splitlines()[1:] == [f"160000 {'1' * 40} 0\telsewhere"]
    assert not (folder / ".git/index.lock").exists()


def test_an_index_of_git_that_is_split_names_nothing_lost_either(
    open_engine: OpenEngine, folder: Path, reboot: Reboot
) -> None:
    save(open_engine(), {"a": b"1"})
    git(folder, "reset", "--quiet", "--hard")
    git(folder, "update-index", "--add", "--cacheinfo", f"100644,{'2' * 40},lost")
    git(folder, "update-index", "--split-index")
    reboot()
    open_engine()
    assert git(folder, "ls-files").split() == ["a"]


def test_an_index_of_git_that_nobody_can_read_keeps_nobody_from_opening_the_store(
    open_engine: OpenEngine, folder: Path, reboot: Reboot, caplog: pytest.LogCaptureFixture
) -> None:
    made = save(open_engine(), {"a": b"1"})
    git(folder, "reset", "--quiet", "--hard")
    index = (folder / ".git/index").read_bytes()
    strange = index[:7] + b"\x09" + index[8:-20]
    (folder / ".git/index").write_bytes(strange + hashlib.sha1(strange).digest())
    reboot()
    again = open_engine(check=False)
    assert again.head() == made
    (told,) = [text for text in caplog.messages if text.startswith("what git's index names was not looked at: ")]
    assert "git cannot write its index in full: " in told
    assert (folder / ".git/index").read_bytes()[:-20] == strange
    (folder / ".git/index").unlink()  # git is asked about the rest


def test_what_did_not_reach_the_disk_is_put_beside_what_was_put_there_before(
    open_engine: OpenEngine, folder: Path, reboot: Reboot, caplog: pytest.LogCaptureFixture
) -> None:
    save(open_engine(), {"a": b"1"})
    git(folder, "reset", "--quiet", "--hard")
    for turn in range(2):
        (folder / ".git/index").write_bytes(b"DIRC torn")
        for number in range(2):
            torn = folder / f".git/objects/pack/pack-{turn}{number}{'0' * 38}.pack"
            torn.write_bytes(b"torn")
        reboot()
        open_engine()
        assert not torn.exists()
        aside = folder / ".git/gitstate/damaged"
        assert f"{torn.with_suffix('')}.pack did not reach the disk whole and was moved to {aside}" in caplog.messages
    assert len(list(aside.iterdir())) == 5
    assert (aside / torn.name).read_bytes() == b"torn"
