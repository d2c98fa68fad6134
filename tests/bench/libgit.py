"""The peer that writes git's objects itself, in this process, by libgit2: what a program does without our store."""

import json
from typing import Any

import pygit2

from gitstate import CheckpointState
from tests.bench.peers import Peer

__all__ = ["Pygit2"]

_HEAD = "refs/heads/main"
_FILE, _FOLDER = pygit2.enums.FileMode.BLOB, pygit2.enums.FileMode.TREE


class Pygit2(Peer):
    """Blobs of the files that changed, the trees above them, a commit and its branch, each synced; no worktree."""

    name = "pygit2, fsync"

    async def open(self) -> None:
        pygit2.settings.enable_fsync_gitdir(True)
        self.repository = pygit2.init_repository(str(self.folder), bare=True, initial_head="main")
        self.who = "Bench", "bench@example.org"
        self.known: set[str] = set()

    async def close(self) -> None:
        self.repository.free()

    async def save(self, state: CheckpointState, sheet: int) -> None:
        numbers = [sheet] if state.job_id in self.known else list(state.sheets)
        files = {f"sheets/{number:04d}.json": state.sheets[number].model_dump_json(indent=2) for number in numbers}
        files["job.json"] = state.model_dump_json(indent=2, exclude={"sheets"})
        self._commit(state.job_id, files, "saved")
        self.known.add(state.job_id)

    async def load(self, job_id: str) -> CheckpointState:
        return self._state(self._tree()["jobs"][job_id])

    async def list_jobs(self) -> list[CheckpointState]:
        return [self._state(job) for job in self._tree()["jobs"]]

    async def record(self, job_id: str, sheet: int, attempt: int, prompt: str, output: str) -> None:
        folder = f"executions/{sheet:04d}"
        files = {f"{folder}/prompt.txt": prompt, f"{folder}/output.txt": output}
        self._commit(job_id, files, f"sheet {sheet}, attempt {attempt}")

    def _commit(self, job_id: str, files: dict[str, str], what: str) -> None:
        branch = self.repository.references.get(_HEAD)
        parents = [] if branch is None else [branch.target]
        changed: dict[str, Any] = {}
        for path, text in files.items():
            names = ["jobs", job_id, *path.split("/")]
            under = changed
            for folder in names[:-1]:
                under = under.setdefault(folder, {})
            under[names[-1]] = self.repository.create_blob(text.encode())
        tree = self._written(self._tree() if parents else None, changed)
        who = pygit2.Signature(*self.who)
        self.repository.create_commit(_HEAD, who, who, f"{job_id}: {what}", tree, parents)

    def _written(self, tree: pygit2.Tree | None, changed: dict[str, Any]) -> pygit2.Oid:
        """Write a tree with changes, blobs and folders of them, and return its id: each tree is written once."""
        builder = self.repository.TreeBuilder(*([] if tree is None else [tree]))
        for name, what in changed.items():
            if isinstance(what, dict):
                under = tree[name] if tree is not None and name in tree else None
                builder.insert(name, self._written(under, what), _FOLDER)
            else:
                builder.insert(name, what, _FILE)
        return builder.write()

    def _tree(self) -> pygit2.Tree:
        return self.repository[self.repository.references[_HEAD].target].tree

    @staticmethod
    def _state(job: pygit2.Tree) -> CheckpointState:
        fields = json.loads(job["job.json"].data)
        fields["sheets"] = {int(sheet.name[:4]): json.loads(sheet.data) for sheet in job["sheets"]}
        return CheckpointState.model_validate_json(json.dumps(fields))
