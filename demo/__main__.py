"""`python -m demo run` and `python -m demo story`: see `make run` and `make demo`."""

from __future__ import annotations

import sys

from demo.interruption import Interrupted, Interruption
from demo.system import NotInTime
from demo.terminal import to_nowhere

USAGE = """usage: python -m demo run | story

  run     all programs on this machine: against Discord with DISCORD_BOT_TOKEN, else against a simulated one
  story   a one-minute story against the simulated Discord, checked; exit status 0 only if all was stored right
"""


def main(arguments: list[str]) -> int:
    """0 if it went well or was ended by the person, 1 if not, 2 if it was asked wrongly."""
    if arguments not in (["run"], ["story"]):
        print(USAGE, end="", file=sys.stderr)
        return 2
    interruption = Interruption()
    try:
        if arguments == ["story"]:
            from demo.tell import tell

            return tell(interruption)
        from demo.live import live

        return live(interruption)
    except Interrupted as interrupted:
        print(f"Ended by {interrupted} before the end.", file=sys.stderr)
        return 128 + (interruption.signal or 0)
    except BrokenPipeError:  # whoever read what we print is gone, as with `| head`
        to_nowhere()
        return 0 if arguments == ["run"] else 1
    except NotInTime as problem:
        print(problem, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
