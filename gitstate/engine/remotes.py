"""A repository's remotes, which are git's own: one that was added with git counts, and git knows ours.

What a repository's configuration says that would run a program, such as ``remote.<name>.uploadpack``, is not followed;
addresses are rewritten (``url.<base>.insteadOf``) as the user's own configuration says, and only that.
"""

import os
from pathlib import Path
from typing import NamedTuple

from dulwich.config import ConfigFile

from gitstate.engine import configtext, files, refs, settings
from gitstate.engine.repository import REMOTES, SEEN, Repository, configuration, is_branch_name
from gitstate.engine.settings import remote_names
from gitstate.engine.wire import addresses
from gitstate.engine.wire.usersettings import UserSettings
from gitstate.errors import ExistsError, InvalidInputError, NotFoundError, UnsupportedError

__all__ = ["Remote", "add", "all_remotes", "find", "follow", "remove", "rewritten", "tracking"]


class Remote(NamedTuple):
    """Another repository. ``name`` is empty where an address was given in place of one."""

    name: str
    url: str
    """Where it is fetched from. A relative path is made absolute."""
    push_url: str
    """Where it is pushed to."""

    def __repr__(self) -> str:
        return f"Remote({self.name!r}, {addresses.shown(self.url)!r}, {addresses.shown(self.push_url)!r})"


def tracking(name: str) -> tuple[str, str]:
    """Return the prefixes of the refs that say where a remote was when it was seen last."""
    return f"{REMOTES}{name}/", f"{SEEN}{name}/"


def all_remotes(repository: Repository) -> list[Remote]:
    """Return the remotes that have an address, by name.

    Raises:
        UnsupportedError: A configuration cannot be read.
        StorageError: The disk refused.
    """
    config, user = _read(repository), UserSettings()
    found = [_remote(repository, config, user, name) for name in remote_names(config)]
    return sorted(each for each in found if each is not None)


def find(repository: Repository, name_or_url: str) -> Remote:
    """Return a remote by its name, or what stands for an address given in place of one.

    Raises:
        NotFoundError: There is none of this name; the message lists those that there are.
        InvalidInputError: Its address is none, or would run something.
        UnsupportedError: It has several addresses, or a helper program; or a configuration cannot be read.
        StorageError: The disk refused.
    """
    config, user = _read(repository), UserSettings()
    if name_or_url in remote_names(config):
        remote = _remote(repository, config, user, name_or_url)
        if remote is None:
            raise NotFoundError(
                f"the remote {name_or_url!r} has no address", hint=f"`git remote set-url {name_or_url} URL`"
            )
        _refuse_what_we_do_not_do(config, remote)
    elif _is_address(name_or_url):
        url, push_url = _rewritten(user, [name_or_url], [])
        remote = Remote("", _absolute(url, os.curdir), _absolute(push_url, os.curdir))
    else:
        raise _unknown(name_or_url, remote_names(config))
    for url in {remote.url, remote.push_url}:
        addresses.parse(url)
    return remote


def rewritten(url: str) -> str:
    """Return the address that the user's own configuration has in place of one (``url.<base>.insteadOf``).

    Raises:
        UnsupportedError: That configuration cannot be read.
    """
    return _rewritten(UserSettings(), [url], [])[0]


def add(repository: Repository, name: str, url: str) -> Remote:
    """Add a remote, as `git remote add` does; call it under the store's lock.

    Raises:
        ExistsError: There is one of this name.
        InvalidInputError: The name, or the address, cannot be one.
        BusyError: A living git holds the configuration's lock; the message names it.
        UnsupportedError: The configuration cannot be read.
        StorageError: The disk refused.
    """
    if not is_branch_name(name) or name != name.strip("/"):
        raise InvalidInputError(f"{name!r} cannot be the name of a remote", hint="try `origin`")
    addresses.parse(url)
    for other in remote_names(_read(repository)):
        if other == name:
            raise ExistsError(
                f"there is a remote {name!r}", hint=f"choose another name, or `git remote set-url {name}`"
            )
        if other.startswith(f"{name}/") or name.startswith(f"{other}/"):
            raise ExistsError(f"the remote {other!r} has refs where those of {name!r} would be", hint="rename one")
    section = (b"remote", os.fsencode(name))
    fetched = b"+refs/heads/*:refs/remotes/%b/*" % section[1]
    lines = configtext.section(*section, {b"url": os.fsencode(url), b"fetch": fetched})
    with files.storage_errors(repository.common_dir / "config"):
        settings.rewrite(
            repository,
            lambda content: settings.with_lines(content, lines),
            lambda config: list(config.get_multivar(section, b"url")) == [os.fsencode(url)],
            by_hand=f"`git remote add {name}`, with the address",
        )
    return find(repository, name)


