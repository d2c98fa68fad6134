"""Machines on a network of their own: network namespaces, each with a cable to one in the middle where a server is."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from tests.git import git
from tests.servers import stop

__all__ = ["Networks"]

_START = 10.0  # seconds that the server may take to start
_PORT = 9418


class Networks:
    """Namespaces with these names, while the block runs. No other network is touched."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = {name: number for number, name in enumerate(names, 1)}
        self._own = f"gs{os.getpid()}"
        self._hub = f"{self._own}-hub"

    @staticmethod
    @cache
    def are_permitted() -> bool:
        """Whether we may make namespaces."""
        if shutil.which("ip") is None:
            return False
        name = f"gs{os.getpid()}-try"
        made = _run("netns", "add", name)
        _run("netns", "del", name)
        return made

    def __enter__(self) -> "Networks":
        for name in (self._hub, *map(self._space, self._names)):
            assert _run("netns", "add", name)
            assert _run("-n", name, "link", "set", "lo", "up")
        for name, number in self._names.items():
            ends = (f"h{number}", f"m{number}")
            assert _run(
                *("-n", self._hub, "link", "add", ends[0]),
                *("type", "veth", "peer", "name", ends[1], "netns", self._space(name)),
            )
            for space, end, last in ((self._hub, ends[0], 1), (self._space(name), ends[1], 2)):
                assert _run("-n", space, "addr", "add", f"10.77.{number}.{last}/24", "dev", end)
                assert _run("-n", space, "link", "set", end, "up")
            assert _run("-n", self._space(name), "route", "add", "10.77.0.1/32", "via", f"10.77.{number}.1")
        assert _run("-n", self._hub, "addr", "add", "10.77.0.1/32", "dev", "lo")
        return self

    def __exit__(self, *_: object) -> None:
        for name in (self._hub, *map(self._space, self._names)):
            _run("netns", "del", name)

    def inside(self, name: str) -> list[str]:
        """Return what a command begins with that runs in a namespace."""
        return ["ip", "netns", "exec", self._space(name)]

    def set(self, name: str, *, up: bool) -> None:
        """Pull out a machine's cable, or put it in again."""
        number = self._names[name]
        _run("-n", self._hub, "link", "set", f"h{number}", "up" if up else "down")
        if up:  # a route goes with its link
            _run("-n", self._space(name), "route", "replace", "10.77.0.1/32", "via", f"10.77.{number}.1")

    @contextmanager
    def daemon(self, root: Path) -> Iterator[str]:
        """Serve the repositories below ``root`` in the middle; give the URL of the root."""
        program = str(Path(git(root, "--exec-path").strip()) / "git-daemon")
        options = ["--reuseaddr", "--listen=10.77.0.1", f"--base-path={root}", "--export-all", "--enable=receive-pack"]
        hub = ["ip", "netns", "exec", self._hub]
        process = subprocess.Popen(
            [*hub, program, *options, str(root)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            end = time.monotonic() + _START
            while time.monotonic() < end and process.poll() is None:
                probe = [*hub, "git", "ls-remote", f"git://10.77.0.1/{next(root.iterdir()).name}"]
                with suppress(subprocess.CalledProcessError):
                    subprocess.run(probe, check=True, capture_output=True)
                    break
                time.sleep(0.05)
            yield f"git://10.77.0.1:{_PORT}"
        finally:
            stop(process)

    def _space(self, name: str) -> str:
        return f"{self._own}-{name}"


def _run(*words: str) -> bool:
    return subprocess.run(["ip", *words], capture_output=True, check=False).returncode == 0
