"""A store driven at random beside a model that is a list of dictionaries, one for each commit."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from gitstate.format.message import Message
from gitstate.store.documents import Draft, Snapshot
from gitstate.store.store import Store
from tests.git import fsck
from tests.stores import NOTES

DOCUMENTS = st.sampled_from(["a", "A", "a/b", ".git", "x" * 200])
FIELDS = st.dictionaries(st.sampled_from(["n", "text", "list"]), st.integers() | st.text(max_size=3), max_size=2)
SHEETS = st.dictionaries(st.sampled_from(["1", "2", "10", "odd/key"]), FIELDS, max_size=3)

Values = dict[str, dict[str, Any]]


class StoreMachine(RuleBasedStateMachine):
    """Writes, deletes, reopens and looks back."""

    revisions = Bundle("revisions")

    def open(self) -> Store:
        return Store.in_memory()

    @initialize()
    def begin(self) -> None:
        self.store = self.open()
        self.now: Values = {}
        self.past: dict[str, Values] = {}
        self.histories: dict[str, list[str]] = {}

    @rule(target=revisions, document=DOCUMENTS, fields=FIELDS, sheets=SHEETS)
    def write(self, document: str, fields: dict[str, Any], sheets: dict[str, Any]) -> str:
        value = {"id": document, **fields, **({"sheets": sheets} if sheets else {})}
        message = Message("write", trailers=(("Gitstate-Note", document),))
        made = self.store.submit(NOTES, document, lambda _: Draft(message, value=value)).result()
        assert made is not None
        self.now = {**self.now, document: value}
        return self._remember(document, made.id)

    @rule(document=DOCUMENTS)
    def delete(self, document: str) -> None:
        def edit(current: Snapshot | None) -> Draft | None:
            return None if current is None else Draft(Message("delete"), delete=True)

        made = self.store.submit(NOTES, document, edit).result()
        assert (made is not None) == (document in self.now)
        if made is not None:
            self.now = {other: value for other, value in self.now.items() if other != document}
            self._remember(document, made.id)

    @rule(document=DOCUMENTS, name=st.sampled_from(["prompt.txt", "output.txt"]), content=st.binary(max_size=3))
    def attach(self, document: str, name: str, content: bytes) -> None:
        def edit(current: Snapshot | None) -> Draft | None:
            message = Message("attach", trailers=(("Gitstate-Note", document),))
            return None if current is None else Draft(message, attachments={f"executions/0001/{name}": content})

        made = self.store.submit(NOTES, document, edit).result()
        if made is not None:
            self._remember(document, made.id)
            snapshot = self.store.load(NOTES, document)
            assert snapshot is not None
            assert snapshot.read(f"executions/0001/{name}") == content

    def _remember(self, document: str, revision: str) -> str:
        self.past[revision] = self.now
        self.histories.setdefault(document, []).insert(0, revision)
        return revision

    @rule(revision=revisions)
    def look_back(self, revision: str) -> None:
        assert self._all(revision) == self.past[revision]

    @rule(revision=consumes(revisions))
    def histories_agree(self, revision: str) -> None:
        for document, expected in self.histories.items():
            assert [found.id for found in self.store.history(NOTES, document)] == expected

    @invariant()
    def the_head_is_the_model(self) -> None:
        assert self._all(None) == self.now

    def _all(self, at: str | None) -> Values:
        return {snapshot.document: snapshot.value() for snapshot in self.store.documents(NOTES, at)}

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()


class GitStoreMachine(StoreMachine):
    """The same on a repository, opened anew now and then."""

    def open(self) -> Store:
        self.folder = Path(tempfile.mkdtemp(prefix="gitstate-machine-"))
        return Store.open(self.folder / "store")

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = Store.open(self.folder / "store")

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "folder"):
            fsck(self.folder / "store")
            shutil.rmtree(self.folder)


TestStoreInMemory = StoreMachine.TestCase
TestStoreInMemory.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestStoreOnGit = GitStoreMachine.TestCase
TestStoreOnGit.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
