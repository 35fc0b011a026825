"""This machine's clock and Discord's: measured by what Discord signs, and told where everything is refused for it."""

from __future__ import annotations

import logging

import pytest

from interactions_api.discord_time import COUNTS_S, DiscordTime
from tests.interactions_api.conftest import Endpoint
from tests.interactions_api.discord import command, snowflake, user

NOW = 1_800_000_000_000
HOUR = 3_600_000
LIMIT_S = 300


class Machine:
    """A machine whose clock a test sets, an endpoint on it, and Discord, which signs requests for it."""

    def __init__(self, *, ahead: int = 0) -> None:
        self.discord, self.ahead = NOW, ahead
        self.time = DiscordTime(lambda: self.discord + self.ahead, lambda: (self.discord - NOW) / 1000)

    def request(self, *, made_at: int | None = None, way: int = 80) -> None:
        """Discord sends a request; or somebody sends one again that was made then."""
        at = self.discord if made_at is None else made_at
        self.discord += way
        if abs((self.discord + self.ahead) // 1000 - at // 1000) > LIMIT_S:
            self.time.refused(at // 1000)
        else:
            self.time.signed(at)

    def requests(self, count: int) -> None:
        for _ in range(count):
            self.request()
            self.discord += 7300


@pytest.mark.parametrize("ahead", [-250_000, -2500, -40, 0, 2500, 250_000])
def test_the_difference_is_the_clocks_and_the_shortest_way(ahead: int) -> None:
    """One that took long does not matter."""
    machine = Machine(ahead=ahead)
    assert machine.time.difference_ms() is None
    for way in (900, 2600, 60, 140):
        machine.request(way=way)
    assert machine.time.difference_ms() == ahead + 60
    assert machine.time.complaint() is None
    assert machine.time.newest == machine.discord - 140


@pytest.mark.parametrize(
    ("ahead", "said"), [(-2500, "2.4 s behind"), (2500, "2.6 s ahead of"), (-250_000, "4 min behind"), (1000, None)]
)
def test_a_clock_that_is_off_is_told_once(caplog: pytest.LogCaptureFixture, ahead: int, said: str | None) -> None:
    """From two seconds on; and again if it was right in between."""
    machine = Machine(ahead=ahead)
    for _ in range(2):
        machine.ahead = ahead
        machine.requests(5)
        machine.ahead = 0
        machine.requests(5)
    told = [record.getMessage() for record in caplog.records]
    assert told == ([f"this machine's clock is {said} Discord's"] * 2 if said else [])


@pytest.mark.parametrize(
    ("ahead", "said"), [(2 * HOUR, "2 h ahead of"), (-2 * HOUR, "2 h behind"), (-NOW, "20833 days behind")]
)
def test_everything_is_refused_for_the_clock(caplog: pytest.LogCaptureFixture, ahead: int, said: str) -> None:
    """The third says it, once; when the clock is set, it is forgotten at once."""
    machine = Machine(ahead=ahead)
    machine.requests(2)
    assert machine.time.complaint() is None
    machine.requests(5)
    assert f"this machine's clock is {said} Discord's" in (machine.time.complaint() or "")
    assert machine.time.difference_ms() == pytest.approx(ahead, abs=1100)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    machine.ahead = 0
    assert machine.time.complaint() is None
    assert machine.time.difference_ms() is None


def test_one_that_is_not_refused_ends_the_complaint() -> None:
    """Then the clock is right enough."""
    machine = Machine()
    for _ in range(3):
        machine.request(made_at=machine.discord - HOUR)
        machine.discord += 7300
    assert machine.time.complaint() is not None
    machine.request()
    assert machine.time.complaint() is None


def test_one_request_that_is_sent_again_and_again_is_one() -> None:
    """However alike the differences are."""
    machine = Machine()
    made_at = machine.discord - HOUR
    for _ in range(5):
        machine.request(made_at=made_at)
    assert machine.time.complaint() is None


@pytest.mark.parametrize("between", [0, 7300, 59_920])
@pytest.mark.parametrize("used", [False, True])
def test_old_requests_that_are_sent_again_say_nothing(between: int, used: bool) -> None:
    """Whoever got hold of some has them of other moments than those at which they are sent; and whoever sends them in
    the rhythm in which they were made is believed only where nothing good has come for an hour."""
    machine = Machine()
    kept = [machine.discord - HOUR - n * 60_000 for n in range(20)]
    if between > 59_000:
        kept.reverse()
        used = True
    if used:
        machine.request()
    for made_at in kept * 2:
        machine.request(made_at=made_at)
        machine.discord += between
        assert machine.time.complaint() is None


def test_a_complaint_does_not_last_without_a_cause() -> None:
    """A pod that is not ready gets no requests, and would never learn that it is well."""
    machine = Machine(ahead=HOUR)
    machine.requests(3)
    machine.discord += int(COUNTS_S * 1000) - 20_000
    assert machine.time.complaint() is not None
    machine.discord += 20_000
    assert machine.time.complaint() is None
    machine.requests(1)
    assert machine.time.complaint() is not None


def test_readiness_says_it(endpoint: Endpoint) -> None:
    """The endpoint goes on refusing; `readyz` says why, and the figures by how much."""
    assert b"[+]clock: ok\n" in endpoint.client.get("/readyz").data
    for n in range(3):
        answer = endpoint.send(command("opt_in", by=user(snowflake())), at_s=NOW // 1000 + n)
        assert answer.status_code == 401
    said = endpoint.client.get("/readyz")
    assert (said.status_code, said.data.count(b"\n")) == (503, 3)
    assert b"[-]clock: this machine's clock is " in said.data
    assert "interactions_clock_difference_seconds" in endpoint.client.get("/metrics").get_data(as_text=True)
    endpoint.says(command("opt_in", by=user(snowflake())))
    assert endpoint.client.get("/readyz").status_code == 200


def test_the_figure_of_a_clock_that_is_right(endpoint: Endpoint) -> None:
    """A number near zero, in seconds."""
    endpoint.says(command("opt_in", by=user(snowflake())))
    page = endpoint.client.get("/metrics").get_data(as_text=True)
    (line,) = [line for line in page.splitlines() if line.startswith("interactions_clock_difference_seconds ")]
    assert abs(float(line.split()[1])) < 60
