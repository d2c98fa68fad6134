"""Starts ``gitstate`` many times: one process imports everything once, and forks for each command.

A command takes a quarter of a second to start, nearly all of it imports, and the pages of the documentation run
hundreds. So a folder is put in front of ``PATH`` whose ``gitstate`` is a small script. It hands its arguments, folder,
variables, umask and standard files to the server, which forks. The child runs ``main`` in a process of its own and ends
as any program does; the script passes on the signals that it gets, and ends as the child ended. The server has run
nothing of a store, so a child knows no more than one that was started. A ``python`` beside it does the same for
``python -m gitstate``, which is what hooks and drivers of git run; anything else it gives to the real one.

What Python reads of the environment when it starts cannot be changed in a child. Where that, or a closed standard file,
asks for it, the script starts a real ``gitstate``; so it does everywhere but on Linux, and when there is no server.
"""

import array
import atexit
import fcntl
import gc
import importlib
import io
import marshal
import os
import pkgutil
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

__all__ = ["CONTROLLED", "gitstate_in_front"]

CONTROLLED = "TESTS_FORKED_CONTROLLED"
"""The variable that tells a command that its standard input is the terminal whose Ctrl-C shall reach it."""

_PROJECT = Path(__file__).parents[1]
_FILES = 4  # that a script hands over: the three standard ones, and its folder
_SIZE = 4  # bytes in which lengths, process ids and exit statuses are told

_SCRIPT = """\
#!{python} -IS
import _signal, _socket, marshal, os, sys

def started(environ):
    return {{k: v for k, v in environ.items() if k.startswith(("LC_", "PYTHON")) or k in ("LANG", "LANGUAGE")}}

real = {command!r}
words = sys.argv[1:]
if os.path.basename(sys.argv[0]) == "python":
    asked = [word for word in words[:3] if word != "-P"][:2]
    if asked in (["-m", "gitstate"], ["-m", "gitstate.cli.main"]):
        real = ""
        words = words[words.index(asked[1]) + 1 :]
    else:
        os.execv({python!r}, [{python!r}, *words])

def start_a_real_one():
    os.execv(real or {python!r}, [real or {python!r}, *sys.argv[1:]])

def main():
    environ = dict(os.environ)
    link = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        files = b"".join(file.to_bytes(4, sys.byteorder) for file in (0, 1, 2, os.open(".", os.O_RDONLY)))
        for file in (0, 1, 2):
            os.fstat(file)
        link.connect({address!r})
    except OSError:
        start_a_real_one()
    if started(environ) != {environ!r}:
        start_a_real_one()
    umask = os.umask(0)
    os.umask(umask)
    signals = _signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGQUIT, _signal.SIGUSR1
    ignored = [number for number in signals if _signal.getsignal(number) == _signal.SIG_IGN]
    request = marshal.dumps((words, environ, umask, [int(number) for number in ignored]))
    link.sendmsg([len(request).to_bytes(4, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, files)])
    link.sendall(request)
    child = int.from_bytes(link.recv(4, _socket.MSG_WAITALL), "big")
    if not child:  # the server is gone; and 0 would be all processes of this group
        os._exit(125)
    for number in set(signals).difference(ignored):
        _signal.signal(number, lambda number, _: os.kill(child, number))
    told = link.recv(4, _socket.MSG_WAITALL)
    status = int.from_bytes(told, "big", signed=True) if len(told) == 4 else 125
    if status < 0:
        _signal.signal(-status, _signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)

main()
"""


