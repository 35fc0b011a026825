"""The scripted evening is a count, not a measurement."""

from __future__ import annotations

from bench.evening import Evening


def test_an_evening_is_the_same_every_time() -> None:
    """Whoever counts, and however often: so a count before a change and one after it can be compared."""
    first, second = Evening(hours=2.5), Evening(hours=2.5)
    assert first.play() == second.play()
    assert first.written == second.written
    assert 0 < first.edges < first.written["VoiceSession"]
