"""Every body of the SQLite service that this machine has, for tests that hold all of them to the same promises."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.services import NO_RQLITED, RunningService, rqlited_binary, start_embedded, start_rqlited

BODIES = {"embedded": start_embedded, "rqlited": start_rqlited}


@pytest.fixture(scope="module", params=list(BODIES))
def body(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A fresh body for each module."""
    if request.param == "rqlited" and rqlited_binary() is None:
        pytest.skip(NO_RQLITED)
    with BODIES[request.param](tmp_path_factory.mktemp(request.param)) as service:
        yield service
