"""Catalogues: every language says everything, with the same values, and a further language is a file."""

from __future__ import annotations

import json
import string
from pathlib import Path

import pytest

from interactions_api.commands import definitions
from interactions_api.definition_limits import problems
from interactions_api.words import LOCALES, Catalogues

CATALOGUES = Catalogues.load()


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("file", sorted(LOCALES.glob("*.json")), ids=lambda file: file.stem)
def test_every_catalogue_has_the_keys_and_values_of_english(file):
    """A text that is missing, left over, empty, or asks for another value would be found by a user."""
    english = json.loads((LOCALES / "en.json").read_text("utf-8"))
    texts = json.loads(file.read_text("utf-8"))
    assert texts.keys() == english.keys()
    for key, text in texts.items():
        assert text.strip(), key
        assert placeholders(text) == placeholders(english[key]), key
    assert len(texts["weekdays"].split()) == 7


@pytest.mark.parametrize(
    ("locale", "language"), [("de", "de"), ("en-US", "en"), ("en-GB", "en"), ("fr", "en"), ("", "en"), ("../en", "en")]
)
def test_a_locale_gets_the_nearest_language(locale, language):
    """Its own, else English."""
    assert CATALOGUES.of(locale) is CATALOGUES.words[language]


def test_a_third_language_is_a_file(tmp_path: Path):
    """A file `es.json` serves both kinds of Spanish, in replies and in the published definitions."""
    for file in LOCALES.glob("*.json"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    spanish = json.loads((LOCALES / "en.json").read_text("utf-8")) | {"opt_in.name": "participar"}
    (tmp_path / "es.json").write_text(json.dumps(spanish), "utf-8")
    catalogues = Catalogues.load(tmp_path)
    assert catalogues.of("es-419")("opt_in.name") == "participar"
    opt_in = definitions(catalogues)[0]
    assert opt_in["name"] == "opt_in"
    assert opt_in["name_localizations"] == {"de": "zustimmen", "es-419": "participar", "es-ES": "participar"}
    assert problems(definitions(catalogues)) == []


@pytest.mark.parametrize("language", sorted(CATALOGUES.words))
def test_every_text_fits_a_message_with_the_longest_values(language):
    """A name is at most 160 characters when escaped; a cut reply would not say how to leave."""
    for key, text in CATALOGUES.words[language].texts.items():
        filled = text.format_map(dict.fromkeys(placeholders(text), "n" * 170))
        assert len(filled) <= 2000, key
