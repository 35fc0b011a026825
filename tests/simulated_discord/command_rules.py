"""Which application commands Discord accepts. Pure.

https://discord.com/developers/docs/interactions/application-commands#application-command-object
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from typing import Any

from tests.simulated_discord.form import Form, Path, Problem

CHAT_INPUT, USER, MESSAGE = 1, 2, 3
SUB_COMMAND, SUB_COMMAND_GROUP, STRING, INTEGER, BOOLEAN, USER_OPTION, CHANNEL, ROLE, MENTIONABLE, NUMBER = range(1, 11)
ATTACHMENT = 11
_MOST = {CHAT_INPUT: 100, USER: 15, MESSAGE: 15}
_MOST_CHARACTERS = 8000

# https://discord.com/developers/docs/reference#locales
_LOCALES = (
    "id da de en-GB en-US es-ES es-419 fr hr it lt hu nl no pl pt-BR ro fi "
    "sv-SE vi tr cs el bg ru uk hi th zh-CN ja zh-TW ko"
)
LOCALES = frozenset(_LOCALES.split())


def problems_with(commands: Any) -> list[Problem]:
    """Everything that is wrong with the body of a bulk overwrite: a list of commands."""
    form = Form()
    if not isinstance(commands, list):
        form.wrong((), "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType.")
        return form.problems
    names: Counter[tuple[int, str]] = Counter()
    for number, command in enumerate(commands):
        path = (str(number),)
        if form.mapping(command, path) is not None:
            _command(form, command, path)
            key = (command.get("type", CHAT_INPUT), str(command.get("name")))
            names[key] += 1
            if names[key] == 2:
                form.wrong(path, "APPLICATION_COMMANDS_DUPLICATE_NAME", "Application command names must be unique")
    for kind, most in _MOST.items():
        if sum(count for (one, _), count in names.items() if one == kind) > most:
            form.wrong((), "APPLICATION_COMMANDS_TOO_MANY", f"There may be at most {most} commands of type {kind}.")
    return form.problems


def _command(form: Form, command: dict[str, Any], path: Path) -> None:
    kind = form.integer(command, "type", path, choices=(CHAT_INPUT, USER, MESSAGE)) or CHAT_INPUT
    if kind == CHAT_INPUT:
        _name(form, command, path)
        form.string(command, "description", path, most=100, required=True)
        _localizations(form, command, "description", path)
        _options(form, command, path, depth=0)
        if characters(command) > _MOST_CHARACTERS:
            form.wrong(path, "APPLICATION_COMMAND_TOO_LARGE", "Command exceeds maximum size (8000)")
    else:
        form.string(command, "name", path, most=32, required=True)
        if command.get("description"):
            form.wrong((*path, "description"), "APPLICATION_COMMAND_CONTEXT_MENU_DESCRIPTION", "Must be empty.")
        if command.get("options"):
            form.wrong((*path, "options"), "APPLICATION_COMMAND_CONTEXT_MENU_OPTIONS", "Must be empty.")
    permissions = form.string(command, "default_member_permissions", path, most=20)
    if permissions is not None and not (permissions.isascii() and permissions.isdigit()):
        form.wrong((*path, "default_member_permissions"), "NUMBER_TYPE_COERCE", "Value is not a permission bit set.")
    form.boolean(command, "nsfw", path)
    form.boolean(command, "dm_permission", path)
    for key, allowed in (("contexts", (0, 1, 2)), ("integration_types", (0, 1))):
        for number, value in enumerate(form.items(command, key, path, least=1, most=len(allowed))):
            if type(value) is not int or value not in allowed:
                form.wrong((*path, key, str(number)), "BASE_TYPE_CHOICES", f"Value must be one of {list(allowed)}.")


def _options(form: Form, holder: dict[str, Any], path: Path, *, depth: int) -> None:
    options = form.items(holder, "options", path, most=25)
    kinds: set[bool] = set()
    optional_before = False
    names: Counter[str] = Counter()
    for number, option in enumerate(options):
        here = (*path, "options", str(number))
        if form.mapping(option, here) is None:
            continue
        kind = _option(form, option, here, depth)
        kinds.add(kind in (SUB_COMMAND, SUB_COMMAND_GROUP))
        names[str(option.get("name"))] += 1
        if names[str(option.get("name"))] == 2:
            form.wrong(here, "APPLICATION_COMMAND_OPTIONS_NAME_DUPLICATE", "Option names must be unique")
        if option.get("required") and optional_before:
            message = "Required options must be placed before non-required options"
            form.wrong(here, "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", message)
        optional_before = optional_before or not option.get("required")
    if len(kinds) == 2:
        message = "Sub-commands and options cannot be mixed"
        form.wrong((*path, "options"), "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", message)


def _option(form: Form, option: dict[str, Any], path: Path, depth: int) -> int | None:
    kind = form.integer(option, "type", path, choices=range(1, 12), required=True)
    _name(form, option, path)
    form.string(option, "description", path, most=100, required=True)
    _localizations(form, option, "description", path)
    form.boolean(option, "required", path)
    if kind in (SUB_COMMAND, SUB_COMMAND_GROUP):
        if depth >= 2 or (kind == SUB_COMMAND_GROUP and depth >= 1) or (depth == 1 and kind != SUB_COMMAND):
            form.wrong((*path, "type"), "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", "Sub-commands nest too deep")
        elif option.get("required"):
            form.wrong((*path, "required"), "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", "A sub-command is not required")
        else:
            _options(form, option, path, depth=2 if kind == SUB_COMMAND else 1)
        return kind
    if depth == 1:
        form.wrong((*path, "type"), "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", "A group holds sub-commands only")
    _choices(form, option, kind, path)
    _limits(form, option, kind, path)
    return kind


def _choices(form: Form, option: dict[str, Any], kind: int | None, path: Path) -> None:
    choices = form.items(option, "choices", path, most=25)
    autocomplete = form.boolean(option, "autocomplete", path)
    if (choices or autocomplete) and kind not in (STRING, INTEGER, NUMBER):
        form.wrong(path, "APPLICATION_COMMAND_OPTIONS_CHOICES_INVALID", "This type of option takes no choices")
    if choices and autocomplete:
        message = "Choices and autocomplete exclude each other"
        form.wrong(path, "APPLICATION_COMMAND_OPTIONS_CHOICES_INVALID", message)
    problems_with_choices(form, choices, kind, (*path, "choices"))


def problems_with_choices(form: Form, choices: list[Any], kind: int | None, path: Path) -> None:
    """Notes what is wrong with choices of an option of that type (also with an autocomplete answer)."""
    names: Counter[str] = Counter()
    for number, choice in enumerate(choices):
        here = (*path, str(number))
        if form.mapping(choice, here) is None:
            continue
        name = form.string(choice, "name", here, most=100, required=True)
        names[str(name)] += 1
        if names[str(name)] == 2:
            form.wrong(here, "APPLICATION_COMMAND_OPTIONS_CHOICE_NAMES_DUPLICATE", "Choice names must be unique")
        if kind == INTEGER:
            form.integer(choice, "value", here, required=True)
        elif kind == NUMBER:
            if isinstance(choice.get("value"), bool) or not isinstance(choice.get("value"), (int, float)):
                form.wrong((*here, "value"), "FLOAT_TYPE_CONVERT", "Value is not a number.")
        else:
            form.string(choice, "value", here, most=100, required=True)


def _limits(form: Form, option: dict[str, Any], kind: int | None, path: Path) -> None:
    for key, kinds in (
        ("min_value", (INTEGER, NUMBER)),
        ("max_value", (INTEGER, NUMBER)),
        ("min_length", (STRING,)),
        ("max_length", (STRING,)),
        ("channel_types", (CHANNEL,)),
    ):
        if option.get(key) is not None and kind not in kinds:
            form.wrong((*path, key), "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", f"Only for options of type {kinds}")


def _name(form: Form, holder: dict[str, Any], path: Path) -> None:
    name = form.string(holder, "name", path, most=32, required=True)
    if name is not None and not valid_name(name):
        form.wrong((*path, "name"), "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")
    for locale, text in _localizations(form, holder, "name", path).items():
        if not valid_name(text):
            where = (*path, "name_localizations", locale)
            form.wrong(where, "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")


def valid_name(name: str) -> bool:
    """Letters, digits, - _ ' and all of Devanagari and Thai; lower case where there is one."""
    return name == name.lower() and all(map(_allowed, name))


