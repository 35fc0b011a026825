"""A figure: what our program did, and what its floor did in the same run, round by round."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

HEADINGS = ("figure", "ours", "floor", "ours / floor", "least .. most", "goal", "")


@dataclass(frozen=True)
class Goal:
    """What the ratio of ours to the floor has to be: at least, or at most, a number."""

    ratio: float
    at_least: bool

    def met_by(self, ratio: float) -> bool:
        """True if that ratio is good enough."""
        return ratio >= self.ratio if self.at_least else ratio <= self.ratio

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.ratio:g}"


def at_least(ratio: float) -> Goal:
    """For figures of which more is better."""
    return Goal(ratio, at_least=True)


def at_most(ratio: float) -> Goal:
    """For figures of which less is better."""
    return Goal(ratio, at_least=False)


@dataclass(frozen=True)
class Figure:
    """Pairs of measurements, one pair a round; ours and its floor of a round were taken one right after the other."""

    name: str
    unit: str
    rounds: Sequence[tuple[float, float]]
    goal: Goal | None = None

    @property
    def ours(self) -> float:
        """Our median."""
        return statistics.median(ours for ours, _ in self.rounds)

    @property
    def floor(self) -> float:
        """The floor's median."""
        return statistics.median(floor for _, floor in self.rounds)

    @property
    def ratios(self) -> list[float]:
        """Ours to the floor, of each round, least first: what slows the machine down for a while slows both."""
        return sorted(ours / floor for ours, floor in self.rounds)

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios)

    @property
    def missed(self) -> bool:
        """True if there is a goal and the median ratio does not reach it."""
        return self.goal is not None and not self.goal.met_by(self.ratio)

    def cells(self) -> tuple[str, ...]:
        """The figure as one row of the table."""
        least, *_, most = [*self.ratios, self.ratios[-1]]
        verdict = "" if self.goal is None else ("MISSED" if self.missed else "met")
        return (
            self.name,
            f"{quantity(self.ours)} {self.unit}",
            f"{quantity(self.floor)} {self.unit}",
            f"{self.ratio:.2f}",
            f"{least:.2f} .. {most:.2f}",
            "" if self.goal is None else str(self.goal),
            verdict,
        )


@dataclass(frozen=True)
class Skipped:
    """A figure that cannot be taken on this machine, and why."""

    name: str
    reason: str

    def cells(self) -> tuple[str, ...]:
        """One row of the table."""
        return (self.name, f"skipped: {self.reason}", "", "", "", "", "")


Row = Figure | Skipped


def quantity(value: float) -> str:
    """Three significant digits, thousands apart: 0.512, 51.2, 512, 51,200."""
    if value >= 100:
        digits = len(str(int(value)))
        return f"{round(value, 3 - digits):,.0f}"
    return f"{value:.3g}"


def table(rows: Iterable[Row]) -> str:
    """The rows under their headings, as a Markdown table in columns."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    lines.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share (0 to 1) of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
