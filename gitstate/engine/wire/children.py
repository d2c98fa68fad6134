"""Programs that speak for a remote: ssh, and the user's git on a path of this machine.

They never ask anybody anything, and know nothing of the repository that we may have been called from.
"""

import math
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress

from gitstate.engine.wire.addresses import Address
from gitstate.engine.wire.connections import Pipes
from gitstate.engine.wire.usersettings import UserSettings
from gitstate.errors import SyncError

__all__ = ["Child", "environment", "git_command", "ssh_command"]

_FAREWELL = 5.0  # seconds that a child may take to end after all was said, or was asked to
_PROBE = 10.0
_VARIANTS = {
    "ssh": "ssh",
    "plink": "putty",
    "plink.exe": "putty",
    "putty": "putty",
    "tortoiseplink": "tortoiseplink",
    "tortoiseplink.exe": "tortoiseplink",
    "simple": "simple",
    "auto": "",
}
# What git itself takes from the environment of a program that speaks for another repository.
_LOCAL = {
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_PROTOCOL",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_TRACE",
    "GIT_WORK_TREE",
}


class Child:
    """A program with pipes to its standard streams, in a session of its own: no terminal, one group to be ended."""

    def __init__(self, command: Sequence[str], told: dict[str, str]) -> None:
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the user's own git or ssh; see the callers
                command,
                env=told,
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise SyncError(
                f"{command[0]} cannot be run: {error.strerror}", hint="check that it is installed"
            ) from None
        streams = (self._process.stdin, self._process.stdout, self._process.stderr)
        self.ends = Pipes(*(os.dup(each.fileno()) for each in streams if each))
        for each in streams:
            if each:
                each.close()

    def end(self, *, at_once: bool) -> int:
        """Wait for its end, after its streams were closed; with ``at_once``, or if it takes long, end it.

        Returns:
            Its exit status; negative: the signal that ended it.
        """
        if at_once:
            self._signal(signal.SIGTERM)
        try:
            return self._process.wait(_FAREWELL)
        except subprocess.TimeoutExpired:
            at_once = True
            self._signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                return self._process.wait(_FAREWELL)
            self._signal(signal.SIGKILL)
            return self._process.wait()
        finally:
            if at_once:
                self._signal(signal.SIGKILL)  # to those that it started, such as a hook, and that did not listen

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def environment(**told: str) -> dict[str, str]:
    """Return our environment for a program that must neither ask nor see the repository around us."""
    kept = {name: value for name, value in os.environ.items() if name not in _LOCAL}
    for name in [name for name in kept if name.startswith(("GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_"))]:
        del kept[name]
    never = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "SSH_ASKPASS_REQUIRE": "never", "GCM_INTERACTIVE": "never"}
    # In English errors can be told apart; nor is anything fetched from elsewhere in between.
    return kept | never | {"LANGUAGE": "en", "GIT_NO_LAZY_FETCH": "1"} | told


def git_command(service: str, path: str) -> list[str]:
    """Return the command that speaks for a repository on this machine; none: there is no git."""
    git = shutil.which("git")
    return [git, service.removeprefix("git-"), path] if git else []


def ssh_command(address: Address, service: str, timeout: float, settings: UserSettings) -> list[str]:
    """Return the command that runs a service of git's at an address, with the ssh that the user chose.

    As git does, but only from the environment and the user's own configuration: GIT_SSH_COMMAND or core.sshCommand,
    which the shell reads, else GIT_SSH, else ssh.

    Raises:
        SyncError: A port is wanted of a program that can take none.
    """
    program = os.environ.get("GIT_SSH_COMMAND") or settings.get("core", "sshcommand") or ""
    if program:
        start, words = ["sh", "-c", f'{program} "$@"', program], _split(program)
    else:
        start = words = [os.environ.get("GIT_SSH") or "ssh"]
    variant = _variant(start, words, address.host, settings)
    options: list[str] = []
    if variant == "ssh":
        options = ["-o", "BatchMode=yes", "-o", f"ConnectTimeout={max(1, math.ceil(timeout))}"]
    elif variant in {"putty", "tortoiseplink"}:
        options = ["-batch"]
    if address.port is not None:
        if variant == "simple":
            raise SyncError(f"{words[0]} takes no port, which {address.shown} has", hint="set GIT_SSH_VARIANT=ssh")
        options += ["-p" if variant == "ssh" else "-P", str(address.port)]
    where = f"{address.user}@{address.host}" if address.user else address.host
    return [*start, *options, where, f"{service} {_quoted(address.path)}"]


def _split(command: str) -> list[str]:
    try:
        return shlex.split(command) or ["ssh"]
    except ValueError:
        return ["ssh"]


def _variant(start: list[str], words: list[str], host: str, settings: UserSettings) -> str:
    """Return which options an ssh takes; of one that we do not know, it is asked."""
    said = os.environ.get("GIT_SSH_VARIANT") or settings.get("ssh", "variant") or ""
    variant = _VARIANTS.get(said.lower() or os.path.basename(words[0]).lower(), "")
    if variant:
        return variant
    try:
        asked = subprocess.run(  # noqa: S603 - the user's own ssh
            [*start, "-G", host],
            env=environment(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PROBE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "simple"
    return "simple" if asked.returncode else "ssh"


def _quoted(path: str) -> str:
    """Quote a path for the shell of the other side, as git does: some of those read ``!`` too."""
    return "'" + path.replace("'", "'\\''").replace("!", "'\\!'") + "'"
