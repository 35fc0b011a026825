"""How our programs introduce themselves to Discord."""

from __future__ import annotations

# Put the address of your copy of the source here, if it has one: Discord wants to know whom to write to.
# https://discord.com/developers/docs/reference#user-agent
USER_AGENT = "DiscordBot (https://example.org/bigbrotherbot, 0.1.0)"
