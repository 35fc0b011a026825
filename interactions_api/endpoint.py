"""From a verified body to the response: parse, choose who handles it, carry it out. Knows no HTTP."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from db_client.snowflake import created_at
from interactions_api import reply
from interactions_api.buttons import Buttons, Pressed
from interactions_api.carrying_out import CarryingOut
from interactions_api.commands import BY_NAME, PRESSES, SUGGESTIONS
from interactions_api.commands.definition import PERSONAL
from interactions_api.interaction import (
    Address,
    Autocomplete,
    Command,
    Component,
    Interaction,
    Malformed,
    Other,
    Ping,
    parse,
)
from interactions_api.plan import Later, Plan, Say
from interactions_api.words import Catalogues, Words
from program.logs import cause

log = logging.getLogger(__name__)


class Answer(NamedTuple):
    """The response, and what it answered and how it ended, as words for metrics."""

    response: reply.Response
    kind: str
    end: str


class Endpoint:
    """Answers interactions of every kind; a failure of ours becomes an answer too.

    `follow_up` begins what comes later; False if it cannot be begun now. `heard` is told when each interaction was
    made, in milliseconds since 1970 UTC by Discord's clock.
    """

    def __init__(
        self,
        carry_out: CarryingOut,
        catalogues: Catalogues,
        buttons: Buttons,
        follow_up: Callable[[Later, Address], bool],
        heard: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._carry_out = carry_out
        self._catalogues = catalogues
        self._buttons = buttons
        self._follow_up = follow_up
        self._heard = heard

    def answer(self, body: bytes, deadline: float) -> Answer:
        """The answer to a body whose signature was verified, by a moment of `time.monotonic`; raises only Malformed."""
        words = self._catalogues.default
        try:
            interaction = parse(body)
            if isinstance(interaction, Ping):
                return Answer(reply.pong(), "ping", "answered")
            if not isinstance(interaction, Other):
                self._heard(created_at(interaction.id))
            if isinstance(interaction, Autocomplete):
                return Answer(reply.choices(_suggestions(interaction)), "autocomplete", "answered")
            words = self._catalogues.of(interaction.locale)
            if isinstance(interaction, Other):
                return Answer(reply.message(words("unknown_component")), "other", "unknown")
            if isinstance(interaction, Component):
                return self._answer_press(interaction, words, deadline)
            return self._answer_command(interaction, words, deadline)
        except Malformed:
            raise
        except Exception as problem:  # noqa: BLE001 - the person waits, and is told
            log.error("an interaction failed", extra=cause(problem))
            return Answer(reply.message(words("failed")), "failed", "failed")

    def _answer_command(self, command: Command, words: Words, deadline: float) -> Answer:
        handler = BY_NAME.get(command.name)
        if handler is None:
            return Answer(reply.message(words("unknown_command")), "command", "unknown")
        if command.guild_id is None and handler.NAME not in PERSONAL:
            return Answer(reply.message(words("only_in_server")), handler.NAME, "not_in_guild")
        return self._carried_out(handler.handle(command, words), command, handler.NAME, words, deadline)

    def _answer_press(self, press: Component, words: Words, deadline: float) -> Answer:
        button = self._buttons.pressed(press.custom_id, press.member.user_id, created_at(press.id))
        if not isinstance(button, Pressed):
            said = {"foreign": "foreign_button", "expired": "expired_button"}.get(button, "unknown_component")
            return Answer(reply.message(words(said)), "component", button)
        handler = PRESSES.get(button.action)
        if handler is None or (press.guild_id is None and button.action not in PERSONAL):
            return Answer(reply.message(words("unknown_component")), "component", "unknown")
        return self._carried_out(handler(press, button.argument, words), press, button.action, words, deadline)

    def _carried_out(
        self, plan: Plan | Say, interaction: Interaction, kind: str, words: Words, deadline: float
    ) -> Answer:
        said, end = (plan.content, "answered") if isinstance(plan, Say) else self._carry_out(plan, deadline)
        if isinstance(said, Later):
            if self._follow_up(said, interaction.address):
                return Answer(reply.thinking(), kind, "deferred")
            said, end = said.busy, "busy"
        now = created_at(interaction.id)
        return Answer(
            reply.message(said, lambda button: self._buttons.custom_id(button, interaction.member.user_id, now)),
            kind,
            end,
        )


def _suggestions(typed: Autocomplete) -> Sequence[tuple[str, str]]:
    suggest = SUGGESTIONS.get(typed.name)
    return suggest(typed) if suggest else []
