"""What is done when a program ends by itself: say so with its last lines, start it again, or give up."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from demo.programs import Program
from program import exits

FAST_S = 20.0
FAST_ENDS = 4


def pause_before_restart(ends: Sequence[float], status: int | None) -> float | None:
    """Seconds to wait before starting a program again, given when it ended by itself; None to give up. Pure.

    What only a person can mend does not get better by itself, and neither does what ends four times in a row within
    seconds.
    """
    if status in exits.WHAT_TO_DO:
        return None
    row = 1
    while row < len(ends) and ends[-row] - ends[-row - 1] < FAST_S:
        row += 1
    return None if row >= FAST_ENDS else float(2 ** (row - 1))


class Supervisor:
    """Looks after the programs; the caller says what time it is (monotonic seconds)."""

    def __init__(self, programs: Sequence[Program]) -> None:
        self._programs = programs
        self._ends: dict[str, list[float]] = {program.name: [] for program in programs}
        self._start_at: dict[str, float] = {}

    def look_after(self, now: float, tell: Callable[[str], None]) -> str:
        """Starts again what is due, notices what has ended; a text if there is nothing more to be done, else empty."""
        for program in self._programs:
            if program.name in self._start_at:
                if now >= self._start_at[program.name]:
                    del self._start_at[program.name]
                    program.start()
            elif not program.running:
                self._ends[program.name].append(now)
                lines = "\n".join(f"  {line}" for line in program.last_lines(5))
                pause = pause_before_restart(self._ends[program.name], program.exit_status)
                if pause is None:
                    do = exits.WHAT_TO_DO.get(program.exit_status or 0, "it ended again and again: see what it says")
                    status = f"{program.name} ended with status {program.exit_status} and is not started again"
                    return f"{status}; {do}:\n{lines}"
                tell(f"{program.name} ended with status {program.exit_status}; it is started again in {pause:.0f} s")
                for line in lines.splitlines():
                    tell(line)
                self._start_at[program.name] = now + pause
        return ""
