"""rqlite's API as pure functions: what is sent, and what each answer means for the caller."""

from __future__ import annotations

import json

import pytest

from db_client import rqlite
from db_client.errors import OutcomeUnknown, Refused, ServiceUnavailable, StatementRefused
from db_client.statements import Statement


def test_statements_are_named_parameters_in_an_array():
    """A statement is its text and an object of its parameters."""
    encoded = rqlite.encode([Statement("SELECT :a, :b", {"a": 2**63 - 1, "b": None}), Statement("SELECT 1", {})])
    assert json.loads(encoded) == [["SELECT :a, :b", {"a": 2**63 - 1, "b": None}], ["SELECT 1", {}]]


def test_text_that_looks_like_a_blob_is_guarded_and_other_text_is_not():
    """Only the parameter that rqlite would bind as a blob is touched, at each of its places."""
    one = Statement("INSERT INTO t VALUES (:name, :name_2, :name)", {"name": "X'00ff'", "name_2": "plain"})
    assert json.loads(rqlite.encode_statement(one)) == [
        "INSERT INTO t VALUES (substr(:name, 2), :name_2, substr(:name, 2))",
        {"name": ".X'00ff'", "name_2": "plain"},
    ]


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, float("nan"), float("inf")])
def test_what_cannot_cross_the_wire_is_told(value):
    """A number that the service would change on the way is refused before it is sent."""
    with pytest.raises(rqlite.Unsendable):
        rqlite.encode([Statement("SELECT :a", {"a": value})])


def answered(body: object, *, sent: int = 1, status: int = 200, from_service: bool = True):
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return rqlite.results_of(status, text, sent=sent, from_service=from_service)


def test_success_is_a_result_without_error_for_each_statement():
    """The elements come back as they are; an empty one is a success too."""
    assert answered({"results": [{}, {"rows_affected": 1}]}, sent=2) == [{}, {"rows_affected": 1}]


@pytest.mark.parametrize(
    "error", ["leadership lost while committing log", "stale read", "read protobuf length: i/o timeout", "not leader"]
)
def test_an_error_of_the_request_with_status_200_is_an_unknown_outcome(error):
    """It may have been applied: the same write is sent again."""
    with pytest.raises(OutcomeUnknown):
        answered({"results": [], "error": error})


@pytest.mark.parametrize("error", ["disallowed pragma", "FOREIGN KEY constraint failed"])
def test_an_error_that_will_always_be_is_refused(error):
    """The request is at fault."""
    with pytest.raises(Refused):
        answered({"results": [], "error": error})


def test_a_transaction_that_somebody_left_open_is_not_the_fault_of_a_write():
    """It hits every client until someone mends it, so it must not bury entries."""
    with pytest.raises(ServiceUnavailable):
        answered({"results": [], "error": "cannot start a transaction within a transaction"})


def test_a_statement_error_names_the_statement():
    """The index is that of the element with the error, which is the last of a transaction."""
    with pytest.raises(StatementRefused) as caught:
        answered({"results": [{"rows_affected": 1}, {"error": "UNIQUE constraint failed: t.id"}]}, sent=3)
    assert caught.value.index == 1


@pytest.mark.parametrize(
    "error", ["database is locked", "database or disk is full", "disk I/O error", "execute timeout", "query timeout"]
)
def test_a_statement_error_of_the_moment_is_tried_again(error):
    """The disk or a lock was at fault, and nothing was applied."""
    with pytest.raises(ServiceUnavailable) as caught:
        answered({"results": [{"error": error}]})
    assert not isinstance(caught.value, OutcomeUnknown)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"null", b'{"results":null}', b'{"results":[7]}', {"results": []}, b"\xff"]
)
def test_an_answer_that_is_not_rqlites_is_an_unknown_outcome(body):
    """Whatever answered, the write may stand or not."""
    with pytest.raises(OutcomeUnknown):
        answered(body)


@pytest.mark.parametrize(
    ("status", "from_service", "kind"),
    [
        (400, True, Refused),
        (400, False, ServiceUnavailable),
        (413, False, Refused),
        (401, True, ServiceUnavailable),
        (404, False, ServiceUnavailable),
        (301, True, ServiceUnavailable),
        (429, False, ServiceUnavailable),
        (503, True, ServiceUnavailable),
        (507, True, ServiceUnavailable),
        (500, True, OutcomeUnknown),
    ],
)
def test_a_status_says_what_may_be_done(status, from_service, kind):
    """Only what is wrong with the request itself is refused; a 400 counts only from a body of the service."""
    with pytest.raises(kind) as caught:
        answered(b"leader not found", status=status, from_service=from_service)
    assert (kind is OutcomeUnknown) == isinstance(caught.value, OutcomeUnknown)
