"""What can go wrong between a write and the SQLite service, by what the caller may do next.

DbClientError
├── ServiceUnavailable     try again later; `cause` is a short word for metrics
│   └── OutcomeUnknown     the write may or may not stand: send the same write again
├── Refused                permanent: the service understood and will never take this request
│   └── StatementRefused   permanent for one statement, `index`; nothing of its transaction was applied
└── NotKept                the disk under the queue file refused: nothing was kept, tell the person
    └── QueueFull          the queue file's own bound is reached
"""

from __future__ import annotations


class DbClientError(Exception):
    """The base of everything this package raises on purpose."""


class ServiceUnavailable(DbClientError):
    """The service could not be asked now; nothing is wrong with the request. `cause` is a word for metrics."""

    def __init__(self, cause: str, message: str = "") -> None:
        self.cause = cause
        super().__init__(message or cause)


class OutcomeUnknown(ServiceUnavailable):
    """The answer was lost, so the write may stand or not; sending the same write again is right and harmless."""


class Refused(DbClientError):
    """The service refused the request for good; sending it again cannot help."""


class StatementRefused(Refused):
    """One statement was refused for good and its transaction rolled back; `index` counts from 0 in the request."""

    def __init__(self, index: int, message: str) -> None:
        self.index = index
        super().__init__(message)


class NotKept(DbClientError):
    """The queue file could not take the write: do not count on it. If the disk failed in the midst it may stand.

    Doing it again is always harmless.
    """


class QueueFull(NotKept):
    """The queue file has reached its bound or its disk is full; what was there before is safe."""
