"""``gitstate.json``."""

import pytest

from gitstate.errors import CorruptionError, InvalidInputError, UnsupportedFormatError
from gitstate.format.version import FormatVersion


def test_bytes_are_those_of_the_format() -> None:
    assert FormatVersion().to_bytes() == b'{\n  "format": 1,\n  "fanout": 0\n}\n'


@pytest.mark.parametrize("fanout", range(5))
def test_what_is_written_is_read(fanout: int) -> None:
    assert FormatVersion.parse(FormatVersion(fanout=fanout).to_bytes()) == FormatVersion(1, fanout)


def test_unknown_keys_are_kept() -> None:
    version = FormatVersion.parse(b'{"format": 1, "later": [1]}')
    assert version.fanout == 0
    assert b'"later": [' in version.to_bytes()
    assert FormatVersion.parse(version.to_bytes()) == version


def test_a_newer_format_is_refused_whatever_else_it_says() -> None:
    with pytest.raises(UnsupportedFormatError, match=r"format 2.*upgrade"):
        FormatVersion.parse(b'{"format": 2, "fanout": "many"}')


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"{}", b'{"format": "1"}', b'{"format": true}', b'{"format": 0}', b'{"format": 1.0}']
    + [b'{"format": 1, "fanout": %s}' % fanout for fanout in (b"-1", b"5", b"null", b"true", b'"2"')],
)
def test_what_cannot_be_understood_names_the_file(data: bytes) -> None:
    with pytest.raises(CorruptionError, match=r"gitstate\.json") as caught:
        FormatVersion.parse(data)
    assert "git log" in caught.value.hint


@pytest.mark.parametrize("fanout", [-1, 5, True, "2"])
def test_a_fanout_out_of_range_is_an_error(fanout: object) -> None:
    with pytest.raises(InvalidInputError, match="fanout"):
        FormatVersion(fanout=fanout)  # type: ignore[arg-type]
