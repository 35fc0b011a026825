"""Which messages Discord accepts from an application: replies, follow-ups and edits alike. Pure.

https://discord.com/developers/docs/resources/message and .../interactions/receiving-and-responding
"""

from __future__ import annotations

import datetime
from typing import Any

from tests.simulated_discord.component_rules import check_components
from tests.simulated_discord.form import Form, Path

SUPPRESS_EMBEDS, EPHEMERAL, SUPPRESS_NOTIFICATIONS = 1 << 2, 1 << 6, 1 << 12
VOICE_MESSAGE, COMPONENTS_V2 = 1 << 13, 1 << 15
_SETTABLE = SUPPRESS_EMBEDS | EPHEMERAL | SUPPRESS_NOTIFICATIONS | VOICE_MESSAGE | COMPONENTS_V2
_FIELDS = "content tts embeds allowed_mentions flags components attachments poll username avatar_url thread_name"
_EMBED_FIELDS = "title type description url timestamp color footer image thumbnail video provider author fields"
_MOST_EMBED_CHARACTERS = 6000


def check_message(form: Form, data: dict[str, Any], path: Path, *, files: int = 0, edit: bool = False) -> None:
    """Notes what is wrong with a message; `files` came with it, an `edit` need not have content.

    A field that Discord does not know is noted too: Discord ignores it, and nobody would find out.
    """
    for key in set(data) - set(_FIELDS.split()):
        form.wrong((*path, key), "UNKNOWN_FIELD", "Discord knows no such field and would ignore it.")
    content = form.string(data, "content", path, least=0, most=2000)
    form.boolean(data, "tts", path)
    flags = form.integer(data, "flags", path) or 0
    if flags & ~_SETTABLE:
        form.wrong((*path, "flags"), "MESSAGE_FLAGS_INVALID", "A flag is set that applications may not set.")
    v2 = bool(flags & COMPONENTS_V2)
    embeds = form.items(data, "embeds", path, most=10)
    _check_embeds(form, embeds, (*path, "embeds"))
    check_components(form, data, path, v2=v2)
    _check_mentions(form, data, path)
    attachments = form.items(data, "attachments", path, most=10)
    for number, attachment in enumerate(attachments):
        _check_attachment(form, attachment, (*path, "attachments", str(number)), files)
    if v2 and (content or embeds or data.get("poll")):
        message = "The 'content', 'embeds' and 'poll' fields cannot be used with IS_COMPONENTS_V2"
        form.wrong(path, "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", message)
    if not (edit or content or embeds or data.get("components") or data.get("poll") or files):
        form.wrong(path, "50006", "Cannot send an empty message")


def _check_attachment(form: Form, attachment: Any, path: Path, files: int) -> None:
    if form.mapping(attachment, path) is None:
        return
    number = attachment.get("id")
    if not str(number).isdigit() or (int(str(number)) >= files and int(str(number)) < 2**22):
        form.wrong((*path, "id"), "ATTACHMENT_NOT_FOUND", "There is no such file in this request.")


def _check_embeds(form: Form, embeds: list[Any], path: Path) -> None:
    total = 0
    for number, embed in enumerate(embeds):
        here = (*path, str(number))
        if form.mapping(embed, here) is not None:
            total += _check_embed(form, embed, here)
    if total > _MOST_EMBED_CHARACTERS:
        form.wrong(path, "MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum size of 6000")


def _check_embed(form: Form, embed: dict[str, Any], path: Path) -> int:
    for key in set(embed) - set(_EMBED_FIELDS.split()):
        form.wrong((*path, key), "UNKNOWN_FIELD", "Discord knows no such field and would ignore it.")
    texts = [form.string(embed, "title", path, most=256), form.string(embed, "description", path, most=4096)]
    for key, inner, most in (("footer", "text", 2048), ("author", "name", 256)):
        if embed.get(key) is not None and form.mapping(embed[key], (*path, key)) is not None:
            texts.append(form.string(embed[key], inner, (*path, key), most=most, required=True))
    for number, field in enumerate(form.items(embed, "fields", path, most=25)):
        here = (*path, "fields", str(number))
        if form.mapping(field, here) is not None:
            texts.append(form.string(field, "name", here, most=256, required=True))
            texts.append(form.string(field, "value", here, most=1024, required=True))
            form.boolean(field, "inline", here)
    color = form.integer(embed, "color", path)
    if color is not None and not 0 <= color <= 0xFFFFFF:
        form.wrong((*path, "color"), "NUMBER_TYPE_MAX", "int value should be less than or equal to 16777215.")
    stamp = form.string(embed, "timestamp", path, most=64)
    if stamp is not None and not _is_iso8601(stamp):
        form.wrong((*path, "timestamp"), "DATETIME_TYPE_PARSE", f"Could not parse {stamp}. Should be ISO8601.")
    url = form.string(embed, "url", path, most=2048)
    if url is not None and not url.startswith(("http://", "https://")):
        form.wrong((*path, "url"), "URL_TYPE_INVALID_SCHEME", "Scheme must be one of ('http', 'https').")
    return sum(len(text) for text in texts if text)


def _is_iso8601(text: str) -> bool:
    try:
        datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return False
    return True


def _check_mentions(form: Form, data: dict[str, Any], path: Path) -> None:
    mentions = data.get("allowed_mentions")
    here = (*path, "allowed_mentions")
    if mentions is None or form.mapping(mentions, here) is None:
        return
    for key in set(mentions) - {"parse", "roles", "users", "replied_user"}:
        form.wrong((*here, key), "UNKNOWN_FIELD", "Discord knows no such field and would ignore it.")
    parse = form.items(mentions, "parse", here, most=3)
    for number, kind in enumerate(parse):
        if kind not in ("roles", "users", "everyone"):
            message = "Value must be one of {'roles', 'users', 'everyone'}."
            form.wrong((*here, "parse", str(number)), "BASE_TYPE_CHOICES", message)
    for key in ("roles", "users"):
        listed = form.items(mentions, key, here, most=100)
        for number, snowflake in enumerate(listed):
            form.snowflake({str(number): snowflake}, str(number), (*here, key), required=True)
        if listed and key in parse:
            message = f'parse:["{key}"] and {key}: [ids...] are mutually exclusive.'
            form.wrong(here, "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", message)
    form.boolean(mentions, "replied_user", here)
