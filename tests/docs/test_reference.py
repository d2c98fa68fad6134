"""The generated page is up to date, and every verb and option explains itself."""

import click
import pytest

from tests.docs import generate


def test_the_page_of_the_command_line_is_up_to_date() -> None:
    assert generate.PAGE.read_text(encoding="utf-8") == generate.page(), "run `make docs`"


@pytest.mark.parametrize("name, command", [(name, command) for name, command, _ in generate.every_command()])
def test_every_command_and_option_has_a_help_text(name: str, command: click.Command) -> None:
    assert command.help, f"{name} says nothing"
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts[0]} says nothing"


def test_the_page_fits_on_a_terminal() -> None:
    assert max(map(len, generate.page().splitlines())) <= 120
    for name, command, context in generate.every_command():
        assert max(map(len, command.get_help(context).splitlines())) <= 80, name
