"""What the documents show is what the bot says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.interactions_api.documents import NOW, document
from tests.interactions_api.study_room import study_room
from tests.services import NO_RQLITED, rqlited_binary, start_embedded, start_rqlited

pytestmark = pytest.mark.xdist_group("processes")

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"


@pytest.mark.parametrize("start", [start_embedded, start_rqlited])
def test_the_page_of_commands_shows_real_replies(tmp_path: Path, start):
    """The same from each body of the service. With UPDATE_DOCUMENTS=1 the page is written anew instead."""
    if start is start_rqlited and rqlited_binary() is None:
        pytest.skip(NO_RQLITED)
    with study_room(tmp_path, NOW, start) as room:
        made = document(room)
    if os.environ.get("UPDATE_DOCUMENTS"):
        PAGE.write_text(made, "utf-8")
    assert PAGE.read_text("utf-8") == made
