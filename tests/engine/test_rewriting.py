"""Histories written anew: what changes, what stays, and that only a commit's own history decides."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitstate.engine.git import GitEngine
from gitstate.engine.objects import ObjectId
from gitstate.engine.packfile import PackFile
from gitstate.engine.reader import ObjectReader
from gitstate.engine.repository import open_repository
from gitstate.engine.rewriting import Rewriting, Rules, Told
from tests.git import fsck, git


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository with two files and a commit that signs, and mentions an older one."""
    git(tmp_path, "init", "-q", "repo")
    path = tmp_path / "repo"
    commit(path, "first", keep="a", sub__secret="1")
    commit(path, "second", keep="b")
    return path


@pytest.fixture
def engine(folder: Path) -> Iterator[GitEngine]:
    engine = GitEngine(open_repository(folder, create=False))
    yield engine
    engine.close()


def commit(path: Path, message: str, **files: str) -> str:
    for name, content in files.items():
        file = path / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    git(path, "add", "-A")
    git(path, "commit", "-q", "--allow-empty", "-m", message)
    return git(path, "rev-parse", "HEAD").strip()


def erase(data: bytes) -> bytes:
    return data.replace(b"SECRET", b"[x]")


def without(*paths: str, text: bool = False) -> Rules:
    def told(message: bytes, changed: bool) -> Told:
        return Told(erase(message), changed and bool(paths))

    return Rules(lambda _root, _before: paths, told, erase if text else None, erase if text else None)


def rewritten(engine: GitEngine, folder: Path, rules: Rules, *tips: str) -> Rewriting:
    """Rewrite some histories, and put what comes of it into the repository."""
    made = PackFile(folder / ".git")
    rewriting = Rewriting(engine, rules, made.add)
    for tip in tips or ("HEAD",):
        rewriting.add(git(folder, "rev-parse", tip).strip())
    if len(made):
        base = made.finish()
        for suffix in (".pack", ".idx"):
            Path(base + suffix).rename(folder / ".git/objects/pack" / f"{Path(base).name}{suffix}")
    made.close()
    engine.forget()
    return rewriting


def new(rewriting: Rewriting, folder: Path, tip: str = "HEAD") -> ObjectId:
    return rewriting.new(git(folder, "rev-parse", tip).strip())


def test_nothing_to_do_changes_nothing(engine: GitEngine, folder: Path) -> None:
    rewriting = rewritten(engine, folder, without("none", "keep/none", "sub/none/none"))
    assert (rewriting.commits, rewriting.oldest, len(rewriting)) == ({}, [], 2)


def test_a_path_goes_and_its_folder_with_it(engine: GitEngine, folder: Path) -> None:
    commit(folder, "only that", sub__secret="2")
    last = commit(folder, "more", keep="c", sub__secret="3")
    rewriting = rewritten(engine, folder, without("sub/secret"))
    head = new(rewriting, folder)
    assert git(folder, "log", "--format=%s", head).split("\n")[:3] == ["more", "second", "first"]
    assert git(folder, "ls-tree", "-r", "--name-only", head) == "keep\n"
    assert len(rewriting.dropped) == 1
    assert rewriting.oldest == git(folder, "rev-list", "--max-parents=0", last).split()
    assert rewriting.trees.removed["sub/secret"] == 4
    git(folder, "update-ref", "refs/heads/new", head)
    fsck(folder)


def test_mentions_of_the_past_follow_and_others_stay(engine: GitEngine, folder: Path) -> None:
    second = git(folder, "rev-parse", "HEAD").strip()
    git(folder, "checkout", "-q", "-b", "aside")
    aside = commit(folder, "aside", other="1")
    git(folder, "checkout", "-q", "-")
    commit(folder, f"went back to {second[:10]} ({second}), not {aside} nor {second[:6]} nor deadbeef00", keep="d")
    rewriting = rewritten(engine, folder, without("sub/secret"), "HEAD", "aside")
    then = rewriting.new(second)
    said = git(folder, "log", "-1", "--format=%s", new(rewriting, folder)).strip()
    assert said == f"went back to {then[:10]} ({then}), not {aside} nor {second[:6]} nor deadbeef00"
    other_way = rewritten(engine, folder, without("sub/secret"), "aside", "HEAD")
    assert other_way.commits == rewriting.commits


