"""The texts people read, by language: one file a language in `locales/`, which a translator can edit.

`locales/en.json` is complete and stands in for every language without a file. A file is named after Discord's locale
(`es-ES.json`) or, for all locales of a language, after the language (`es.json`). Braces hold what a text is given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

LOCALES = Path(__file__).parent / "locales"
DEFAULT_LANGUAGE = "en"

# https://discord.com/developers/docs/reference#locales
DISCORD_LOCALES = (
    *("bg", "cs", "da", "de", "el", "en-GB", "en-US", "es-419", "es-ES", "fi", "fr", "hi", "hr", "hu", "id", "it"),
    *("ja", "ko", "lt", "nl", "no", "pl", "pt-BR", "ro", "ru", "sv-SE", "th", "tr", "uk", "vi", "zh-CN", "zh-TW"),
)


class Operator(NamedTuple):
    """What only those who run the bot can say: where their privacy page is, and how to reach them."""

    privacy_url: str | None = None
    contact: str | None = None


NOBODY = Operator()


class Words(NamedTuple):
    """The texts of one language, and the operator whom they name."""

    texts: Mapping[str, str]
    operator: Operator = NOBODY

    def __call__(self, key: str, **values: str) -> str:
        """The text under `key` with its braces filled; raises KeyError for a key that no catalogue has."""
        return self.texts[key].format_map(values)


class Catalogues(NamedTuple):
    """All languages there are."""

    words: Mapping[str, Words]

    @classmethod
    def load(cls, folder: Path = LOCALES, operator: Operator = NOBODY) -> Catalogues:
        """Every catalogue file in the folder."""
        files = sorted(folder.glob("*.json"))
        return cls({file.stem: Words(json.loads(file.read_text("utf-8")), operator) for file in files})

    @property
    def default(self) -> Words:
        """The words used where nothing nearer is there."""
        return self.words[DEFAULT_LANGUAGE]

    def of(self, locale: str) -> Words:
        """The words for a locale: its own file, else its language's, else English."""
        return self.words.get(locale) or self.words.get(locale.partition("-")[0]) or self.default

    def localizations(self, key: str) -> dict[str, str]:
        """The text under `key` for every locale of Discord's that does not get English, as registration wants it."""
        return {locale: words(key) for locale in DISCORD_LOCALES if (words := self.of(locale)) is not self.default}
