"""Space set aside on the queue file's disk, so that delivered entries can be removed while the disk is full.

Removing a row needs room in the write-ahead log. The ballast is given up for that, and made again before the next put
is taken: what it frees is never eaten by new entries.
"""

from __future__ import annotations

import os
from pathlib import Path

MOST_BYTES = 4 * 1024 * 1024
SHARE = 8  # of a small disk it takes no more than this part


class Ballast:
    """A file of no content beside the queue file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def is_there(self) -> bool:
        """True if the space is set aside now."""
        return self._path.exists()

    def size(self) -> int:
        """How many bytes it is, or would be if it were made now."""
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            disk = os.statvfs(self._path.parent)
            return min(MOST_BYTES, disk.f_blocks * disk.f_frsize // SHARE)

    def held(self) -> bool:
        """Makes the ballast if it is not there, 4 MiB or an eighth of a small disk; False if there is no room for it.

        A smaller one would not do: it must hold what the log has yet to bring into the file.
        """
        if self.is_there():
            return True
        size = self.size()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError:
            self.drop()
            return False
        finally:
            os.close(descriptor)
        return True

    def drop(self) -> None:
        """Gives the space up."""
        self._path.unlink(missing_ok=True)
