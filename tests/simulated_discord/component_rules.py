"""Which message components Discord accepts. Pure.

https://discord.com/developers/docs/components/reference
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.simulated_discord.form import Form, Path

ACTION_ROW, BUTTON, STRING_SELECT, TEXT_INPUT = 1, 2, 3, 4
SELECTS = (3, 5, 6, 7, 8)
SECTION, TEXT_DISPLAY, THUMBNAIL, GALLERY, FILE, SEPARATOR, CONTAINER, LABEL = 9, 10, 11, 12, 13, 14, 17, 18
_V2_TOP = (ACTION_ROW, SECTION, TEXT_DISPLAY, GALLERY, FILE, SEPARATOR, CONTAINER)
_LINK, _PREMIUM = 5, 6
_MOST_V2 = 40


def check_components(form: Form, holder: dict[str, Any], path: Path, *, v2: bool) -> None:
    """Notes what is wrong with a message's `components`; `v2` is the IS_COMPONENTS_V2 flag."""
    top = form.items(holder, "components", path, most=_MOST_V2 if v2 else 5)
    for number, component in enumerate(top):
        here = (*path, "components", str(number))
        if form.mapping(component, here) is not None:
            form.integer(component, "type", here, choices=_V2_TOP if v2 else (ACTION_ROW,), required=True)
            _component(form, component, here)
    everything = list(all_components(top))
    if v2 and len(everything) > _MOST_V2:
        form.wrong((*path, "components"), "BASE_TYPE_MAX_LENGTH", "Must be 40 or fewer in all.")
    seen: set[str] = set()
    for component in everything:
        custom_id = component.get("custom_id")
        if isinstance(custom_id, str) and custom_id in seen:
            form.wrong(
                (*path, "components"), "COMPONENT_CUSTOM_ID_DUPLICATED", "Component custom id cannot be duplicated"
            )
        seen.add(str(custom_id))


def all_components(components: Any) -> Iterator[dict[str, Any]]:
    """Every component in a list of them, those inside others too."""
    for component in components if isinstance(components, list) else ():
        if isinstance(component, dict):
            yield component
            yield from all_components(component.get("components"))
            yield from all_components([component.get("accessory"), component.get("component")])


def _component(form: Form, component: dict[str, Any], path: Path) -> None:
    kind = component.get("type")
    if kind == ACTION_ROW:
        _row(form, component, path)
    elif kind == BUTTON:
        _button(form, component, path)
    elif kind in SELECTS:
        _select(form, component, path)
    elif kind == TEXT_DISPLAY:
        form.string(component, "content", path, most=4000, required=True)
    elif kind in (SECTION, CONTAINER):
        most = 3 if kind == SECTION else _MOST_V2
        for number, child in enumerate(form.items(component, "components", path, least=1, most=most, required=True)):
            if form.mapping(child, (*path, "components", str(number))) is not None:
                _component(form, child, (*path, "components", str(number)))
        if kind == SECTION and form.mapping(component.get("accessory"), (*path, "accessory")) is not None:
            _component(form, component["accessory"], (*path, "accessory"))


def _row(form: Form, row: dict[str, Any], path: Path) -> None:
    children = form.items(row, "components", path, least=1, most=5, required=True)
    kinds = [child.get("type") if isinstance(child, dict) else None for child in children]
    if any(kind in SELECTS for kind in kinds) and len(kinds) > 1:
        form.wrong(path, "COMPONENT_LAYOUT_WIDTH_EXCEEDED", "The specified component exceeds the maximum width")
    for number, child in enumerate(children):
        here = (*path, "components", str(number))
        if form.mapping(child, here) is not None:
            form.integer(child, "type", here, choices=(BUTTON, *SELECTS), required=True)
            _component(form, child, here)


def _button(form: Form, button: dict[str, Any], path: Path) -> None:
    style = form.integer(button, "style", path, choices=range(1, 7), required=True)
    form.string(button, "label", path, least=0, most=80)
    form.boolean(button, "disabled", path)
    if style == _LINK:
        form.string(button, "url", path, most=512, required=True)
        if "custom_id" in button:
            form.wrong((*path, "custom_id"), "BUTTON_COMPONENT_INVALID", "A link button has no custom id")
    elif style != _PREMIUM:
        form.string(button, "custom_id", path, most=100, required=True)
        if "url" in button:
            form.wrong((*path, "url"), "BUTTON_COMPONENT_INVALID", "Only a link button has a URL")
    if not button.get("label") and not button.get("emoji") and style != _PREMIUM:
        form.wrong(path, "BUTTON_COMPONENT_INVALID", "A button must have a label or an emoji")


def _select(form: Form, select: dict[str, Any], path: Path) -> None:
    form.string(select, "custom_id", path, most=100, required=True)
    form.string(select, "placeholder", path, least=0, most=150)
    options: list[Any] = []
    if select.get("type") == STRING_SELECT:
        options = form.items(select, "options", path, least=1, most=25, required=True)
    values: set[str | None] = set()
    for number, option in enumerate(options):
        here = (*path, "options", str(number))
        if form.mapping(option, here) is None:
            continue
        form.string(option, "label", here, most=100, required=True)
        form.string(option, "description", here, least=0, most=100)
        value = form.string(option, "value", here, most=100, required=True)
        if value is not None and value in values:
            form.wrong(
                (*here, "value"), "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED", "The specified option value is used"
            )
        values.add(value)
    for key, least in (("min_values", 0), ("max_values", 1)):
        number_of = form.integer(select, key, path)
        if number_of is not None and not least <= number_of <= (len(options) or 25):
            form.wrong((*path, key), "NUMBER_TYPE_MAX", f"Must be from {least} to the number of options.")


def check_modal(form: Form, data: dict[str, Any], path: Path) -> None:
    """Notes what is wrong with the data of a modal."""
    form.string(data, "custom_id", path, most=100, required=True)
    form.string(data, "title", path, most=45, required=True)
    for number, outer in enumerate(form.items(data, "components", path, least=1, most=5, required=True)):
        here = (*path, "components", str(number))
        if form.mapping(outer, here) is None:
            continue
        form.integer(outer, "type", here, choices=(ACTION_ROW, TEXT_DISPLAY, LABEL), required=True)
        if outer.get("type") == LABEL:
            form.string(outer, "label", here, most=45, required=True)
    for component in all_components(data.get("components")):
        if component.get("type") == TEXT_INPUT:
            form.string(component, "custom_id", path, most=100, required=True)
            form.integer(component, "style", path, choices=(1, 2), required=True)
            form.string(component, "placeholder", path, least=0, most=100)
            form.string(component, "value", path, least=0, most=4000)
