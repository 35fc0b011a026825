"""A short soak; `make soak` runs a long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.__main__ import soak


@pytest.mark.timeout(240)
def test_stored_time_is_true_time_whatever_is_killed(tmp_path: Path) -> None:
    """Faults and kill -9 of every program: nothing lost, doubled, against consent or beyond its doubt."""
    report = soak(30, seed=5, guilds=10, people=60, folder=tmp_path, faults_every=2.0)
    assert report.problems == []
    assert report.rows > 0
