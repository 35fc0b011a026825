"""`python -m tests.faults`: every campaign in full; prints the table of faults, goals and figures, in Markdown.

`--only 4 7` picks some; `--scale 0.1` does a tenth of the counts; `--seed` makes other chances; `--body rqlited` runs
them against a real rqlited instead of the embedded service.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.faults.bodies import Chosen
from tests.faults.campaign import CAMPAIGNS, Figure, Skipped
from tests.faults.everything import MODULES


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", type=int, nargs="*", help="numbers of faults")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--body", choices=["embedded", "rqlited"], default="embedded")
    options = parser.parse_args()
    Chosen.body = options.body
    assert MODULES
    failed = 0
    print("| # | fault | best of the references | goal | ours |\n|-|-|-|-|-|", flush=True)
    for campaign in sorted(CAMPAIGNS.values(), key=lambda campaign: campaign.number):
        if options.only and campaign.number not in options.only:
            continue
        count = max(1, round(campaign.full * options.scale))
        with tempfile.TemporaryDirectory() as folder:
            try:
                figure = campaign.run(Path(folder), count, random.Random(f"{campaign.number}:{options.seed}"))
            except Skipped as reason:
                figure = Figure(f"skipped: {reason}")
            except AssertionError as problem:
                figure = Figure(f"FAILED: {problem}", met=False)
        failed += not figure.met
        ours = figure.text if figure.met else f"**{figure.text}**"
        print(
            f"| {campaign.number} | {campaign.fault} | {campaign.references} | {campaign.goal} | {ours} |", flush=True
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