@contextmanager
def gitstate_in_front(environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Start a server, and yield the environment with the folder of its ``gitstate`` in front of ``PATH``.

    ``environment`` is the one in which commands will be run.
    """
    if sys.platform != "linux":
        yield dict(environment)
        return
    folder = Path(tempfile.mkdtemp(prefix="gitstate-"))  # short: an address has 108 bytes at most
    address = folder / "address"
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.forked", address], cwd=_PROJECT, env=environment, stdout=subprocess.PIPE
    )
    try:
        assert server.stdout is not None and server.stdout.readline() == b"ready\n"
        read = {name: value for name, value in environment.items() if name.startswith(("LC_", "PYTHON"))}
        read |= {name: environment[name] for name in ("LANG", "LANGUAGE") if name in environment}
        command = Path(sys.executable).with_name("gitstate")
        script = folder / "gitstate"
        script.write_text(
            _SCRIPT.format(python=sys.executable, command=str(command), address=str(address), environ=read)
        )
        script.chmod(0o755)
        (folder / "python").symlink_to(script)
        yield dict(environment) | {"PATH": f"{folder}{os.pathsep}{environment['PATH']}"}
    finally:
        server.kill()
        server.communicate()
        shutil.rmtree(folder)


# The server


class _Server:
    """Forks for each request, and tells whoever asked how the child ended. Who goes away takes the child along."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, socket.socket] = {}

    def run(self) -> None:
        woken, waker = socket.socketpair()
        for end in (woken, waker):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker.fileno())
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(woken, selectors.EVENT_READ, self._reap)
        while True:
            for key, _ in self._selector.select():
                key.data(key.fileobj)

    def _accept(self, listener: socket.socket) -> None:
        link, _ = listener.accept()
        size, found, *_ = link.recvmsg(_SIZE, socket.CMSG_SPACE(_FILES * 4))
        given = array.array("i", b"".join(files for _, _, files in found))
        request = _received(link, int.from_bytes(size, "big"))
        child = os.fork() if request else -1
        if not child:
            sys.executable = str(Path(listener.getsockname()).with_name("python"))  # for hooks and drivers of git
            self._forget()
            _become(given, *marshal.loads(request))
        for file in given:
            os.close(file)
        if not request:  # who asked was killed
            link.close()
            return
        self._children[child] = link
        self._selector.register(link, selectors.EVENT_READ, self._is_left)
        with suppress(OSError):
            link.sendall(child.to_bytes(_SIZE, "big"))

    def _is_left(self, link: socket.socket) -> None:
        """Kill the child of somebody who went away."""
        self._selector.unregister(link)
        for child, its in self._children.items():
            if its is link:
                os.kill(child, signal.SIGKILL)

    def _reap(self, woken: socket.socket) -> None:
        woken.recv(1024)
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                link = self._children.pop(ended[0])
                with suppress(OSError):
                    link.sendall(os.waitstatus_to_exitcode(ended[1]).to_bytes(_SIZE, "big", signed=True))
                with suppress(KeyError):
                    self._selector.unregister(link)
                link.close()

    def _forget(self) -> None:
        """Close, in a child, what is the server's."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]  # they are sockets
        self._selector.close()


def _received(link: socket.socket, size: int) -> bytes:
    """Return so many bytes, or none if they do not come."""
    data = b""
    while len(data) < size:
        more = link.recv(size - len(data))
        if not more:
            return b""
        data += more
    return data


def _become(
    files: "array.array[int]", arguments: list[str], environ: dict[str, str], umask: int, ignored: list[int]
) -> NoReturn:
    """Run a command in this process, as if it had been started so."""
    os.fchdir(files[3])
    for number in range(3):
        os.dup2(files[number], number)
    for file in files:
        os.close(file)
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    os.umask(umask)
    if environ.pop(CONTROLLED, None):
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        setattr(sys, name, _standard(getattr(sys, f"__{name}__"), number, mode))
        setattr(sys, f"__{name}__", getattr(sys, name))
    sys.argv = [str(Path(sys.executable).with_name("gitstate")), *arguments]
    from gitstate.cli.main import main

    status: Any = 1
    try:
        main()
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
    # As Python ends, but for the tidying up at the very end: it would write to all memory that is shared.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except OSError:
        status = 120
    os._exit(status if isinstance(status, int) else 0)


def _standard(model: io.TextIOWrapper, number: int, mode: str) -> io.TextIOWrapper:
    """Return one of the standard streams as Python makes it when it starts."""
    raw = io.FileIO(number, mode, closefd=False)
    buffer: Any = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
    is_direct = number == 2 or raw.isatty()
    return io.TextIOWrapper(buffer, model.encoding, model.errors, "\n" if mode == "w" else None, is_direct)


def _serve(address: str) -> None:
    import gitstate

    for module in pkgutil.walk_packages(gitstate.__path__, "gitstate."):
        if not module.name.startswith("gitstate.testing") and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in ("rich.live", "rich.table", "rich.progress", "rich.progress_bar", "asyncio", "pydantic"):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what was imported stays shared with the children
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(address)
        listener.listen(64)
        print("ready", flush=True)
        _Server(listener).run()


if __name__ == "__main__":
    _serve(sys.argv[1])
