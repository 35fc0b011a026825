"""README.md and .env.example name exactly the settings that the programs read, and the targets that there are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from program import exits

ROOT = Path(__file__).parents[2]
SOURCES = [*sorted(ROOT.glob("*/settings.py")), ROOT / "program" / "logs.py"]
NAME = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")


def settings_read() -> set[str]:
    """The names that the settings modules hand to a call, such as `environment.text("NAME")`."""
    calls = (
        node for source in SOURCES for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.Call)
    )
    given = (argument.value for call in calls for argument in call.args if isinstance(argument, ast.Constant))
    return {value for value in given if isinstance(value, str) and NAME.fullmatch(value)}


def section(title: str) -> str:
    """The text of a README section."""
    return (ROOT / "README.md").read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_readme_has_every_setting_and_no_other() -> None:
    """An operator finds in the table what the programs read."""
    rows = re.findall(r"^\| (`[^|]*`) \|", section("Settings"), re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`([A-Z0-9_]+)`", row)} == settings_read()


def test_the_example_file_has_every_setting_and_no_other() -> None:
    """Also those that are commented out."""
    named = re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(settings_read())


def test_the_readme_has_every_exit_status_and_the_unit_keeps_to_it() -> None:
    """Where only a person can help, systemd does not start it again."""
    text = section("On one small server")
    known = {exits.ASKED, exits.AGAIN, *exits.WHAT_TO_DO}
    assert {int(status) for status in re.findall(r"^\| (\d)", text, re.MULTILINE)} == known
    (prevented,) = re.findall(r"^RestartPreventExitStatus=(.+)$", text, re.MULTILINE)
    assert {int(status) for status in prevented.split()} == exits.WHAT_TO_DO.keys()


def test_every_make_target_of_the_readme_exists() -> None:
    """A command that is promised can be run."""
    promised = set(re.findall(r"`?make ([a-z]+)", (ROOT / "README.md").read_text()))
    there = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert promised <= there, promised - there
    assert {"run", "demo", "test", "lint", "bench", "faults", "soak", "clean"} <= there


def test_every_file_the_readme_links_to_exists() -> None:
    """Relative links lead somewhere."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text())
    assert [link for link in links if not (ROOT / link).exists()] == []
