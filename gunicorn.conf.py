"""What gunicorn takes for the interactions endpoint when nothing else is said; options and GUNICORN_CMD_ARGS overrule.

gunicorn reads this file by itself in its working directory. Left alone it answers one interaction at a time, so that a
service that hangs would hold up everybody, and it opens a control socket in the home directory.
"""

import contextlib
import fcntl
import glob
import os
import shutil
import sys
import tempfile

threads = 32  # they mostly wait, and those that wait together share one commit, one delivery and one read
keepalive = 65  # longer than a proxy in front keeps its idle connections (nginx: 60 s), so that it closes first
graceful_timeout = 10
control_socket_disable = True
if os.path.isdir("/dev/shm"):  # noqa: S108 - gunicorn makes its heartbeat file there with mkstemp
    worker_tmp_dir = "/dev/shm"  # noqa: S108 - a worker's heartbeat must not wait for a disk

_METRICS_FOLDERS = "interactions-metrics-"


def _folder_for_metrics():
    """A new folder in the system's for temporary files, locked while this process or a child of it lives.

    Folders of endpoints that were killed are not locked any more, and are removed.
    """
    for path in glob.glob(os.path.join(tempfile.gettempdir(), f"{_METRICS_FOLDERS}*")):
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(descriptor)
    while True:
        path = tempfile.mkdtemp(prefix=_METRICS_FOLDERS)
        with contextlib.suppress(FileNotFoundError):  # another start may have removed it before it was locked
            fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX)
            os.stat(path)
            return path


# Where the workers add up their counters, so that /metrics is the same whichever of them answers.
_own_metrics_folder = None
if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
    with contextlib.suppress(OSError):
        _own_metrics_folder = os.environ["PROMETHEUS_MULTIPROC_DIR"] = _folder_for_metrics()


def on_starting(server):
    """Says what is wrong with the settings once, before there are workers that would each say it."""
    if server.app.app_uri.startswith("interactions_api."):
        from interactions_api.settings import settings_or_exit
        from program import exits

        try:
            settings_or_exit(os.environ)
        except SystemExit:
            on_exit(server)
            raise SystemExit(exits.SETTINGS) from None


def post_worker_init(worker):
    """Delivers at once, without waiting for the first request, what an earlier process left in the queue file."""
    background = getattr(worker.wsgi, "extensions", {}).get("background")
    if background is not None:
        background.start()


def worker_exit(server, worker):
    """Sends the files that people wait for, before the worker is gone."""
    background = getattr(getattr(worker, "wsgi", None), "extensions", {}).get("background")
    if background is not None:
        background.stop()


def child_exit(server, worker):
    """Ends a worker's gauges; its counters stay."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)


def on_exit(server):
    """Leaves nothing behind; and says 1, start again, of a worker that did not come up, not gunicorn's own 3."""
    if _own_metrics_folder is not None:
        shutil.rmtree(_own_metrics_folder, ignore_errors=True)
    if getattr(sys.exc_info()[1], "exit_status", None) == server.WORKER_BOOT_ERROR:
        from program import exits

        raise SystemExit(exits.AGAIN)
