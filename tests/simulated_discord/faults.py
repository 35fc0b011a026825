"""The switches of what goes wrong, each with the value that means "all is well"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any


@dataclass
class Faults:
    """Every lasting fault; README.md says what each does. `changed` is called with the name after a switch was set."""

    refuse: bool = False
    upgrade_status: int | None = None
    before_hello: int | str | None = None
    silent: bool = False
    no_ack: bool = False
    ignore_identify: bool = False
    ignore_resume: bool = False
    identify_answer: bool | int | None = None
    resume_answer: bool | int | None = None
    resume_url: str | None = None
    duplicate: bool = False
    lose: bool = False
    drop: bool = False
    omit_member: bool = False
    omit_flags: bool = False
    null_channel: bool = False
    ready_delay: int = 0
    api_status: int | None = None
    api_silent: bool = False
    rate_limit: int = 0
    no_via: bool = False
    clock_ahead: int = 0
    no_date: bool = False

    def __post_init__(self) -> None:
        self._changed: Callable[[str, Any], None] = lambda name, value: None

    def on_change(self, changed: Callable[[str, Any], None]) -> None:
        """From now on `changed(name, value)` is called whenever a switch gets another value."""
        self._changed = changed

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and name not in SWITCHES:
            raise AttributeError(f"no such fault: {name}")
        different = hasattr(self, "_changed") and getattr(self, name) != value
        super().__setattr__(name, value)
        if different and name in SWITCHES:
            self._changed(name, value)

    def clear(self) -> None:
        """All is well again."""
        for switch in fields(self):
            setattr(self, switch.name, switch.default)


SWITCHES = frozenset(switch.name for switch in fields(Faults))
