"""What each command keeps, asks and says, as values."""

from __future__ import annotations

import pytest

from db_client.records import ConsentDecision
from db_client.snowflake import created_at
from interactions_api.commands import opt_in, opt_out
from interactions_api.interaction import Command, parse
from interactions_api.plan import Plan, Say
from interactions_api.reply import Message
from interactions_api.words import Catalogues
from tests.interactions_api.discord import ADA, body, command, user

CATALOGUES = Catalogues.load()
ENGLISH, GERMAN = CATALOGUES.of("en-US"), CATALOGUES.of("de")
SINCE = 1_700_000_000_000


def parsed(name: str, **fields) -> Command:
    interaction = parse(body(command(name, **fields)))
    assert isinstance(interaction, Command)
    return interaction


def row(interaction_id: int, *, opted_in: bool, visibility: str = "only_me") -> dict:
    return {"opted_in": int(opted_in), "since": SINCE, "version": interaction_id, "visibility": visibility}


def test_opt_in_keeps_the_decision_with_the_profile():
    """The interaction's id is the write's id; the nickname of one guild is not kept."""
    used = parsed("opt_in", by=user(avatar="8342729096ea3675442027381ff50dfe"), options={"visibility": "server"})
    plan = opt_in.handle(used, ENGLISH)
    assert isinstance(plan, Plan)
    assert plan.records == (
        ConsentDecision(
            interaction_id=used.id,
            user_id=ADA,
            decision="in",
            username="ada",
            display_name="Ada",
            avatar_url=f"https://cdn.discordapp.com/avatars/{ADA}/8342729096ea3675442027381ff50dfe.png",
            visibility="server",
        ),
    )


def test_without_a_choice_nobody_else_sees_the_time():
    """The default is the careful one."""
    plan = opt_in.handle(parsed("opt_in"), ENGLISH)
    assert isinstance(plan, Plan)
    [decision] = plan.records
    assert isinstance(decision, ConsentDecision)
    assert decision.visibility == "only_me"


@pytest.mark.parametrize("choice", ["everyone", "", 1, True])
def test_a_choice_that_is_not_offered_keeps_nothing(choice):
    """Nothing is guessed about who may see something."""
    used = parsed("opt_in", options={"visibility": choice})
    assert opt_in.handle(used, ENGLISH) == Say(ENGLISH("unknown_choice"))


def test_the_opt_in_that_stands_is_told_with_what_is_stored():
    """Names, since when, who sees it, and how to leave."""
    used = parsed("opt_in", by=user(name="a_da", global_name="*Ada*"))
    plan = opt_in.handle(used, ENGLISH)
    assert isinstance(plan, Plan)
    said = plan.stored([[row(used.id, opted_in=True, visibility="server")]])
    for part in (r"a\_da", r"\*Ada\*", "<t:1700000000:f>", "the members of this server", "`/opt_out`", "no picture"):
        assert part in said


def test_an_opt_in_that_a_newer_decision_overrules_does_not_claim_to_stand():
    """Whether the newer decision opted out or erased everything."""
    used = parsed("opt_in")
    plan = opt_in.handle(used, ENGLISH)
    assert isinstance(plan, Plan)
    moment = f"<t:{created_at(used.id) // 1000}:f>"
    for rows in ([], [row(used.id + 1, opted_in=False)]):
        said = plan.stored([rows])
        assert "not being recorded" in said
        assert moment in said


def test_an_opt_out_that_stands_is_told():
    """Since when, that earlier records stay, and how to come back."""
    plan = opt_out.handle(used := parsed("opt_out"), ENGLISH)
    assert plan.records == (ConsentDecision(interaction_id=used.id, user_id=ADA, decision="out"),)
    said = plan.stored([[row(used.id, opted_in=False)]])
    assert isinstance(said, Message)
    for part in ("opted out", "<t:1700000000:f>", "kept", "`/opt_in`"):
        assert part in said.content
    assert [(button.action, button.argument) for button in said.buttons] == [("erase_me", "ask")]


def test_an_opt_out_of_somebody_of_whom_nothing_is_stored_says_so():
    """There is nothing to stop and nothing to keep."""
    assert "No voice times of yours" in opt_out.handle(parsed("opt_out"), ENGLISH).stored([[]])


def test_an_opt_out_that_a_newer_opt_in_overrules_does_not_claim_to_stand():
    """The person is told that they are recorded."""
    plan = opt_out.handle(used := parsed("opt_out"), ENGLISH)
    assert "**You are opted in**" in plan.stored([[row(used.id + 1, opted_in=True)]])


@pytest.mark.parametrize("handler", [opt_in, opt_out], ids=["opt_in", "opt_out"])
def test_each_end_has_a_sentence_of_its_own(handler):
    """Nobody is told one thing when another happened."""
    plan = handler.handle(parsed(handler.NAME), ENGLISH)
    ends = [plan.stored([[row(1, opted_in=True)]]), plan.stored([[row(1, opted_in=False)]])]
    ends += [plan.sentences.kept, plan.sentences.refused, plan.sentences.not_kept, plan.sentences.unread]
    assert len(set(ends)) == len(ends)
    assert "kept and will be stored shortly" in plan.sentences.kept
    assert "Nothing was kept" in plan.sentences.not_kept


def test_german_members_read_german_and_german_command_names():
    """The command that the reply names is the one that the person's Discord shows."""
    plan = opt_in.handle(used := parsed("opt_in", locale="de"), GERMAN)
    assert isinstance(plan, Plan)
    said = plan.stored([[row(used.id, opted_in=True)]])
    assert "Du hast zugestimmt" in said
    assert "`/widerrufen`" in said


def test_the_plan_of_an_interaction_is_the_same_each_time():
    """Handling reads no clock and no random number, so a repeated request writes the same record."""
    used = parsed("opt_in")
    assert opt_in.handle(used, ENGLISH).records == opt_in.handle(used, ENGLISH).records
