"""From a verified body to the response: parse, choose who handles it, carry it out. Knows no HTTP."""

from __future__ import annotations

import logging
import traceback
from typing import NamedTuple

from interactions_api import reply
from interactions_api.carrying_out import CarryingOut
from interactions_api.commands import BY_NAME
from interactions_api.interaction import Autocomplete, Command, Component, Malformed, Other, Ping, parse
from interactions_api.plan import Say
from interactions_api.words import Catalogues, Words

log = logging.getLogger(__name__)


class Answer(NamedTuple):
    """The response, and what it answered and how it ended, as words for metrics."""

    response: reply.Response
    kind: str
    end: str


class Endpoint:
    """Answers interactions of every kind; a failure of ours becomes an answer too."""

    def __init__(self, carry_out: CarryingOut, catalogues: Catalogues) -> None:
        self._carry_out = carry_out
        self._catalogues = catalogues

    def answer(self, body: bytes, deadline: float) -> Answer:
        """The answer to a body whose signature was verified, by a moment of `time.monotonic`; raises only Malformed."""
        words = self._catalogues.default
        try:
            interaction = parse(body)
            if isinstance(interaction, Ping):
                return Answer(reply.pong(), "ping", "answered")
            if isinstance(interaction, Autocomplete):
                return Answer(reply.choices([]), "autocomplete", "answered")
            words = self._catalogues.of(interaction.locale)
            return self._answer(interaction, words, deadline)
        except Malformed:
            raise
        except Exception as problem:  # noqa: BLE001 - the person waits, and is told
            log.error("an interaction failed", extra={"problem": type(problem).__name__, "at": _where(problem)})
            return Answer(reply.message(words("failed")), "failed", "failed")

    def _answer(self, interaction: Command | Component | Other, words: Words, deadline: float) -> Answer:
        if isinstance(interaction, Other):
            return Answer(reply.message(words("unknown_component")), "other", "unknown")
        if isinstance(interaction, Component):
            return Answer(reply.message(words("unknown_component")), "component", "unknown")
        handler = BY_NAME.get(interaction.name)
        if handler is None:
            return Answer(reply.message(words("unknown_command")), "command", "unknown")
        if interaction.guild_id is None:
            return Answer(reply.message(words("only_in_server")), handler.NAME, "not_in_guild")
        plan = handler.handle(interaction, words)
        if isinstance(plan, Say):
            return Answer(reply.message(plan.content), handler.NAME, "answered")
        outcome = self._carry_out(plan, deadline)
        return Answer(reply.message(outcome.content), handler.NAME, outcome.end)


def _where(problem: Exception) -> str:
    """The places in the code that the exception passed, without its message, which may quote somebody's data."""
    frames = traceback.extract_tb(problem.__traceback__)
    return " < ".join(f"{frame.filename}:{frame.lineno}" for frame in reversed(frames))
