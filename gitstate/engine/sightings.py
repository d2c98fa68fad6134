"""When each remote was seen last: by us, which a small file remembers, or by git, which leaves traces of it.

It is private, derived and no more than a hint: what is lost is that somebody is told an older time.
"""

import os
from contextlib import suppress

from gitstate.engine import files, reflog
from gitstate.engine.remotes import Remote, tracking
from gitstate.engine.repository import Repository
from gitstate.errors import GitStateError

__all__ = ["last", "note"]

_FOLDER = "seen"  # in the private folder; a file for each remote, whose time counts
_ENDINGS = ("/", ".git")


def note(repository: Repository, remote: Remote) -> None:
    """Remember that a remote was seen now. Never fails: a store that cannot be written remembers nothing."""
    path = _path(repository, remote)
    with suppress(OSError):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w"):
            os.utime(path)


def last(repository: Repository, remote: Remote) -> float | None:
    """Return when it was known last where a remote's branch stands, in seconds since 1970; None: nobody knows."""
    found: list[float | None] = []
    with suppress(OSError):
        found.append(os.stat(_path(repository, remote)).st_mtime)
    ref = f"{tracking(remote.name)[0]}{repository.branch}"
    with suppress(OSError, GitStateError):
        found.append(reflog.last_time(repository.path(f"logs/{ref}")))
    with suppress(OSError):
        found.append(_fetched(repository, remote))
    return max((time for time in found if time is not None), default=None)


def _path(repository: Repository, remote: Remote) -> str:
    return os.path.join(repository.private, _FOLDER, remote.name.replace("%", "%25").replace("/", "%2F"))


def _fetched(repository: Repository, remote: Remote) -> float | None:
    """Return when git fetched the branch last, if that was the last thing that it fetched; else None.

    Each line of the file says what was fetched, and from where: the address without an ending that says nothing.
    """
    path = f"{repository.git_dir}/FETCH_HEAD"
    said = f"branch '{repository.branch}' of {_bare(remote.url)}"
    lines = files.read(path).decode("utf-8", "replace").splitlines()
    return os.stat(path).st_mtime if any(_bare(line).endswith(f"\t{said}") for line in lines) else None


def _bare(address: str) -> str:
    while address.endswith(_ENDINGS):
        address = address[: -len(next(end for end in _ENDINGS if address.endswith(end)))]
    return address
