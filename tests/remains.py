"""Looks through every file of a repository for what should be gone, into packs and loose objects too."""

import os
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

__all__ = ["holders"]


def holders(git_dir: Path, *needles: bytes) -> list[str]:
    """Return the files below a git directory that hold one of some texts, by name, as they are or inflated."""
    return sorted({place for place, data in _everything(git_dir) if any(needle in data for needle in needles)})


def _everything(git_dir: Path) -> Iterator[tuple[str, bytes]]:
    for folder, _, names in os.walk(git_dir):
        for name in names:
            path = Path(folder) / name
            if path.is_symlink():
                continue
            data, place = path.read_bytes(), str(path.relative_to(git_dir))
            yield place, os.fsencode(name)
            yield place, data
            if name.endswith(".pack"):
                yield from ((place, inflated) for inflated in _inflated(path, data))
            elif data[:1] == b"x":
                try:
                    yield place, zlib.decompress(data)
                except zlib.error:
                    continue
    command = ["git", "--git-dir", str(git_dir), "cat-file", "--batch", "--batch-all-objects", "--unordered"]
    yield "objects", subprocess.run(command, capture_output=True, check=True).stdout


def _inflated(pack: Path, data: bytes) -> Iterator[bytes]:
    """Yield the content of each entry of a pack, of a delta what it adds."""
    index = pack.with_suffix(".idx").read_bytes()
    listed = subprocess.run(["git", "show-index"], input=index, capture_output=True, check=True).stdout
    for line in listed.splitlines():
        start = int(line.split()[0])
        kind = data[start] >> 4 & 7
        while data[start] & 128:
            start += 1
        start += 1
        if kind == 6:  # a delta to what stands before it
            while data[start] & 128:
                start += 1
            start += 1
        elif kind == 7:
            start += 20
        yield zlib.decompressobj().decompress(data[start:])
