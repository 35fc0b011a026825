"""A block device in this process's memory, whose power can be cut: a file served by FUSE, under a loop device.

It sees each write and each flush that the kernel sends to the disk. A cut gives the disk as it would be found: what was
flushed is there; of what was written since, each write is there or not, by chance, as disks with a cache have it.
Takes root, /dev/fuse, loop devices and mkfs.ext4. https://docs.kernel.org/filesystems/fuse.html
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import random
import shutil
import stat
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.faults.campaign import Skipped
from tests.waiting import eventually

FORGET, BATCH_FORGET, INTERRUPT = 2, 42, 36  # not answered
LOOKUP, GETATTR, SETATTR, STATFS, INIT = 1, 3, 4, 17, 26
OPEN, READ, WRITE, RELEASE, FSYNC, FLUSH, OPENDIR, RELEASEDIR = 14, 15, 16, 18, 20, 25, 27, 29
DISK = 2  # the file's node; the folder's is 1
MOST = 128 * 1024


class Device:
    """The disk `folder/fuse/disk` of so many bytes; a context manager."""

    def __init__(self, folder: Path, size: int) -> None:
        self.path = folder / "fuse" / "disk"
        self._content = bytearray(size)
        self._flushed = bytearray(size)
        self._since: list[tuple[int, bytes]] = []
        self._lock = threading.Lock()
        self._fuse = -1
        self._thread = threading.Thread(target=self._serve, name="block device", daemon=True)

    def cut(self, chance: random.Random) -> bytes:
        """What is on the disk if the power fails now."""
        with self._lock:
            found = bytearray(self._flushed)
            for offset, data in self._since:
                if chance.random() < 0.5:
                    found[offset : offset + len(data)] = data
            return bytes(found)

    def __enter__(self) -> Device:
        if os.geteuid() != 0 or not os.path.exists("/dev/fuse") or not shutil.which("mkfs.ext4"):
            raise Skipped("a disk whose power can be cut takes root, /dev/fuse, loop devices and mkfs.ext4")
        self.path.parent.mkdir()
        self._fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._fuse},rootmode=40000,user_id=0,group_id=0".encode()
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"disk", os.fsencode(self.path.parent), b"fuse", 0, options):
            os.close(self._fuse)
            raise Skipped(f"FUSE cannot be mounted here: {os.strerror(ctypes.get_errno())}")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "-l", str(self.path.parent)], check=False)
        self._thread.join(10)
        os.close(self._fuse)

    def _serve(self) -> None:
        while True:
            try:
                request = os.read(self._fuse, MOST + 4096)
            except OSError as problem:
                if problem.errno in (errno.EINTR, errno.EAGAIN, errno.ENOENT):
                    continue
                return  # unmounted
            _, operation, unique, node = struct.unpack_from("<IIQQ", request)
            if operation in (FORGET, BATCH_FORGET, INTERRUPT):
                continue
            answer = self._answer(operation, node, request[40:])
            error, body = (-answer, b"") if isinstance(answer, int) else (0, answer)
            with contextlib.suppress(OSError):
                os.write(self._fuse, struct.pack("<IiQ", 16 + len(body), error, unique) + body)

    def _answer(self, operation: int, node: int, body: bytes) -> bytes | int:
        """The body of an answer, or an error's number."""
        if operation == INIT:
            return struct.pack("<IIIIHHIIHHI28x", 7, 31, MOST, 0, 16, 12, MOST, 1, 0, 0, 0)
        if operation == LOOKUP:
            if body.rstrip(b"\0") != b"disk":
                return errno.ENOENT
            return struct.pack("<QQQQII", DISK, 0, 3600, 3600, 0, 0) + self._attributes(DISK)
        if operation in (GETATTR, SETATTR):
            return struct.pack("<QII", 3600, 0, 0) + self._attributes(node)
        if operation in (OPEN, OPENDIR):
            return struct.pack("<QII", 0, 0, 0)
        if operation == READ:
            _, offset, size = struct.unpack_from("<QQI", body)
            return bytes(self._content[offset : offset + size])
        if operation == WRITE:
            _, offset, size = struct.unpack_from("<QQI", body)
            self._write(offset, body[40 : 40 + size])
            return struct.pack("<II", size, 0)
        if operation == FSYNC:
            self._flush()
            return b""
        if operation == STATFS:
            return bytes(80)
        return b"" if operation in (RELEASE, FLUSH, RELEASEDIR) else errno.ENOSYS

    def _write(self, offset: int, data: bytes) -> None:
        with self._lock:
            self._content[offset : offset + len(data)] = data
            self._since.append((offset, data))

    def _flush(self) -> None:
        with self._lock:
            for offset, data in self._since:
                self._flushed[offset : offset + len(data)] = data
            self._since.clear()

    def _attributes(self, node: int) -> bytes:
        size = len(self._content) if node == DISK else 0
        mode = stat.S_IFREG | 0o600 if node == DISK else stat.S_IFDIR | 0o700
        return struct.pack("<QQQQQQIIIIIIIIII", node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


@contextlib.contextmanager
def mounted(disk: Path, at: Path, *, new: bool) -> Iterator[None]:
    """An ext4 filesystem on a file, by a loop device; `new` makes it first."""
    at.mkdir(exist_ok=True)
    loop = _run("losetup", "--find", "--show", str(disk)).strip()
    try:
        if new:
            _run("mkfs.ext4", "-q", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", loop)
        _run("mount", "-t", "ext4", loop, str(at))
        try:
            yield
        finally:
            eventually(lambda: _unmounted(at), what="the end of who uses the disk")
    finally:
        subprocess.run(["losetup", "-d", loop], capture_output=True, check=False)


def _unmounted(at: Path) -> bool:
    return subprocess.run(["umount", str(at)], capture_output=True, check=False).returncode == 0


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skipped(f"{command[0]} cannot be used here: {done.stderr.strip()}")
    return done.stdout
