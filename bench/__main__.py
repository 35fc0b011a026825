"""`python -m bench [NAME ...]`: takes the figures, prints each beside its floor, and says which goals were missed."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
import tempfile
from pathlib import Path

from bench.figures import Figure, Row, table

# Not the system's folder for temporary files: that is often memory, where a durable write costs nothing.
DATA = Path(__file__).resolve().parents[1] / "data"
NAMES = ("interactions", "listener", "memory", "imports", "queue", "service", "reports")


def take(name: str, scale: float, rounds: int) -> list[Row]:
    """The figures of one benchmark. `scale` multiplies all counts; each figure is taken `rounds` times in turn."""
    print(f"{name} ...", file=sys.stderr, flush=True)
    DATA.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"bench-{name}-", dir=DATA) as folder:
        return list(importlib.import_module(f"bench.{name}").figures(Path(folder), scale=scale, rounds=rounds))


def main() -> int:
    """Exit status 0 whatever the figures are, for a slow machine is not an error; 1 with --strict and a goal missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies all counts: 0.1 for a quick look")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is taken, ours and floor in turn")
    parser.add_argument("--strict", action="store_true", help="exit status 1 if a goal is missed")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    rows = [row for name in options.names or NAMES for row in take(name, options.scale, max(1, options.rounds))]
    print(
        f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, {options.rounds} rounds\n"
    )
    print(table(rows))
    missed = [row.name for row in rows if isinstance(row, Figure) and row.missed]
    return 1 if missed and options.strict else 0


if __name__ == "__main__":
    sys.exit(main())