def test_values_go_from_files_messages_names_and_signatures_do_not_outlive_them(folder: Path) -> None:
    git(folder, "config", "user.name", "A SECRET person")
    commit(folder, "about SECRET", sub__deep__file="x SECRET y", link="z")
    body = git(folder, "cat-file", "commit", "HEAD")
    signed = body.replace(
        "\n\n", "\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n abc\n -----END PGP SIGNATURE-----\n\n", 1
    )
    (folder / "object").write_text(signed)
    made = git(folder, "hash-object", "-t", "commit", "-w", "object").strip()
    (folder / "object").unlink()
    git(folder, "reset", "-q", "--hard", made)
    engine = GitEngine(open_repository(folder, create=False))
    rewriting = rewritten(engine, folder, without(text=True))
    head = new(rewriting, folder)
    engine.close()
    text = git(folder, "cat-file", "commit", head)
    assert "SECRET" not in text and "gpgsig" not in text
    assert git(folder, "log", "-1", "--format=%an|%cn|%s|%aI", head) == git(
        folder, "log", "-1", "--format=A [x] person|A [x] person|about [x]|%aI"
    )
    assert git(folder, "show", f"{head}:sub/deep/file") == "x [x] y"
    assert git(folder, "rev-parse", f"{head}^") == git(folder, "rev-parse", "HEAD^")
    assert rewriting.trees.changed == {"sub/deep/file": 1}


def test_a_commit_of_which_nothing_stays_has_the_empty_tree(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "only")
    path = tmp_path / "only"
    commit(path, "alone", secret="1")
    commit(path, "more", secret="1", kept="SECRET")
    engine = GitEngine(open_repository(path, create=False))
    head = new(rewritten(engine, path, without("secret", text=True)), path)
    engine.close()
    assert git(path, "ls-tree", f"{head}~1") == ""
    assert git(path, "show", f"{head}:kept") == "[x]"


def test_merges_stay_unless_one_line_is_gone(engine: GitEngine, folder: Path) -> None:
    for name, files in {"kept": {"other": "1"}, "gone": {"sub__secret": "9"}}.items():
        git(folder, "checkout", "-q", "-b", name, "HEAD")
        commit(folder, name, **files)
        git(folder, "checkout", "-q", "-")
        git(folder, "merge", "-q", "--no-ff", "-m", f"merge {name}", name)
    head = new(rewritten(engine, folder, without("sub/secret")), folder)
    log = git(folder, "log", "--format=%s %p", "--topo-order", head).splitlines()
    assert [line.split(" ")[0] for line in log] == ["merge", "kept", "second", "first"]
    assert len(log[0].split()) == 4


def test_a_pack_of_every_kind_is_read_by_git(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "repo")
    folder = tmp_path / "repo"
    tip = commit(folder, "x", a="1")
    git(folder, "tag", "-am", "said", "v1")
    reader = ObjectReader(open_repository(folder, create=False))
    pack = PackFile(tmp_path)
    ids = [tip, *git(folder, "rev-parse", "v1", "HEAD^{tree}", "HEAD:a").split()]
    for object_id in ids:
        assert pack.add(*reader.any(object_id)) == object_id
        pack.add(*reader.any(object_id))
    reader.close()
    assert len(pack) == 4
    base = pack.finish()
    told = git(tmp_path, "verify-pack", "-v", f"{base}.idx")
    assert [line.split()[1] for line in told.splitlines()[:4]] == ["commit", "tag", "tree", "blob"]
