"""Whose data these are: those of one application, whose bot alone may say in which guilds it is. Pure."""

from __future__ import annotations


class OtherApplication(Exception):
    """The token is another application's than the data; the text says which, and what to do. Nothing was changed."""

    def __init__(self, ours: int, theirs: int) -> None:
        take_over = f"UPDATE installation SET value = '{ours}' WHERE name = 'application_id'"  # noqa: S608 (two numbers)
        super().__init__(
            f"These data belong to application {theirs}, and DISCORD_BOT_TOKEN is one of application {ours}: nothing"
            f" was changed. Set a token of application {theirs}, or give application {ours} data of its own"
            " (SQLITE_SERVICE_URL and QUEUE_FILE). To let it take these over, run this on the SQLite service and start"
            f" again: {take_over}."
        )


def verified(ours: int, *, noted: int | None, stated: int | None, readable: bool) -> bool:
    """True if it is known that the data are our application's: this disk's note says so, or the service (`stated`;
    `readable`: it could be asked), which the first run tells if nothing is known. Raises OtherApplication.

    The service's word counts before the note: there an operator can change it.
    """
    theirs = noted if stated is None else stated
    if theirs is not None and theirs != ours:
        raise OtherApplication(ours, theirs)
    return readable or noted is not None
