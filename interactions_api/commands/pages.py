"""Pages of a report, turned by buttons whose argument says what is shown and how many lines come before. Pure."""

from __future__ import annotations

from interactions_api.reply import Button
from interactions_api.words import Words


def page_buttons(
    words: Words, action: str, what: str, *, offset: int, shown: int, size: int, of_all: int
) -> tuple[Button, ...]:
    """To the lines before and behind, where there are any; `size` is how many a page has at most."""
    buttons = []
    if offset > 0:
        buttons.append(Button(words("page.before"), action, f"{what}.{max(0, offset - size)}"))
    if offset + shown < of_all:
        buttons.append(Button(words("page.behind"), action, f"{what}.{offset + shown}"))
    return tuple(buttons)


def page_of(argument: str) -> tuple[str, int]:
    """What is shown and how many lines come before, from an argument of `page_buttons`."""
    what, _, offset = argument.rpartition(".")
    return what, int(offset)
