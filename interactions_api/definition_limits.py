"""Discord's limits on command definitions, so that a mistake is found by a test and not by Discord. Pure.

https://discord.com/developers/docs/interactions/application-commands#application-command-object
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from interactions_api.words import DISCORD_LOCALES

Definition = dict[str, Any]

CHAT_INPUT, MOST_CHAT_INPUT = 1, 100
MOST_OPTIONS = MOST_CHOICES = 25
MOST_CHARACTERS = 8000
CONTEXTS, INTEGRATION_TYPES = {0, 1, 2}, {0, 1}
STRING, INTEGER, NUMBER = 3, 4, 10


def problems(definitions: Sequence[Definition]) -> list[str]:
    """One sentence, beginning with the field, for everything Discord would refuse; empty if it would take them."""
    found = [problem for definition in definitions for problem in _command(definition)]
    names = Counter((definition.get("type", CHAT_INPUT), definition.get("name")) for definition in definitions)
    found += [f"{name}: the name stands twice" for (_, name), times in names.items() if times > 1]
    if len(definitions) > MOST_CHAT_INPUT:
        found.append(f"{len(definitions)} commands are more than {MOST_CHAT_INPUT}")
    return found


def _command(definition: Definition) -> Iterator[str]:
    where = str(definition.get("name"))
    yield from _named(definition, where)
    yield from _options(definition.get("options", []), where)
    if not set(definition.get("contexts", [])) <= CONTEXTS:
        yield f"{where}.contexts: takes only {sorted(CONTEXTS)}"
    if not set(definition.get("integration_types", [])) <= INTEGRATION_TYPES:
        yield f"{where}.integration_types: takes only {sorted(INTEGRATION_TYPES)}"
    if (characters := _characters(definition)) > MOST_CHARACTERS:
        yield f"{where}: {characters} characters in all are more than {MOST_CHARACTERS}"


def _named(fields: Definition, where: str) -> Iterator[str]:
    for field, check in (("name", _name_problem), ("description", _description_problem)):
        texts = {None: fields.get(field), **fields.get(f"{field}_localizations", {})}
        for locale, text in texts.items():
            place = f"{where}.{field}" if locale is None else f"{where}.{field}_localizations.{locale}"
            if locale is not None and locale not in DISCORD_LOCALES:
                yield f"{place}: is no locale of Discord's"
            if (problem := check(text)) is not None:
                yield f"{place}: {problem}"


def _name_problem(text: Any) -> str | None:
    if not isinstance(text, str) or not 1 <= len(text) <= 32:
        return "takes 1 to 32 characters"
    if not all(_in_names(character) for character in text):
        return "takes only letters, digits, '-', '_' and apostrophes"
    return None if text == text.lower() else "has a letter with a lower-case form"


def _in_names(character: str) -> bool:
    """Discord's `[-_'\\p{L}\\p{N}\\p{sc=Deva}\\p{sc=Thai}]`."""
    if character in "-_'" or unicodedata.category(character)[0] in "LN":
        return True
    return bool(re.match("[\u0900-\u0950\u0955-\u0963\u0966-\u097f\ua8e0-\ua8ff\u0e01-\u0e3a\u0e40-\u0e5b]", character))


def _description_problem(text: Any) -> str | None:
    return None if isinstance(text, str) and 1 <= len(text) <= 100 else "takes 1 to 100 characters"


def _options(options: Sequence[Definition], where: str) -> Iterator[str]:
    if len(options) > MOST_OPTIONS:
        yield f"{where}.options: {len(options)} are more than {MOST_OPTIONS}"
    names = Counter(option.get("name") for option in options)
    yield from (f"{where}.options: the name {name} stands twice" for name, times in names.items() if times > 1)
    optional_seen = False
    for option in options:
        place = f"{where}.{option.get('name')}"
        yield from _named(option, place)
        if option.get("required", False) and optional_seen:
            yield f"{place}: is required and stands behind an optional one"
        optional_seen = optional_seen or not option.get("required", False)
        yield from _choices(option, place)
        yield from _options(option.get("options", []), place)


def _choices(option: Definition, where: str) -> Iterator[str]:
    choices = option.get("choices", [])
    if choices and option.get("autocomplete"):
        yield f"{where}: has both choices and autocomplete"
    if choices and option.get("type") not in (STRING, INTEGER, NUMBER):
        yield f"{where}: has choices, which only text and numbers can have"
    if len(choices) > MOST_CHOICES:
        yield f"{where}.choices: {len(choices)} are more than {MOST_CHOICES}"
    for choice in choices:
        for text in (choice.get("name"), *choice.get("name_localizations", {}).values()):
            if not isinstance(text, str) or not 1 <= len(text) <= 100:
                yield f"{where}.choices.{choice.get('value')}.name: takes 1 to 100 characters"
        value = choice.get("value")
        if option.get("type") == STRING and not (isinstance(value, str) and 1 <= len(value) <= 100):
            yield f"{where}.choices.{value}.value: takes 1 to 100 characters"


def _characters(fields: Definition) -> int:
    """Names, descriptions and values; of each localised field the longest language counts."""
    total = 0
    for field in ("name", "description"):
        texts = [fields.get(field, ""), *fields.get(f"{field}_localizations", {}).values()]
        total += max(len(str(text)) for text in texts)
    if isinstance(fields.get("value"), str):
        total += len(fields["value"])
    return total + sum(_characters(part) for part in [*fields.get("options", []), *fields.get("choices", [])])
