"""demo.procfile: the Procfile is read as Foreman reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.procfile import Entry, Malformed, parse

ROOT = Path(__file__).parents[2]


def test_names_and_commands_in_the_order_of_the_file() -> None:
    """Comments and empty lines are left out; a command may hold colons and quotes."""
    text = "# programs\n\nweb: gunicorn 'a.b:create_app()'\nlistener:python -m listener\n"
    assert parse(text) == [Entry("web", "gunicorn 'a.b:create_app()'"), Entry("listener", "python -m listener")]


@pytest.mark.parametrize("text", ["web gunicorn", "web:", ": python", "a: b\na: c"])
def test_what_is_not_a_program_is_refused_with_its_line(text: str) -> None:
    """A Procfile that cannot be meant is an error that names the line."""
    with pytest.raises(Malformed, match=r"line [12]"):
        parse(text)


def test_the_projects_own_procfile_names_the_three_programs() -> None:
    """`make run`, the journeys and the operators' runners start the same three programs."""
    assert [entry.name for entry in parse((ROOT / "Procfile").read_text())] == ["sqlite", "web", "listener"]
