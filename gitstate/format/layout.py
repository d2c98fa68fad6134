"""How a value becomes files and files become a value; which files do is data.

A *part* is a field whose entries are files of their own. The root file holds all other fields and, in the part's place,
the list of its entries, so that a lost file is noticed: ``{"numbers": "1-20,25", "keys": ["other"]}``. A field that is
no object, or an empty one, stays in the root file as it is; so an object in a part's place always is such a list.
"""

import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from typing import NamedTuple

from gitstate.errors import CorruptionError, InvalidInputError, UnstorableError
from gitstate.format import names
from gitstate.values import canonical
from gitstate.values.canonical import ANY, Shape, Value
from gitstate.values.pointer import to_text

__all__ = ["Layout", "Part", "Texts"]

_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_RANGE = re.compile(r"(0|[1-9][0-9]{0,17})(?:-([1-9][0-9]{0,17}))?")
_MANY = 1_000_000  # entries of a part: a list that names more is somebody's joke
_KEPT = 4096  # paths of entries
_UNKNOWN = object()  # no entry is this
_KEY_MARK = "="  # begins the file name of an entry whose key is no number; no encoded key holds it


@dataclass(frozen=True)
class Part:
    """A field whose entries are files: ``path`` holds ``{}`` where the name of the entry goes.

    Keys that are numbers are padded with zeros to so many ``digits``; other keys are encoded.
    """

    field: str
    path: str
    digits: int = 4

    def path_of(self, key: str) -> str:
        """Return the path of an entry's file; different keys have different paths."""
        path = self._paths.get(key)
        if path is None:
            name = key.zfill(self.digits) if _NUMBER.fullmatch(key) else _KEY_MARK + (names.encode(key) if key else "")
            path = self.path.format(name)
            if len(self._paths) < _KEPT:
                self._paths[key] = path
        return path

    @cached_property
    def _paths(self) -> dict[str, str]:
        """The paths of the first entries that were met: most documents have the same."""
        return {}

    def key_of(self, path: str) -> str | None:
        """Return the key of the entry whose file has a path; None if none has, or only the entry itself can tell."""
        before, after = self.path.split("{}")
        if not self.pattern.fullmatch(path):
            return None
        name = path[len(before) : len(path) - len(after)]
        if name.startswith(_KEY_MARK):
            key = names.decode(name[1:]) if name != _KEY_MARK else ""
        else:
            key = name.lstrip("0") or "0"
        return key if key is not None and self.path_of(key) == path else None

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches the paths that :meth:`path_of` makes."""
        before, after = map(re.escape, self.path.split("{}"))
        return re.compile(rf"{before}(?:[0-9]{{{self.digits},}}|{_KEY_MARK}[A-Za-z0-9_.%~-]*){after}")


class Texts(NamedTuple):
    """What the files of a value say before they are put together: the value of the root file, and by the field of each
    part that has files the keys of its entries and their texts.
    """

    root: dict[str, Value]
    entries: dict[str, tuple[list[str], list[bytes]]]


@dataclass(frozen=True)
class Layout:
    """Which files a value becomes.

    Args:
        root: The path of the root file.
        parts: The fields whose entries are files.
        attachments: Folders, with a slash at the end, of files that belong to the document without being part of its
            value.
        shape: The shape of the value: the order of the fields in the files. Or a function that returns it, called when
            a value is first written: who only reads need not know it.
    """

    root: str = "job.json"
    parts: tuple[Part, ...] = (Part("sheets", "sheets/{}.json"),)
    attachments: tuple[str, ...] = ("executions/",)
    shape: Shape | Callable[[], Shape] = ANY

    @cached_property
    def value_shape(self) -> Shape:
        """The shape of the value."""
        return self.shape() if callable(self.shape) else self.shape

    @cached_property
    def top_names(self) -> tuple[str, ...]:
        """The names in a document's folder under which the files of its value lie."""
        paths = (self.root, *(part.path for part in self.parts))
        return tuple(dict.fromkeys(path.split("/")[0] for path in paths))

    def changes(self, value: Value, known: Mapping[str, Value]) -> dict[str, bytes | None]:
        """Return the files to write (bytes) and to remove (None) where ``known`` stands so that ``value`` does.

        Entries that are the very same objects in both are taken as unchanged, without a look at them; so neither value
        may be changed in place. Raises as :meth:`split` does.
        """
        if not isinstance(value, dict):
            raise InvalidInputError(f"a document's value is an object, not {type(value).__name__}")
        try:
            return self._changes(value, known)
        except (UnstorableError, TypeError):
            canonical.dumps(value, self.value_shape)  # names the place from the top of the value
            raise

    def split(self, value: Value) -> dict[str, bytes]:
        """Return the files of a value, an object, by path. Equal values give equal files.

        Raises:
            InvalidInputError: The value is no object.
            UnstorableError: JSON cannot keep it exactly, or a part has very many entries; ``pointer`` names the place.
        """
        files = {path: data for path, data in self.changes(value, {}).items() if data is not None}
        return {self.root: canonical.dumps({}), **files}

    def place_of(self, path: str) -> tuple[str, ...] | None:
        """Return the place of the value that a file holds, the inverse of :meth:`path_of`; None for other files.

        The key of an entry whose name was cut cannot be told, and is the path.
        """
        if path == self.root:
            return ()
        for part in self.parts:
            if part.pattern.fullmatch(path):
                key = part.key_of(path)
                return part.field, path if key is None else key
        return None

    def opened(self, root: Mapping[str, Value]) -> dict[str, Value]:
        """Return the value of a root file with an object of the keys, each with True, for the list of a part.

        Raises:
            CorruptionError: A part's place holds no list as the format has it, or a very long one.
        """
        opened = dict(root)
        for part in self.parts:
            listing = root.get(part.field)
            if isinstance(listing, dict) and listing:
                opened[part.field] = dict.fromkeys(self._listed(part, listing), True)
        return opened

    def closed(self, opened: Mapping[str, Value]) -> dict[str, Value]:
        """Return the value of the root file; the inverse of :meth:`opened`."""
        lists = {part.field: _indexed(tuple(entries))[0] for part in self.parts if (entries := _entries(opened, part))}
        return {**opened, **lists}

    def is_part(self, field: str) -> bool:
        """Tell whether the entries of a field are files."""
        return any(part.field == field for part in self.parts)

    def order(self, entries: Mapping[str, Value]) -> tuple[str, ...]:
        """Return the keys of a part's entries in the order in which :meth:`join` gives them."""
        return _indexed(tuple(entries))[1]

    def listed(self, part: Part, root: Mapping[str, Value]) -> list[str]:
        """Return the keys of the entries that the list of a part names, as the root file has it; none without a list.

        Raises:
            CorruptionError: It is no list of files, or a very long one.
        """
        listing = root.get(part.field)
        return list(self._listed(part, listing)) if isinstance(listing, dict) and listing else []

    def listing(self, keys: Sequence[str]) -> dict[str, Value]:
        """Return the list that names the entries of a part, as the root file has it."""
        return _indexed(tuple(keys))[0]

    def path_of(self, place: Sequence[str]) -> str:
        """Return the path of the file that holds a place of the value: the parts of its pointer."""
        for part in self.parts:
            if len(place) > 1 and place[0] == part.field:
                return part.path_of(place[1])
        return self.root

    def _changes(self, value: Mapping[str, Value], known: Mapping[str, Value]) -> dict[str, bytes | None]:
        root, known_root = dict(value), dict(known)
        changes: dict[str, bytes | None] = {}
        for part in self.parts:
            entries, before = _entries(value, part), _entries(known, part)
            if len(entries) > _MANY:
                place = to_text((part.field,))
                raise UnstorableError(f"{place} has more than {_MANY} entries, each a file", pointer=place)
            shape = self.value_shape.entry(part.field)
            for key in [key for key, entry in entries.items() if before.get(key, _UNKNOWN) is not entry]:
                entry = entries[key]
                if key not in before or not canonical.equal(before[key], entry):
                    changes[part.path_of(key)] = canonical.dumps(entry, shape.entry(key))
            changes |= {part.path_of(key): None for key in before.keys() - entries.keys()}
            if entries:
                root[part.field] = _indexed(tuple(entries))[0]
            if before:
                known_root[part.field] = _indexed(tuple(before))[0]
        if not canonical.equal(root, known_root):
            changes[self.root] = canonical.dumps(root, self.value_shape)
        return changes

    def join(
        self,
        files: Mapping[str, bytes],
        only: Container[str] | None = None,
        loads: Callable[[bytes], Value] = canonical.loads,
    ) -> dict[str, Value]:
        """Return the value of files, by path; those that :meth:`owns` does not know are ignored.

        Args:
            files: The files; the root file is always needed.
            only: The paths of the entries that are asked for; the value is without all others. None: all.
            loads: Reads the file of an entry; one that remembers spares the work for those that did not change.

        Raises:
            CorruptionError: A file is missing, not named by the root file, no JSON, or of the wrong shape; the message
                names it.
        """
        value = self._read(files, self.root)
        if not isinstance(value, dict):
            raise CorruptionError(f"{self.root} holds no object")
        wanted = {self.root}
        for part in self.parts:
            listing = value.get(part.field)
            if isinstance(listing, dict) and listing:
                entries: dict[str, Value] = {}
                for key in self._listed(part, listing):
                    path = part.path_of(key)
                    if only is not None and path not in only:
                        continue
                    entries[key] = self._read(files, path, loads)  # the first missing file ends a wide range
                    wanted.add(path)
                value[part.field] = entries
        surplus = sorted(path for path in files if path not in wanted and self.owns(path))
        if surplus:
            raise CorruptionError(f"{surplus[0]} is there, but {self.root} does not name it")
        return value

    def texts(self, files: Mapping[str, bytes]) -> Texts | None:
        """Return what :meth:`join` puts together, with no look at the texts of entries; None: it may have to complain.

        Args:
            files: Those of the value, and no others.
        """
        try:
            root = self._read(files, self.root)
            if not isinstance(root, dict):
                return None
            entries: dict[str, tuple[list[str], list[bytes]]] = {}
            for part in self.parts:
                if isinstance(listing := root.get(part.field), dict) and listing:
                    keys = list(islice(self._listed(part, listing), len(files)))
                    entries[part.field] = keys, [files[path] for path in map(part.path_of, keys)]
        except (CorruptionError, KeyError):
            return None
        return Texts(root, entries) if len(files) == 1 + sum(len(keys) for keys, _ in entries.values()) else None

    def owns(self, path: str) -> bool:
        """Tell whether a file of this path is part of a value."""
        found = self._owned.get(path)
        if found is None:
            found = path == self.root or any(part.pattern.fullmatch(path) for part in self.parts)
            if len(self._owned) < _KEPT:
                self._owned[path] = found
        return found

    @cached_property
    def _owned(self) -> dict[str, bool]:
        """What was found of the first paths that were met: most documents have the same."""
        return {}

    def attached(self, path: str) -> bool:
        """Tell whether a file of this path belongs to the document without being part of its value."""
        return path.startswith(self.attachments)

    def _read(self, files: Mapping[str, bytes], path: str, loads: Callable[[bytes], Value] = canonical.loads) -> Value:
        data = files.get(path)
        if data is None:
            raise CorruptionError(f"{path} is missing" + (f", but {self.root} names it" if path != self.root else ""))
        try:
            return loads(data)
        except CorruptionError as error:
            raise CorruptionError(f"{path}: {error.message}") from error

    def _listed(self, part: Part, listing: dict[str, Value]) -> Iterator[str]:
        """Yield the keys that a part's list names, as far as these are not more than anybody has."""
        wrong = f"{self.root}: {part.field} holds no list of files as the format has it"
        numbers, keys = listing.get("numbers", ""), listing.get("keys", [])
        if listing.keys() - {"numbers", "keys"} or not isinstance(numbers, str) or not isinstance(keys, list):
            raise CorruptionError(wrong)
        last, count = -1, 0
        for text in numbers.split(",") if numbers else ():
            match = _RANGE.fullmatch(text)
            if match is None or int(match[1]) <= last:
                raise CorruptionError(wrong)
            first, last = int(match[1]), int(match[2] or match[1])
            if last < first:
                raise CorruptionError(wrong)
            yield from map(str, range(first, min(last + 1, first + _MANY - count)))
            count += last - first + 1
            if count > _MANY:
                raise CorruptionError(f"{self.root}: {part.field} names more than {_MANY} files")
        for key in keys:
            if not isinstance(key, str) or _NUMBER.fullmatch(key):
                raise CorruptionError(wrong)
            yield key


def _entries(value: Mapping[str, Value], part: Part) -> Mapping[str, Value]:
    """Return the entries of a part that are files."""
    entries = value.get(part.field)
    return entries if isinstance(entries, dict) else {}


@lru_cache(maxsize=64)  # jobs keep their sheets for long, and many have the same
def _indexed(keys: tuple[str, ...]) -> tuple[dict[str, Value], tuple[str, ...]]:
    """Return the list of a part's entries, with numbers as ranges: a thousand sheets are one line. And their order."""
    numbers = sorted(int(key) for key in keys if _NUMBER.fullmatch(key))
    others = sorted(key for key in keys if not _NUMBER.fullmatch(key))
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    listing: dict[str, Value] = {}
    if ranges:
        listing["numbers"] = ",".join(f"{first}-{last}" if first < last else str(first) for first, last in ranges)
    if others:
        listing["keys"] = list(others)
    return listing, (*map(str, numbers), *others)
