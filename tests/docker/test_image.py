"""The Dockerfile keeps to its rules. There may be no Docker where the tests run, so it is read as text, and what it
copies is tried in a folder of its own.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
# One instruction a line, comments gone, continued lines joined.
INSTRUCTIONS = [
    tuple(line.split(maxsplit=1))
    for line in re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE)).splitlines()
    if line
]
IGNORED = [line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]


def arguments(instruction: str) -> list[str]:
    """What follows each instruction of that name, in order."""
    return [rest for name, rest in INSTRUCTIONS if name == instruction]


def copied() -> list[str]:
    """The paths that go into the image."""
    return [source.rstrip("/") for line in arguments("COPY") for source in line.split()[:-1]]


def test_the_base_is_pinned_and_supported() -> None:
    """One base, slim, of an exact version that the project supports."""
    (base,) = arguments("FROM")
    version = re.fullmatch(r"python:(3\.\d+)\.\d+-slim-\w+", base)
    assert version
    lowest = re.search(r'requires-python = ">=3\.(\d+)"', (REPOSITORY / "pyproject.toml").read_text())
    assert lowest
    assert int(version[1].split(".")[1]) >= int(lowest[1])


def test_nobody_is_root_at_the_end() -> None:
    """The last USER is a number, so that Kubernetes can see that it is not root; nothing is run or copied after."""
    names = [name for name, _ in INSTRUCTIONS]
    last = arguments("USER")[-1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last)
    after = names[len(names) - 1 - names[::-1].index("USER") :]
    assert {"RUN", "COPY", "ADD"}.isdisjoint(after)


def test_only_runtime_requirements_are_installed() -> None:
    """requirements.txt and nothing else, from wheels, without pip's cache left behind."""
    (install,) = [line for line in arguments("RUN") if "pip" in line]
    assert install == "pip install --no-cache-dir --only-binary :all: --requirement requirements.txt"
    assert "requirements-dev" not in DOCKERFILE


def test_logs_are_not_held_back() -> None:
    """A line is on its way as soon as it is written."""
    assert any("PYTHONUNBUFFERED=1" in line for line in arguments("ENV"))


def test_no_secret_is_built_in() -> None:
    """Tokens, keys and passwords come at run time only."""
    assert not arguments("ARG")
    assert not re.search(r"TOKEN|SECRET|PASSWORD|_KEY", " ".join(arguments("ENV")))


def test_data_live_on_a_volume() -> None:
    """The files the programs write by default in the image are under its volume."""
    (volume,) = arguments("VOLUME")
    paths = re.findall(r"\w+_FILE=(\S+)", " ".join(arguments("ENV")))
    assert len(paths) == 2
    assert all(path.startswith(f"{volume}/") for path in paths)


def test_kubernetes_asks_after_health_itself() -> None:
    """There is no HEALTHCHECK: it would ask the endpoint's question of the listener too."""
    assert not arguments("HEALTHCHECK")


def test_the_context_holds_what_is_copied_and_little_else() -> None:
    """Everything is ignored but what is copied: no .git, no .env, no tests, no data."""
    assert IGNORED[0] == "*"
    allowed = [line.lstrip("!").rstrip("/") for line in IGNORED if line.startswith("!")]
    assert sorted(allowed) == sorted(copied())
    assert {"**/__pycache__/", "**/*.db"} <= set(IGNORED)


@pytest.mark.parametrize(
    "module", ["interactions_api.app", "interactions_api.register", "gateway_listener", "sqlite_service"]
)
def test_the_image_holds_what_each_program_imports(module: str, tmp_path: Path) -> None:
    """What is copied is enough to import every program, with nothing of the repository in reach."""
    for source in copied():
        path = REPOSITORY / source
        if path.is_dir():
            shutil.copytree(path, tmp_path / source, ignore=shutil.ignore_patterns("__pycache__"))
    main = f"{module}.__main__" if (REPOSITORY / module / "__main__.py").exists() else module
    subprocess.run([sys.executable, "-c", f"import {main}"], cwd=tmp_path, env={"PATH": ""}, check=True, timeout=60)
