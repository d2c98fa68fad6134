"""The generated pages are up to date, and every verb and option explains itself."""

from pathlib import Path

import click
import pytest

from gitstate.format import message
from tests.docs import generate


@pytest.mark.parametrize("path", generate.PAGES, ids=lambda path: path.name)
def test_a_generated_page_is_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == generate.PAGES[path](), "run `make docs`"


def test_every_trailer_and_event_is_explained() -> None:
    keys = [value for value in vars(message).values() if isinstance(value, str) and value.startswith("Gitstate-")]
    assert sorted(keys) == sorted(trailer.key for trailer in message.TRAILERS)
    assert list(message.EVENTS) == list(message.Event)


@pytest.mark.parametrize("name, command", [(name, command) for name, command, _ in generate.every_command()])
def test_every_command_and_option_has_a_help_text(name: str, command: click.Command) -> None:
    assert command.help, f"{name} says nothing"
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts[0]} says nothing"


def test_the_page_fits_on_a_terminal() -> None:
    assert max(map(len, generate.commands().splitlines())) <= 120
    for name, command, context in generate.every_command():
        assert max(map(len, command.get_help(context).splitlines())) <= 80, name
