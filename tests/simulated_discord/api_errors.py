"""Refusals of the HTTP API with Discord's own codes.

https://discord.com/developers/docs/topics/opcodes-and-status-codes#json
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.simulated_discord.form import Problem, invalid_form_body


class ApiError(Exception):
    """A request is answered with `status` and `body`."""

    def __init__(self, status: int, code: int, message: str, body: dict[str, Any] | None = None) -> None:
        self.status = status
        self.body = body or {"message": message, "code": code}
        super().__init__(message)


def bad_form(problems: Sequence[Problem]) -> ApiError:
    """400 "Invalid Form Body" (50035), or the problem's own code where Discord has one."""
    if len(problems) == 1 and problems[0].code.isdigit():
        return ApiError(400, int(problems[0].code), problems[0].message)
    return ApiError(400, 50035, "Invalid Form Body", invalid_form_body(problems))


def unauthorized() -> ApiError:
    """401."""
    return ApiError(401, 0, "401: Unauthorized")


def not_found() -> ApiError:
    """404 for a path that does not exist."""
    return ApiError(404, 0, "404: Not Found")
