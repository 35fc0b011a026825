"""What SQLite leaves of deleted rows in a file's pages, and how it is overwritten. No SQLite here, no threads.

`secure_delete` overwrites a cell where it is deleted, and a page that becomes free. But when SQLite spreads the cells
of full pages anew, it leaves copies of those that moved in the unused middle of the pages they came from, and those
copies it never overwrites. Nor did it overwrite anything in a file from before. What is overwritten here are bytes
that the file format calls unused, so no reader of any age can tell.
https://www.sqlite.org/fileformat2.html#b_tree_pages
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

_FILE_HEADER = 100
_LEAF, _INTERIOR = 8, 12
_HEADER_OF_KIND = {2: _INTERIOR, 5: _INTERIOR, 10: _LEAF, 13: _LEAF}
_MOST_PAGES = 1 << 25
"""From here on a page of another kind, which begins with a page's number, could begin as a b-tree page does."""
_PAGES_AT_ONCE = 256
_WAL_HEADER, _FRAME_HEADER = 32, 24


class _Layout(NamedTuple):
    """How a database file is divided, from its first 100 bytes."""

    page_size: int
    usable: int
    pages: int


def overwrite_all(descriptor: int) -> None:
    """Overwrites what is left of deleted rows in the whole of a database file that nobody changes meanwhile.

    Its WAL must have been copied into it. Not looked at are the ends of overflow pages, which are clean in every file
    that was written with secure_delete.
    """
    layout = _layout(descriptor)
    if layout is None:
        return
    for first in range(1, layout.pages + 1, _PAGES_AT_ONCE):
        block = os.pread(descriptor, layout.page_size * _PAGES_AT_ONCE, (first - 1) * layout.page_size)
        for at in range(0, len(block), layout.page_size):
            _overwrite(descriptor, layout, first + at // layout.page_size, block[at : at + layout.page_size])
    for number, used in _free_pages(descriptor, layout):
        page = os.pread(descriptor, layout.page_size, (number - 1) * layout.page_size)
        _zero(descriptor, layout, number, page, (used, layout.page_size))


def overwrite(descriptor: int, numbers: Iterable[int]) -> None:
    """As `overwrite_all`, for the pages with these numbers."""
    layout = _layout(descriptor)
    if layout is None:
        return
    for number in numbers:
        if number <= layout.pages:
            page = os.pread(descriptor, layout.page_size, (number - 1) * layout.page_size)
            _overwrite(descriptor, layout, number, page)


def pages_in_wal(wal: Path, frames: int) -> set[int]:
    """The numbers of the pages in the first so many frames of a WAL. https://www.sqlite.org/fileformat2.html#walformat"""
    with wal.open("rb") as file:
        stride = int.from_bytes(file.read(_WAL_HEADER)[8:12], "big") + _FRAME_HEADER
        return {
            int.from_bytes(os.pread(file.fileno(), 4, _WAL_HEADER + index * stride), "big") for index in range(frames)
        }


def unused(page: bytes, *, header: int = 0, usable: int) -> Iterator[tuple[int, int]]:
    """Where a b-tree page holds nothing, from byte to byte; of a page of another kind, or one without sense, no part.

    `header` is where the page's own header begins (100 on a file's first page), `usable` where its content ends.
    """
    of_kind = _HEADER_OF_KIND.get(page[header])
    if of_kind is None:
        return
    free, cells, content = (page[header + at] << 8 | page[header + at + 1] for at in (1, 3, 5))
    begin, content = header + of_kind + 2 * cells, content or 65_536
    if not begin <= content <= usable:
        return
    yield begin, content
    while free:
        if not content <= free <= usable - 4:
            return
        following, size = page[free] << 8 | page[free + 1], page[free + 2] << 8 | page[free + 3]
        if size < 4 or free + size > usable or 0 < following < free + size:
            return
        yield free + 4, free + size
        free = following


def _layout(descriptor: int) -> _Layout | None:
    """None for an empty file, and for one in which kinds of pages cannot be told apart."""
    header = os.pread(descriptor, _FILE_HEADER, 0)
    if len(header) < _FILE_HEADER:
        return None
    page_size = header[16] << 8 | header[17]
    page_size = 65_536 if page_size == 1 else page_size
    pages = os.fstat(descriptor).st_size // page_size
    if pages >= _MOST_PAGES or any(header[52:56]):  # the latter: auto_vacuum, whose pointer maps begin with any byte
        return None
    return _Layout(page_size, page_size - header[20], pages)


def _overwrite(descriptor: int, layout: _Layout, number: int, page: bytes) -> None:
    for part in unused(page, header=_FILE_HEADER if number == 1 else 0, usable=layout.usable):
        _zero(descriptor, layout, number, page, part)


def _zero(descriptor: int, layout: _Layout, number: int, page: bytes, part: tuple[int, int]) -> None:
    begin, end = part
    if page.count(0, begin, end) != end - begin:
        os.pwrite(descriptor, bytes(end - begin), (number - 1) * layout.page_size + begin)


def _free_pages(descriptor: int, layout: _Layout) -> Iterator[tuple[int, int]]:
    """The number of each free page, and how many bytes at its beginning are used by the list of free pages.

    https://www.sqlite.org/fileformat2.html#the_freelist
    """
    trunk = int.from_bytes(os.pread(descriptor, 4, 32), "big")
    seen: set[int] = set()
    while 0 < trunk <= layout.pages and trunk not in seen:
        seen.add(trunk)
        page = os.pread(descriptor, layout.page_size, (trunk - 1) * layout.page_size)
        listed = int.from_bytes(page[4:8], "big")
        if 8 + 4 * listed > layout.usable:
            return
        for at in range(8, 8 + 4 * listed, 4):
            leaf = int.from_bytes(page[at : at + 4], "big")
            if 1 < leaf <= layout.pages:
                yield leaf, 0
        yield trunk, 8 + 4 * listed
        trunk = int.from_bytes(page[:4], "big")
