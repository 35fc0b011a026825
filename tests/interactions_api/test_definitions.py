"""What `register` publishes keeps Discord's limits; the check finds what breaks them."""

from __future__ import annotations

import copy

import pytest

from interactions_api.commands import COMMANDS, definitions
from interactions_api.definition_differences import differences, entry_points, for_guild
from interactions_api.definition_limits import problems
from interactions_api.discord_errors import explained
from interactions_api.words import Catalogues

OURS = definitions(Catalogues.load())


def test_our_definitions_keep_every_limit():
    """As Discord documents them."""
    assert problems(OURS) == []


def test_what_everybody_has_a_right_to_works_without_a_server_and_nothing_else():
    """Commands about oneself alone work in the bot's direct messages, also from one's own account, as Discord wants
    it of people who share no server with the bot. All is said, because Discord's bulk defaults are wider.
    """
    assert [definition["name"] for definition in OURS] == [command.NAME for command in COMMANDS]
    where = {definition["name"]: (definition["contexts"], definition["integration_types"]) for definition in OURS}
    alone = {"opt_out", "my_data", "erase_me", "privacy"}
    assert where == {name: ([0, 1], [0, 1]) if name in alone else ([0], [0]) for name in where}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "Opt"}, "Opt.name"),
        ({"name": "opt in"}, "opt in.name"),
        ({"name": ""}, ".name"),
        ({"name": "x" * 33}, "x.name"),
        ({"name": "opt!"}, "opt!.name"),
        ({"description": ""}, "opt_in.description"),
        ({"description": "d" * 101}, "opt_in.description"),
        ({"name_localizations": {"de": "Zustimmen"}}, "opt_in.name_localizations.de"),
        ({"name_localizations": {"xx": "x"}}, "opt_in.name_localizations.xx"),
        ({"contexts": [7]}, "opt_in.contexts"),
        ({"integration_types": [2]}, "opt_in.integration_types"),
        ({"options": [{"type": 3, "name": f"o{i}", "description": "d"} for i in range(26)]}, "opt_in.options"),
        ({"options": [{"type": 3, "name": "o", "description": "d"}] * 2}, "opt_in.options"),
        (
            {
                "options": [
                    {"type": 3, "name": "a", "description": "d"},
                    {"type": 3, "name": "b", "description": "d", "required": True},
                ]
            },
            "opt_in.b",
        ),
        (
            {
                "options": [
                    {
                        "type": 3,
                        "name": "a",
                        "description": "d",
                        "choices": [{"name": "n" * 100, "value": f"{i:0100}"} for i in range(26)],
                    }
                ]
            },
            "opt_in.a.choices",
        ),
        (
            {"options": [{"type": 5, "name": "a", "description": "d", "choices": [{"name": "n", "value": "v"}]}]},
            "opt_in.a",
        ),
        (
            {
                "options": [
                    {
                        "type": 3,
                        "name": "a",
                        "description": "d",
                        "autocomplete": True,
                        "choices": [{"name": "", "value": ""}],
                    }
                ]
            },
            "opt_in.a",
        ),
        (
            {
                "options": [
                    {
                        "type": 3,
                        "name": f"o{i}",
                        "description": "d" * 100,
                        "choices": [{"name": "n" * 100, "value": "v" * 100}] * 2,
                    }
                    for i in range(16)
                ]
            },
            "opt_in: ",
        ),
    ],
)
def test_what_discord_would_refuse_is_found_and_named(change, field):
    """The line begins with the field."""
    found = problems([{**copy.deepcopy(OURS[0]), **change}])
    assert any(field in line for line in found), found


@pytest.mark.parametrize("name", ["opt_in", "über", "день", "सुनें", "ฟัง", "音声", "don't"])
def test_names_in_many_scripts_are_good(name):
    """Letters and digits of any script, lower case where there is one."""
    assert problems([{**OURS[0], "name_localizations": {"de": name}}]) == []


def test_a_name_that_stands_twice_is_found():
    """Discord would refuse the whole list."""
    assert any("twice" in line for line in problems([OURS[0], OURS[0]]))


def returned(definition: dict) -> dict:
    """The definition as Discord gives it back: with ids, and without what is empty."""
    kept = {key: value for key, value in definition.items() if value not in ([], {}, None, False)}
    options = [{k: v for k, v in option.items() if v is not False} for option in kept.pop("options", [])]
    return {**kept, "id": "1", "application_id": "2", "version": "3", "nsfw": False, "options": options}


def test_what_discord_gives_back_is_no_difference():
    """Ids, versions, defaults and left-out empty fields are Discord's affair."""
    assert differences(OURS, [returned(definition) for definition in OURS]) == []


def test_differences_name_command_and_field():
    """New, gone and changed commands, each on a line."""
    theirs = [returned(OURS[0]), {"name": "old", "type": 1, "description": "gone"}]
    theirs[0] = {**theirs[0], "description": "before", "name_localizations": {"de": "x"}}
    assert differences(OURS[:2], theirs) == [
        "+ /opt_out",
        "- /old",
        f'~ /opt_in description: "before" -> "{OURS[0]["description"]}"',
        '~ /opt_in name_localizations: {"de": "x"} -> {"de": "zustimmen"}',
    ]


def test_a_guilds_own_commands_know_no_contexts():
    """Discord takes those two fields for global commands only."""
    assert all("contexts" not in d and "integration_types" not in d for d in for_guild(OURS))


def test_the_entry_point_of_an_activity_is_not_ours_to_remove():
    """Discord refuses a bulk overwrite that leaves it out."""
    assert entry_points([{"name": "launch", "type": 4}, {"name": "opt_in", "type": 1}]) == [
        {"name": "launch", "type": 4}
    ]


def test_nested_errors_are_explained_by_field():
    """Discord's numbers become the names of the commands and options."""
    errors = {
        "0": {
            "options": {
                "0": {"description": {"_errors": [{"code": "BASE_TYPE_BAD_LENGTH", "message": "Must be 1 to 100."}]}}
            }
        },
        "1": {
            "name": {"_errors": [{"code": "APPLICATION_COMMAND_INVALID_NAME", "message": "Command name is invalid"}]}
        },
    }
    assert explained({"code": 50035, "message": "Invalid Form Body", "errors": errors}, OURS) == [
        "opt_in.options.visibility.description: Must be 1 to 100. (BASE_TYPE_BAD_LENGTH)",
        "opt_out.name: Command name is invalid (APPLICATION_COMMAND_INVALID_NAME)",
    ]


@pytest.mark.parametrize(
    "body", [None, [], "text", {}, {"errors": 5}, {"errors": {"x": 5}}, {"message": "no", "code": 1}]
)
def test_an_error_of_another_shape_is_explained_too(body):
    """Whatever came back, there is a line to print."""
    assert explained(body, OURS)
