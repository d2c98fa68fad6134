"""Reads from a repository on this machine where there is no git: dulwich's server speaks for it, in a thread.

Nothing is pushed that way: it would be no push, with the hooks and the refusals that the other side may count on, and
what dulwich reports of a ref that somebody else moved meanwhile is that it moved.
"""

import os
import socket
import threading
from contextlib import suppress

from gitstate.engine.wire.pktlines import line
from gitstate.errors import NoRepositoryError, UnsupportedError

__all__ = ["serve"]


def serve(service: str, path: str) -> socket.socket:
    """Return a socket, which does not block, to somebody who speaks for the repository at a path.

    Raises:
        NoRepositoryError: There is none.
        UnsupportedError: Something shall be pushed there.
    """
    found = next((each for each in (path, f"{path}/.git", f"{path}.git") if os.path.exists(f"{each}/HEAD")), None)
    if found is None:
        raise NoRepositoryError(f"{path}: there is no repository", hint="correct the path, or make one there first")
    if service != "git-upload-pack":
        raise UnsupportedError(
            f"to push to {path}, a repository on this machine, takes git", hint="install git, or fetch from there"
        )
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    threading.Thread(target=_speak, args=(theirs, found), name="gitstate-serve", daemon=True).start()
    return ours


def _speak(connection: socket.socket, path: str) -> None:
    from dulwich.protocol import Protocol
    from dulwich.repo import Repo
    from dulwich.server import BackendRepo, DictBackend, UploadPackHandler

    with connection, suppress(OSError), connection.makefile("rwb") as stream:

        def write(data: bytes) -> None:
            stream.write(data)
            stream.flush()

        try:
            with Repo(path) as repository:
                backends: dict[str, BackendRepo] = {"/": repository}
                UploadPackHandler(DictBackend(backends), ["/"], Protocol(stream.read, write)).handle()
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the other side is told
            write(line(f"ERR {type(error).__name__}: {error}"[:1000].encode("utf-8", "replace")))
