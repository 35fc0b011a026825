"""Consent intervals follow from the decisions alone, and are the same here as in the service."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from db_client.records import ConsentDecision
from db_client.snowflake import earliest
from gateway_listener.consent import Consents, Decision, Interval, intervals_of
from tests.gateway_listener.harness import ADA, NOON
from tests.gateway_listener.tables import Service

kinds = st.sampled_from(["in", "out", "erase"])
histories = st.lists(kinds, max_size=8)


def made(history: list[str]) -> list[ConsentDecision]:
    """Decisions a second apart."""
    return [
        ConsentDecision(earliest(NOON + 1000 * place), ADA, decision, "ada", "Ada")  # type: ignore[arg-type]
        for place, decision in enumerate(history)
    ]


def decision(place: int, kind: str) -> Decision:
    return Decision(place, ADA, kind, place * 10)


def test_intervals_run_from_in_to_the_next_that_is_not() -> None:
    """A second `in` changes nothing; an `out` without an `in` neither."""
    history = [decision(1, "out"), decision(2, "in"), decision(3, "in"), decision(4, "out"), decision(5, "in")]
    assert intervals_of(history) == [Interval(2, 20, 40), Interval(5, 50, None)]


def test_erasure_removes_every_interval_before_it() -> None:
    """What was before an erasure was never."""
    history = [decision(1, "in"), decision(2, "out"), decision(3, "in"), decision(4, "erase"), decision(5, "in")]
    assert intervals_of(history) == [Interval(5, 50, None)]


@given(histories)
def test_the_same_intervals_as_the_service(history: list[str]) -> None:
    """The view `consent_intervals` and `intervals_of` agree."""
    service = Service()
    for record in made(history):
        service.write(record)
    rows = service.rows("SELECT version, from_at, to_at FROM consent_intervals ORDER BY version")
    expected = intervals_of(Decision(r.interaction_id, ADA, r.decision, r.at) for r in made(history))
    assert [tuple(row.values()) for row in rows] == [tuple(interval) for interval in expected]


@given(histories.flatmap(lambda history: st.permutations(list(enumerate(history)))))
def test_the_order_of_arrival_does_not_matter(arrivals: list[tuple[int, str]]) -> None:
    """Late, early, twice: the same decisions give the same intervals."""
    consents = Consents()
    for place, kind in arrivals:
        consents.add([decision(place + 1, kind)])
        consents.add([decision(place + 1, kind)])
    assert list(consents.of(ADA)) == intervals_of(decision(place + 1, kind) for place, kind in sorted(arrivals))


def test_who_changed_is_told() -> None:
    """Only those whose intervals are different now are looked at again."""
    consents = Consents()
    assert set(consents.add([decision(1, "in")])) == {ADA}
    assert set(consents.add([decision(2, "in")])) == set()
    assert set(consents.replace([decision(1, "in"), decision(2, "in")])) == set()
    assert set(consents.replace([])) == {ADA}
