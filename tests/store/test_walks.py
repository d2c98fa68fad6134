"""Which documents commits changed and removed, whoever made the commits, and however the folders lie."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gitstate.engine.objects import Tree
from gitstate.store.documents import Revision
from gitstate.store.store import Store
from tests.git import git
from tests.store.test_naming import put
from tests.stores import NOTES

_STEPS = st.lists(st.tuples(st.sampled_from(["a", "b", "c/d"]), st.integers(0, 3) | st.none()), max_size=20)


def gone(store: Store) -> list[tuple[str, str]]:
    return [(document, revision.id) for document, revision in store.deleted(NOTES)]


@given(_STEPS, st.integers(0, 20))
def test_what_is_gone_is_listed_with_the_commit_that_removed_it(steps: list[tuple[str, int | None]], move: int) -> None:
    there: set[str] = set()
    removed: dict[str, str] = {}
    with Store.in_memory() as store:
        for step, (document, number) in enumerate(steps):
            if step == move:
                store.reshard(2, NOTES)
            if number is None and document not in there:
                continue
            made = put(store, None, document, number, "saved" if number is not None else "deleted")
            there.add(document) if number is not None else there.discard(document)
            removed.pop(document, None)
            if number is None:
                removed[document] = made
        assert gone(store) == list(removed.items())[::-1]


def test_a_person_s_git_removes_documents_too(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with Store.open(folder) as store:
        for document in ("a", "b", "c"):
            put(store, None, document, 1)
        store.flush()
        git(folder, "checkout", "-q", "-b", "side")
        git(folder, "rm", "-qr", "notes/a")
        git(folder, "commit", "-qm", "not needed")
        side = git(folder, "rev-parse", "HEAD").strip()
        git(folder, "checkout", "-q", "main")
        git(folder, "rm", "-qr", "notes/b")
        git(folder, "commit", "-qm", "nor this")
        main = git(folder, "rev-parse", "HEAD").strip()
        git(folder, "merge", "-q", "--no-edit", "side")
        merge = git(folder, "rev-parse", "HEAD").strip()
        assert gone(store) == [("a", merge), ("b", main)], "the branch lost it with the merge"
        revisions = {revision.id: revision for revision in store.walk()}
        assert [store.changed(NOTES, revisions[name]) for name in (merge, main, side)] == [["a"], ["b"], ["a"]]


def test_a_document_that_came_back_is_not_gone(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        put(store, None, "a", 1)
        put(store, None, "a", None, "deleted")
        assert [document for document, _ in gone(store)] == ["a"]
        put(store, None, "a", 2)
        assert gone(store) == []


def test_folders_that_are_the_same_are_not_read(tmp_path: Path) -> None:
    with Store.in_memory() as store:
        for number in range(50):
            put(store, None, f"d{number}", number)
        store.reshard(1, NOTES)
        last = put(store, None, "d7", 100)
        revision: Revision = next(iter(store.walk()))
        assert revision.id == last
        read: list[str] = []
        tree = store._engine.tree

        def counting(tree_id: str) -> Tree:
            read.append(tree_id)
            return tree(tree_id)

        store._engine.tree = counting  # type: ignore[method-assign]
        assert store.changed(NOTES, revision) == ["d7"]
        assert len(read) <= 16