def follow(repository: Repository, name: str) -> None:
    """Let the branch follow that of a remote, as `git clone` does for a new repository, once it is fetched; call it
    under the store's lock.

    Raises:
        BusyError: A living git holds the configuration's lock; the message names it.
        UnsupportedError: The configuration cannot be read.
        StorageError: The disk refused.
    """
    section, ref = (b"branch", os.fsencode(repository.branch)), os.fsencode(repository.ref)
    lines = configtext.section(*section, {b"remote": os.fsencode(name), b"merge": ref})
    with files.storage_errors(repository.common_dir):
        settings.rewrite(
            repository,
            lambda content: settings.with_lines(content, lines),
            lambda config: list(config.get_multivar(section, b"merge"))[-1:] == [ref],
            by_hand=f"`git branch --set-upstream-to {name}/{repository.branch}`",
        )
        below = tracking(name)[0]
        if refs.read(repository, f"{below}{repository.branch}") is not None:
            head = repository.path(f"{below}HEAD")
            files.remove(head)
            files.create(head, os.fsencode(f"ref: {below}{repository.branch}\n"))


def remove(repository: Repository, name: str) -> None:
    """Remove a remote, as `git remote remove` does, with what says where it was seen; call it under the store's lock.

    Raises:
        NotFoundError: There is none of this name in the repository's own configuration.
        BusyError: A living git holds a lock; the message names it.
        UnsupportedError: The configuration cannot be read.
        StorageError: The disk refused. Done again, it goes on.
    """
    names = remote_names(_read(repository))
    if name not in names:
        raise _unknown(name, names)
    with files.storage_errors(repository.common_dir):
        _remove_refs(repository, name, [each for each in names if each.startswith(f"{name}/")])
        settings.rewrite(
            repository,
            lambda content: configtext.without_remote(content, os.fsencode(name)),
            lambda config: name not in remote_names(config),
            by_hand=f"`git remote remove {name}`",
        )


def _remove_refs(repository: Repository, name: str, others: list[str]) -> None:
    """Remove the refs of a remote; not those of another one whose name goes on where this one's ends."""
    kept = tuple(prefix for other in others for prefix in tracking(other))
    found = {ref for below in tracking(name) for ref in refs.names(repository, below) if not ref.startswith(kept)}
    for ref in sorted(found, key=lambda ref: (refs.target(repository, ref) == ref, ref)):  # symbolic ones first
        refs.delete(repository, ref, expected=refs.read(repository, ref))


def _unknown(name: str, known: set[str]) -> NotFoundError:
    return NotFoundError(
        f"there is no remote {name!r}",
        hint=f"the remotes: {', '.join(sorted(known)) or 'none'}; `gitstate remote add` makes one, and an address or "
        "a path can stand for one",
    )


def _read(repository: Repository) -> ConfigFile:
    with files.storage_errors(repository.common_dir / "config"):
        return configuration(repository)


def _values(config: ConfigFile, name: str, key: bytes) -> list[str]:
    try:
        return [os.fsdecode(each) for each in config.get_multivar((b"remote", os.fsencode(name)), key) if each]
    except KeyError:
        return []


def _remote(repository: Repository, config: ConfigFile, user: UserSettings, name: str) -> Remote | None:
    urls = _values(config, name, b"url")
    if not urls:
        return None
    url, push_url = _rewritten(user, urls, _values(config, name, b"pushurl"))
    base = repository.worktree or repository.git_dir
    return Remote(name, _absolute(url, base), _absolute(push_url, base))


def _refuse_what_we_do_not_do(config: ConfigFile, remote: Remote) -> None:
    pushed = _values(config, remote.name, b"pushurl") or _values(config, remote.name, b"url")
    if len(pushed) > 1:
        raise UnsupportedError(
            f"the remote {remote.name!r} has {len(pushed)} addresses that git pushes to, and we push to one",
            hint="make a remote of each",
        )
    if _values(config, remote.name, b"vcs"):
        raise UnsupportedError(f"the remote {remote.name!r} has a helper program (vcs)", hint="use one of git")


def _rewritten(user: UserSettings, urls: list[str], push_urls: list[str]) -> tuple[str, str]:
    """Return where to fetch from and to push to, as the user has it; see url.<base>.insteadOf in git-config."""

    def replace(url: str, key: str) -> str | None:
        fitting = [(len(begin), base, begin) for base, begin in user.subsections("url", key) if url.startswith(begin)]
        _, base, begin = max(fitting, key=lambda each: each[0], default=(0, "", ""))
        return base + url[len(begin) :] if fitting else None

    url = replace(urls[0], "insteadof") or urls[0]
    if push_urls:
        return url, replace(push_urls[0], "insteadof") or push_urls[0]
    return url, replace(urls[0], "pushinsteadof") or url


def _absolute(url: str, base: str | Path) -> str:
    """Return an address with a path made absolute; one that is none stays, to be refused where it is used."""
    try:
        address = addresses.parse(url, base)
    except InvalidInputError:
        return url
    return url if "://" in url or address.kind != "path" else address.path


def _is_address(text: str) -> bool:
    return any(each in text for each in "/:\\") or text in {".", ".."} or os.path.isdir(text)