def _allowed(character: str) -> bool:
    if character in "-_'" or unicodedata.category(character)[0] in "LN":
        return True
    return "\u0900" <= character <= "\u097f" or "\ua8e0" <= character <= "\ua8ff" or "\u0e00" <= character <= "\u0e7f"


def _localizations(form: Form, holder: dict[str, Any], what: str, path: Path) -> dict[str, str]:
    found = holder.get(f"{what}_localizations")
    where = (*path, f"{what}_localizations")
    if found is None or form.mapping(found, where) is None:
        return {}
    checked: dict[str, str] = {}
    for locale in found:
        if locale not in LOCALES:
            form.wrong((*where, str(locale)), "BASE_TYPE_CHOICES", "There is no such locale.")
        elif (text := form.string(found, locale, where, most=32 if what == "name" else 100)) is not None:
            checked[locale] = text
    return checked


def characters(command: dict[str, Any]) -> int:
    """The size that counts against 8,000: names, descriptions and values, of the longest localisation each."""
    total = sum(_longest(command, key) for key in ("name", "description"))
    total += sum(
        len(str(choice.get("name", ""))) + len(str(choice.get("value", ""))) for choice in _dicts(command, "choices")
    )
    return total + sum(characters(option) for option in _dicts(command, "options"))


def _dicts(holder: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = holder.get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _longest(holder: dict[str, Any], key: str) -> int:
    localized = holder.get(f"{key}_localizations")
    texts = [holder.get(key), *(localized.values() if isinstance(localized, dict) else ())]
    return max((len(text) for text in texts if isinstance(text, str)), default=0)
