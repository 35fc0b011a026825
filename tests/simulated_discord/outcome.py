"""What came of an interaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.simulated_discord.component_rules import all_components
from tests.simulated_discord.message_rules import EPHEMERAL


class BadReply(Exception):
    """Discord would not have taken this reply, or none came in time; `problems` says each thing that is wrong."""

    def __init__(self, problems: Sequence[str], status: int | None = None, body: Any = None) -> None:
        self.problems = list(problems)
        self.status = status
        self.body = body
        super().__init__("; ".join(self.problems) + (f" [status {status}]" if status is not None else ""))


@dataclass(frozen=True)
class Outcome:
    """The endpoint's answer beside the interaction that it answers; `body` is JSON where it was, else text."""

    status: int
    headers: dict[str, str]
    body: Any
    took_ms: int
    interaction: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def id(self) -> int:
        """The interaction's id."""
        assert self.interaction is not None, "nothing that is an interaction was sent"
        return int(self.interaction["id"])

    @property
    def type(self) -> int | None:
        """The response type, or None."""
        return self.body.get("type") if isinstance(self.body, dict) else None

    @property
    def data(self) -> dict[str, Any]:
        """The response's `data`, or {}."""
        return (self.body.get("data") or {}) if isinstance(self.body, dict) else {}

    @property
    def content(self) -> str:
        """The message's text, or ''."""
        return str(self.data.get("content") or "")

    @property
    def text(self) -> str:
        """All that a person reads: content, embeds and text components, a line each."""
        lines: list[Any] = [self.content]
        for embed in self.data.get("embeds") or []:
            lines += [embed.get("title"), embed.get("description")]
            for one in embed.get("fields") or []:
                lines += [one.get("name"), one.get("value")]
            lines.append((embed.get("footer") or {}).get("text"))
        lines += [each.get("content") for each in all_components(self.data.get("components"))]
        return "\n".join(line for line in lines if line)

    @property
    def ephemeral(self) -> bool:
        """Whether only the person himself sees it."""
        return bool(self.data.get("flags", 0) & EPHEMERAL)

    @property
    def custom_ids(self) -> list[str]:
        """The custom ids of all buttons and selects, in order."""
        components = all_components(self.data.get("components"))
        return [each["custom_id"] for each in components if each.get("custom_id")]

    @property
    def choices(self) -> list[dict[str, Any]]:
        """The choices of an autocomplete answer."""
        return list(self.data.get("choices") or [])

    def as_json(self) -> dict[str, Any]:
        """For the control API."""
        return asdict(self)
