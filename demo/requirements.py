"""What is wrong with the settings of all programs together, before any of them is started."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import gateway_listener.settings
import interactions_api.settings
import sqlite_service.settings
from program.environment import SettingsError

_READERS: dict[str, Callable[[Mapping[str, str]], object]] = {
    "sqlite": sqlite_service.settings.Settings.read,
    "web": interactions_api.settings.Settings.read,
    "listener": gateway_listener.settings.Settings.read,
}


def problems_of(environments: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Each problem once, in the programs' own words, for the programs that are named."""
    problems: list[str] = []
    for name, variables in environments.items():
        try:
            _READERS[name](variables)
        except SettingsError as error:
            problems += [problem for problem in error.problems if problem not in problems]
    return problems
