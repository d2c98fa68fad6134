"""The pictures show what the program shows."""

import pytest

from tests.docs import pictures
from tests.docs.pages import shows


@pytest.fixture(scope="module")
def drawn(hermetic_home: object) -> dict[str, str]:
    return pictures.drawn()


@pytest.mark.parametrize("name", pictures.PICTURES)
def test_a_picture_is_up_to_date(drawn: dict[str, str], name: str) -> None:
    committed = (pictures.FOLDER / f"{name}.svg").read_text(encoding="utf-8")
    expected, actual = pictures.text_of(committed), pictures.text_of(drawn[name])
    assert shows(expected, actual), f"run `make pictures`; it shows\n{expected}\nand not\n{actual}"


@pytest.mark.parametrize("name", pictures.PICTURES)
def test_a_picture_can_be_read_anywhere(name: str) -> None:
    svg = (pictures.FOLDER / f"{name}.svg").read_text(encoding="utf-8")
    assert svg.count("http") == svg.count("http://www.w3.org/2000/svg"), "nothing is fetched"
    assert 'rect fill="#' in svg, "it has a ground of its own, for light pages and dark ones"
    assert len(svg) < 32_000
    assert max(map(len, pictures.text_of(svg).splitlines())) <= 96


def test_every_picture_is_drawn_by_the_script() -> None:
    assert sorted(path.stem for path in pictures.FOLDER.iterdir()) == sorted(pictures.PICTURES)
