"""What the person who runs us has set for git: in files of their own, the system's, and the environment.

Never what a repository's configuration says: whoever made the repository is not the person who runs us.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from dulwich.config import ConfigFile

from gitstate.engine.repository import user_configuration
from gitstate.errors import UnsupportedError

__all__ = ["UserSettings"]

_TRUE = {"true", "yes", "on", "1", ""}
_MOST = 1000  # settings in the environment
_PORTS = {"http": 80, "https": 443}


class UserSettings:
    """Read once. Names of sections and settings are in lower case; a setting's last value counts.

    Raises:
        UnsupportedError: A file cannot be read as git's configuration.
    """

    def __init__(self) -> None:
        configurations = [*reversed(user_configuration()), _of_environment()]  # the stronger last, as git has it
        self._values: list[tuple[str, str, str, str]] = []
        for configuration in configurations:
            for section in configuration.sections():
                name = os.fsdecode(section[0]).lower()
                sub = os.fsdecode(section[1]) if len(section) > 1 else ""
                for key, value in configuration.items(section):
                    self._values.append((name, sub, os.fsdecode(key).lower(), os.fsdecode(value)))

    def get(self, section: str, key: str) -> str | None:
        """Return a setting, or None."""
        found = [value for name, sub, each, value in self._values if (name, sub, each) == (section, "", key)]
        return found[-1] if found else None

    def is_false(self, section: str, key: str, url: str) -> bool:
        """Whether a setting that may be narrowed to URLs is there and says no."""
        value = self.for_url(section, key, url)
        return value is not None and value.lower() not in _TRUE

    def for_url(self, section: str, key: str, url: str) -> str | None:
        """Return a setting that may be narrowed to URLs (``http.<url>.proxy``): the one that fits best, or None."""
        found = [(rank, value) for rank, value in self._matches(section, key, url)]
        return max(found, key=lambda each: each[0])[1] if found else None  # of equals the first: the list is reversed

    def all_for_url(self, section: str, key: str, url: str, *, narrowed: bool = False) -> list[str]:
        """Return all values that hold for a URL, the general ones first; an empty one takes back those before it.

        With ``narrowed``, only those that are for certain URLs.
        """
        values: list[str] = []
        matches = reversed(list(self._matches(section, key, url)))
        for rank, value in sorted(matches, key=lambda each: each[0]):
            if rank > (-1, 0) or not narrowed:
                values = [*values, value] if value else []
        return values

    def subsections(self, section: str, key: str) -> list[tuple[str, str]]:
        """Return all subsections of a section that have a setting, with its value, in order."""
        return [(sub, value) for name, sub, each, value in self._values if (name, each) == (section, key) and sub]

    def _matches(self, section: str, key: str, url: str) -> Iterator[tuple[tuple[int, int], str]]:
        """Yield the values that hold for a URL, the last one first, each with how well its own URL fits."""
        for name, sub, each, value in reversed(self._values):
            if (name, each) == (section, key):
                rank = _fits(sub, url) if sub else (-1, 0)
                if rank is not None:
                    yield rank, value


def _fits(pattern: str, url: str) -> tuple[int, int] | None:
    """Return how well a URL of the configuration fits: the length of its path, and whether it names the user."""
    try:
        wanted, given = urlsplit(pattern), urlsplit(url)
        ports = [each.port or _PORTS.get(each.scheme) for each in (wanted, given)]
    except ValueError:
        return None
    if wanted.scheme != given.scheme or ports[0] != ports[1]:
        return None
    hosts = [(each.hostname or "").split(".") for each in (wanted, given)]
    if len(hosts[0]) != len(hosts[1]) or not all(a == b or (a == "*" and b) for a, b in zip(*hosts, strict=True)):
        return None
    if wanted.username and wanted.username != given.username:
        return None
    path = wanted.path.rstrip("/")
    if given.path.rstrip("/") != path and not given.path.startswith(path + "/"):
        return None
    return len(path), bool(wanted.username)


def _of_environment() -> ConfigFile:
    """Return what GIT_CONFIG_COUNT and its kin set (https://git-scm.com/docs/git-config#ENVIRONMENT)."""
    found = ConfigFile()
    count = os.environ.get("GIT_CONFIG_COUNT", "")
    for number in range(min(int(count), _MOST) if count.isdecimal() else 0):
        name, value = (os.environ.get(f"GIT_CONFIG_{what}_{number}") for what in ("KEY", "VALUE"))
        parts = re.fullmatch(r"([^.]+)\.(?:(.*)\.)?([^.]+)", name or "", re.DOTALL)
        if parts is None or value is None:
            raise UnsupportedError(f"GIT_CONFIG_KEY_{number} or its value is missing", hint="correct GIT_CONFIG_COUNT")
        section = (os.fsencode(parts[1].lower()), *([os.fsencode(parts[2])] if parts[2] else []))
        with suppress(ValueError):
            found.add(section, os.fsencode(parts[3]), os.fsencode(value))
    return found
