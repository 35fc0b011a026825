"""Each benchmark runs to its end with the least counts; what it finds is not judged here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import NAMES
from bench.imports import library_imports
from tests.services import rqlited_binary

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_prints_its_figures(name: str) -> None:
    """The table has our figure beside its floor, or says why not, and nothing is left in data/."""
    run = subprocess.run(
        [sys.executable, "-m", "bench", name, "--scale", "0.01", "--rounds", "1"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "| figure" in run.stdout
    if name == "service" and rqlited_binary() is None:
        assert "skipped: no rqlited" in run.stdout
    else:
        assert " .. " in run.stdout
    assert not list((REPOSITORY / "data").glob(f"bench-{name}-*"))


def test_an_unknown_name_is_refused() -> None:
    """With the names there are."""
    run = subprocess.run(
        [sys.executable, "-m", "bench", "speed"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "there are interactions, listener" in run.stderr


def test_the_floor_of_imports_holds_libraries_only() -> None:
    """All of the endpoint's libraries, and nothing of ours."""
    statements = "\n".join(library_imports())
    assert "from flask import" in statements
    assert "import requests" in statements
    assert "db_client" not in statements
    assert "interactions_api" not in statements
