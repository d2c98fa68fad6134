"""Ids as names: reversible, harmless, bounded."""

import re
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gitstate.errors import InvalidInputError
from gitstate.format import names

IDS = st.text(st.characters(exclude_categories=()), min_size=1, max_size=80) | st.text("a.%~-/é\ud800", min_size=1)
HOSTILE = ["a/b", "a:b", "a_b", "A_B", ".", "..", "...", ".git", "CON", "a.", ".a", "a.lock", "-x", "a%2Eb",
           "%2E", "a\nb", "a\0b", "é", "\ud800", "~", "%~", "a" * 300, "é" * 300, "a" * 178 + "é"]  # fmt: skip


@given(IDS)
@example("a" * 180)
@example("%2E")
def test_a_name_that_was_not_cut_gives_the_id_back(document_id: str) -> None:
    name = names.encode(document_id)
    assert names.decode(name) == (None if "%~" in name else document_id)
    assert len(name) <= 180 + 2 + 40


@given(IDS)
def test_names_are_harmless(document_id: str) -> None:
    name, ref = names.encode(document_id), names.ref_encode(document_id)
    assert re.fullmatch(r"[A-Za-z0-9_.%~-]+", name)
    assert not name.startswith(".")
    assert not name.endswith(".")
    assert "." not in ref


def test_hostile_ids_never_meet() -> None:
    long = ["a" * 300 + end for end in "bc"]
    ids = HOSTILE + long
    assert len({names.encode(one) for one in ids}) == len(ids)
    assert len({names.ref_encode(one) for one in ids}) == len(ids)


@pytest.mark.parametrize(
    ("document_id", "name"),
    [
        ("nightly", "nightly"),
        ("v1.2", "v1.2"),
        ("..", "%2E%2E"),
        (".git", "%2Egit"),
        ("a/b", "a%2Fb"),
        ("é", "%C3%A9"),
        ("\ud800", "%ED%A0%80"),
    ],
)
def test_names_that_the_format_promises(document_id: str, name: str) -> None:
    assert names.encode(document_id) == name


@pytest.mark.parametrize(
    ("document_id", "name"),
    [
        ("nightly", "nightly"),
        ("v1.2", "v1%2E2"),
        ("a~b", "a%7Eb"),
        ("%_", "%25_"),
        ("\ud800", "%ED%A0%80"),
        ("a" * 180, "a" * 180),
    ],
)
def test_names_in_refs_that_the_format_promises(document_id: str, name: str) -> None:
    assert names.ref_encode(document_id) == name
    assert names.ref_decode(name) == document_id


def test_a_name_that_was_cut_is_its_beginning_and_a_hash() -> None:
    for length in (181, 300):
        digits = sha256(b"a" * length).hexdigest()[:40]
        assert names.encode("a" * length) == f"{'a' * 180}%~{digits}" and names.is_cut(f"{'a' * 180}%~{digits}")
        assert names.ref_encode("a" * length) == f"{'a' * 180}%_{digits}"
        assert names.ref_decode(f"{'a' * 180}%_{digits}") is None
    assert names.encode("a" * 179 + ".a") == "a" * 179 + "." + "%~" + sha256(b"a" * 179 + b".a").hexdigest()[:40]
    assert names.encode("a" * 177 + "/") == "a" * 177 + "%2F" and not names.is_cut("a" * 177 + "%2F")
    assert names.encode("/" * 61) == "%2F" * 60 + "%~" + sha256(b"/" * 61).hexdigest()[:40]


@pytest.mark.parametrize("name", ["", "v1.2", "%2e", "%41", "%FF", "%_ab", "\u00e9", "a" * 181])
def test_a_component_of_a_ref_that_nobody_encoded_stands_for_no_id(name: str) -> None:
    assert names.ref_decode(name) is None


def test_a_cut_never_goes_through_an_escape() -> None:
    for length in range(170, 181):
        head = names.encode("a" * length + "/" * 20).partition("%~")[0]
        assert len(head) in (178, 179, 180)
        assert re.fullmatch(r"a+(%2F)*", head)


@pytest.mark.parametrize("name", ["", "a b", "%2e", "%41", "%", "%2", ".git", "a.", "%FF", "%~ab", "é", "a" * 181])
def test_a_name_that_nobody_encoded_stands_for_no_id(name: str) -> None:
    assert names.decode(name) is None


@pytest.mark.parametrize("document_id", ["", None, 1, b"a"])
def test_an_id_is_a_text_that_is_not_empty(document_id: object) -> None:
    for encode in (names.encode, names.ref_encode):
        with pytest.raises(InvalidInputError, match="not empty"):
            encode(document_id)  # type: ignore[arg-type]


def test_git_takes_every_name(tmp_path: Path) -> None:
    for document_id in HOSTILE:
        (tmp_path / names.encode(document_id)).mkdir()
        ref = f"refs/gitstate/rescue/{names.ref_encode(document_id)}/{'a' * 40}"
        subprocess.run(["git", "check-ref-format", ref], check=True)
    assert len(list(tmp_path.iterdir())) == len(HOSTILE)


def test_fan_takes_hex_digits_of_the_hash() -> None:
    assert names.fan("nightly", 0) == ""
    assert names.fan("nightly", 2) == "2/a"
    assert names.fan("nightly", 4).startswith(names.fan("nightly", 2) + "/")
