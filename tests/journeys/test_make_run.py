"""`python -m demo run`: what it shows, how it ends, and that it leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.plan import is_ours
from demo.programs import ROOT
from demo.stage import any_ports
from tests.simulated_discord.control import Control, start_process
from tests.waiting import eventually

pytestmark = pytest.mark.xdist_group("processes")

RUN = [sys.executable, "-m", "demo", "run"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """No setting of ours but ports that nobody else takes meanwhile, and a folder of its own for temporary files."""
    kept = {name: value for name, value in os.environ.items() if not is_ours(name)}
    ports = any_ports()
    kept |= {"PORT": str(ports.web), "METRICS_PORT": str(ports.listener)}
    kept |= {"SQLITE_SERVICE_URL": f"http://127.0.0.1:{ports.sqlite}"}
    return {**kept, "TMPDIR": str(tmp_path), "HOME": str(tmp_path), "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}


@pytest.fixture
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file outside the folder that must be empty in the end."""
    return tmp_path_factory.mktemp("output") / "output"


def processes_of(folder: Path) -> list[str]:
    """The command lines of all processes whose environment names the folder (where there is a /proc)."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if str(folder).encode() in environ.read_bytes():
                found.append((environ.parent / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return [command for command in found if "pytest" not in command]


def nothing_left(folder: Path) -> bool:
    return processes_of(folder) == [] and list(folder.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_without_a_terminal_it_prints_lines_and_ends_cleanly(
    environment: dict[str, str], tmp_path: Path, output: Path, number: signal.Signals
) -> None:
    """It says that it is simulated, sessions open, a signal ends it with 0, and nothing is left."""
    with output.open("wb") as sink:
        program = subprocess.Popen(RUN, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
    try:
        eventually(lambda: "+ Ada" in output.read_text() or program.poll() is not None, within=60, what="a session")
    finally:
        program.send_signal(number)
        status = program.wait(30)
        text = output.read_text()
        print(text)
    assert status == 0
    assert "+ Ada" in text
    assert "simulated Discord" in text
    assert "Traceback" not in text
    assert "\x1b" not in text
    eventually(lambda: nothing_left(tmp_path), what="every process and file to be gone")


def test_in_a_terminal_it_redraws_in_place_and_gives_it_back(environment: dict[str, str], tmp_path: Path) -> None:
    """The cursor is hidden meanwhile and shown at the end; Ctrl-C ends it with 0."""
    script = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
    with subprocess.Popen(
        [sys.executable, "-c", script, *RUN],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    ) as terminal:
        assert terminal.stdin is not None
        assert terminal.stdout is not None
        seen = b""
        while b"Ada 0:" not in seen and (more := terminal.stdout.read(65536)):
            seen += more
        terminal.stdin.write(b"\x03")
        while more := terminal.stdout.read(65536):
            seen += more
    text = seen.decode("utf-8", "replace")
    assert terminal.returncode == 0, text
    assert text.index("\x1b[?25l") < text.index("\x1b[H") < text.rindex("\x1b[?25h")
    assert re.search(r"Ending\. \d+ sessions were seen", text)
    assert "Traceback" not in text
    eventually(lambda: nothing_left(tmp_path), what="every process and file to be gone")


def test_when_the_reader_of_a_pipe_goes_away_it_ends(environment: dict[str, str], tmp_path: Path) -> None:
    """`make run | head -3` does not go on for ever and shows no traceback."""
    program = subprocess.Popen(
        RUN, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert program.stdout is not None
    assert program.stderr is not None
    with program.stderr as errors:
        with program.stdout as lines:
            assert b"simulated" in lines.readline()
        assert (errors.read(), program.wait(60)) == (b"", 0)
    eventually(lambda: nothing_left(tmp_path), what="every process and file to be gone")


@pytest.fixture
def with_a_token(environment: dict[str, str], tmp_path: Path) -> Iterator[tuple[Control, int, dict[str, str]]]:
    """What an operator has set: here a simulated Discord takes the place of Discord's own addresses."""
    given = {name: environment.pop(name) for name in ("PORT", "METRICS_PORT", "SQLITE_SERVICE_URL")}
    with start_process(seed=1, interactions_url=f"http://127.0.0.1:{given['PORT']}/interactions") as discord:
        settings = {**discord.environment(), **given}
        (tmp_path / "checkout").mkdir()
        (tmp_path / "checkout" / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        yield discord, int(given["PORT"]), {**environment, "PYTHONPATH": str(ROOT)}


def test_with_a_token_it_connects_and_keeps_what_it_recorded(
    with_a_token: tuple[Control, int, dict[str, str]], tmp_path: Path, output: Path
) -> None:
    """Settings come from .env, nothing is simulated, and data/ is there for the next time."""
    discord, _, environment = with_a_token
    register = [sys.executable, "-m", "interactions_api.register"]
    subprocess.run(register, cwd=ROOT, env={**environment, **discord.environment()}, check=True, capture_output=True)
    guild = discord.add_guild("Study room")
    desk, ada = discord.add_channel(guild, "Desk"), discord.add_user("ada", display_name="Ada")
    for turn in ("first", "second"):
        with output.open("ab") as sink:
            program = subprocess.Popen(
                RUN, cwd=tmp_path / "checkout", env=environment, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
            )
        try:
            eventually(lambda: "listener ready" in output.read_text().split("Ending.")[-1], within=60, what="a start")
            if turn == "first":
                discord.command("opt_in", ada, guild=guild)
                discord.join(ada, desk)
            eventually(lambda: "+ Ada" in output.read_text().split("Ending.")[-1], within=60, what="the session")
        finally:
            program.send_signal(signal.SIGTERM)
            status = program.wait(30)
        assert status == 0, output.read_text()
    assert "simulated" not in output.read_text()
    assert {"bigbrother.db", "queue.db"} <= {path.name for path in (tmp_path / "checkout" / "data").iterdir()}


def test_with_a_token_a_port_in_use_is_an_error_that_names_the_setting(
    with_a_token: tuple[Control, int, dict[str, str]], tmp_path: Path
) -> None:
    """The port is where Discord's requests are forwarded to, so another one would not do."""
    _, port, environment = with_a_token
    with socket.create_server(("127.0.0.1", port)):
        ended = subprocess.run(
            RUN, cwd=tmp_path / "checkout", env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    assert ended.returncode == 2
    assert f"Port {port} is in use on this machine: stop the program that has it, or set PORT" in ended.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"DISCORD_BOT_TOKEN": "t"}, ["DISCORD_PUBLIC_KEY is not set", "discord.com/developers/applications"]),
        (
            {"DISCORD_BOT_TOKEN": "t", "DISCORD_PUBLIC_KEY": "12", "PORT": "http"},
            ["PORT is malformed"],
        ),
        (
            {"DISCORD_BOT_TOKEN": "t", "DISCORD_PUBLIC_KEY": "12", "SHARD_ID": "7", "QUEUE_MAX_BYTES": "much"},
            ["DISCORD_PUBLIC_KEY is malformed", "SHARD_ID is malformed", "QUEUE_MAX_BYTES is malformed"],
        ),
    ],
)
def test_wrong_settings_are_named_before_anything_starts(
    environment: dict[str, str], given: dict[str, str], said: list[str]
) -> None:
    """All of them at once, each with where to get the value; status 2."""
    ended = subprocess.run(RUN, cwd=ROOT, env={**environment, **given}, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert [sentence for sentence in said if sentence not in ended.stderr] == [], ended.stderr
    assert "Traceback" not in ended.stderr


def test_asked_wrongly_it_says_how() -> None:
    """Status 2 and the two words it knows."""
    ended = subprocess.run([*RUN[:3], "walk"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("usage: python -m demo run | story")
