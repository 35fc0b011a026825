"""What each command keeps, asks and says, as values."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence

import pytest

from db_client.records import ChannelRecording, ConsentDecision
from db_client.snowflake import created_at
from interactions_api.commands import BY_NAME, opt_in, opt_out
from interactions_api.commands.telling_privacy import where_shown
from interactions_api.interaction import Command, parse
from interactions_api.plan import Plan, Say
from interactions_api.reply import Message
from interactions_api.words import Catalogues, Operator
from tests.interactions_api.discord import ADA, GUILD, body, command, user

CATALOGUES = Catalogues.load()
ENGLISH, GERMAN = CATALOGUES.of("en-US"), CATALOGUES.of("de")
SINCE = 1_700_000_000_000


def parsed(name: str, *, permissions: int = 0, **fields) -> Command:
    used = command(name, **fields)
    used["member"]["permissions"] = str(permissions)
    interaction = parse(body(used))
    assert isinstance(interaction, Command)
    return interaction


def row(interaction_id: int, *, opted_in: bool, shown: Sequence[tuple[int, int]] = ()) -> dict:
    return {"opted_in": int(opted_in), "since": SINCE, "version": interaction_id, "shown": json.dumps(shown)}


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
            guild_id=GUILD,
        ),
    )


def test_without_a_choice_nothing_is_chosen():
    """So what was chosen before stays, and somebody who never chose shows it to nobody."""
    plan = opt_in.handle(used := parsed("opt_in"), ENGLISH)
    assert isinstance(plan, Plan)
    [decision] = plan.records
    assert isinstance(decision, ConsentDecision)
    assert (decision.visibility, decision.show_past) == (None, False)
    said = plan.stored([[row(used.id, opted_in=True)]])
    assert "On this server **only you** see your time." in said
    assert "On other servers **only you** see it." in said


@pytest.mark.parametrize("choice", ["only_me", "server", "everywhere"])
@pytest.mark.parametrize("past", [{}, {"show_past": False}, {"show_past": True}])
def test_a_choice_is_kept_for_its_server(choice, past):
    """The past is shown by a word of its own alone."""
    plan = opt_in.handle(parsed("opt_in", options={"visibility": choice, **past}), ENGLISH)
    assert isinstance(plan, Plan)
    [decision] = plan.records
    assert isinstance(decision, ConsentDecision)
    assert (decision.visibility, decision.guild_id) == (choice, GUILD)
    assert decision.show_past == past.get("show_past", False)


def test_the_past_is_shown_to_nobody_whom_nobody_named():
    """`show_past` by itself would have to guess to whom."""
    said = opt_in.handle(parsed("opt_in", options={"show_past": True}), ENGLISH)
    assert isinstance(said, Say)
    assert "Nothing was kept" in str(said.content)
    assert "`visibility`" in str(said.content)


def test_the_reply_says_who_sees_it_here_and_elsewhere_and_from_when_on():
    """Whatever was chosen where: the truth about this server first, then about the others."""
    used = parsed("opt_in")
    now, before = created_at(used.id), created_at(used.id) - 86_400_000
    nobody, elsewhere = "On this server **only you** see your time.", "On other servers **only you** see it."
    here, since = "On this server **its members** see your time", f"since <t:{before // 1000}:f>."
    for shown, lines in (
        ([], [nobody, elsewhere]),
        ([(GUILD, now)], [f"{here}: from now on.", elsewhere]),
        ([(GUILD, before)], [f"{here}: what was recorded {since}", elsewhere]),
        ([(GUILD, 0)], [f"{here}: all of it, from the beginning.", elsewhere]),
        ([(5, 0), (6, now)], [nobody, "On other servers members see it where you chose so (servers: **2**)."]),
        (
            [(0, now), (5, 0)],
            [f"{here}: from now on.", "On every server with this bot **its members** see your time: from now on."],
        ),
        (
            [(0, now), (GUILD, before)],
            [
                f"{here}: what was recorded {since}",
                "On every server with this bot **its members** see your time: from now on.",
            ],
        ),
    ):
        said = opt_in.handle(used, ENGLISH).stored([[row(used.id, opted_in=True, shown=shown)]])
        assert said.splitlines()[1:3] == lines


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
    said = plan.stored([[row(used.id, opted_in=True)]])
    for part in (r"a\_da", r"\*Ada\*", "<t:1700000000:f>", "`/opt_out`", "no picture"):
        assert part in said


OPERATORS = (Operator(), Operator("https://bot.example.org/privacy-policy", "privacy@bot.example.org"))


@pytest.mark.parametrize("operator", OPERATORS, ids=["unnamed", "named"])
@pytest.mark.parametrize("language", sorted(CATALOGUES.words))
@pytest.mark.parametrize("end", ["stored", "kept", "unread"])
def test_whoever_opts_in_learns_in_one_short_message_what_discord_asks_for(language, operator, end):
    """What is stored (each column of a session has its word), who reads it, how old one must be, where more is said
    and whom to ask; 900 characters with ordinary names, as it is read on a phone.
    """
    words = CATALOGUES.words[language]._replace(operator=operator)
    plan = opt_in.handle(used := parsed("opt_in", by=user(name="bartholomew_77", global_name="Bartholomew")), words)
    assert isinstance(plan, Plan)
    stood = plan.stored([[row(used.id, opted_in=True, shown=[(0, created_at(used.id)), (GUILD, 1)])]])
    said = {"stored": stood, "kept": plan.sentences.kept, "unread": plan.sentences.unread}[end]
    assert isinstance(said, str)
    assert len(said) <= 900
    parts = {
        "en": "your ID|username|display name|picture|each decision|join, switch and leave|muted|deafened|on camera"
        "|streaming|AFK channel|three or more people|Whoever runs this bot|13|/opt_out|/erase_me|/my_data|Contact",
        "de": "ID|Benutzername|Anzeigename|Bild|jede Entscheidung|betrittst, wechselst und verlässt|stumm|taub"
        "|Kamera|Streamen|AFK-Kanal|drei oder mehr Personen|Wer diesen Bot betreibt|13|/widerrufen|/alles_löschen"
        "|/meine_daten|Kontakt",
    }[language]
    for part in [*parts.split("|"), *(operator if operator.contact else [f"/{words('privacy.name')}"])]:
        assert str(part) in said, part


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


@pytest.mark.parametrize(("name", "option"), [("leaderboard", "channel"), ("settings", "do_not_record")])
def test_only_a_channel_that_discord_resolved_is_taken(name, option):
    """What is typed into a request by hand may be a channel of another server, or one that the person may not see."""
    for channels in ({}, {8: "Quiet"}):
        used = parsed(name, permissions=1 << 5, options={option: "7"}, channels=channels)
        assert BY_NAME[name].handle(used, ENGLISH) == Say(ENGLISH("unknown_choice"))


def test_the_name_of_an_excluded_channel_is_kept_with_the_decision():
    """For the day when its mention says nothing; of one that is recorded again nothing is kept."""
    channels = {7: "Quiet", 8: "Loud"}
    used = parsed("settings", permissions=1 << 5, options={"do_not_record": "7", "record": "8"}, channels=channels)
    plan = BY_NAME["settings"].handle(used, ENGLISH)
    assert isinstance(plan, Plan)
    assert plan.records == (
        ChannelRecording(used.id, GUILD, 7, False, "Quiet"),
        ChannelRecording(used.id, GUILD, 8, True, None),
    )


@pytest.mark.parametrize("words", [ENGLISH, GERMAN], ids=["en", "de"])
@pytest.mark.parametrize("everywhere", [0, SINCE])
@pytest.mark.parametrize("others", [*itertools.product([None, 0, SINCE - 1, SINCE, SINCE + 1], repeat=2)])
def test_what_is_shown_everywhere_is_not_said_to_be_less_than_is_shown_on_another_server(words, everywhere, others):
    """What was chosen there before, and goes further back, goes on; there, here and in direct messages it is said."""
    own = [(GUILD + number, shown_from) for number, shown_from in enumerate(others, 1) if shown_from is not None]
    further = sum(shown_from < everywhere for _, shown_from in own)
    for guild in (GUILD, None):
        said = where_shown(words, row(1, opted_in=True, shown=[(0, everywhere), *own]), guild, SINCE + 9)
        assert (words("shown.longer", number=str(further)) in said.split("\n")) is (further > 0)
