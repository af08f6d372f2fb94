"""Lets only one process use a data folder, and tells whether the last one was killed."""

import fcntl
import os
import stat
from contextlib import suppress

from .db import StoreError

AT_PEACE = b"closed"


def give_back(folder: str) -> None:
    """Gives files that root has made in a data folder to the owner of the folder, whose server could not open them
    otherwise."""
    owner = os.stat(folder)
    if os.geteuid() != 0 or owner.st_uid == 0:
        return
    for _, folders, files, here in os.fwalk(folder):
        for name in (*folders, *files):
            with suppress(FileNotFoundError):
                found = os.lstat(name, dir_fd=here)
                # a second name of a file may be a trap: the file is root's, and stands elsewhere
                if found.st_uid == 0 and (stat.S_ISDIR(found.st_mode) or found.st_nlink == 1):
                    os.chown(name, owner.st_uid, owner.st_gid, dir_fd=here, follow_symlinks=False)


class StoreInUse(StoreError):
    """Another process uses the data folder."""


class Lock:
    """The lock of ``folder``, which is made if it is missing. The kernel frees the lock when the process ends. The file
    jabberd.lock holds the number of the process that has the lock, or ``closed``.

    ``unclean``: True if the last process did not write ``closed``: it was killed. ``mark=False``: for tools; they do not write
    into the file, and `give_back` is called at the end. Raises StoreInUse or OSError."""

    def __init__(self, folder: str, mark: bool = True) -> None:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self.folder, self.mark = folder, mark
        self.handle: int | None = os.open(os.path.join(folder, "jabberd.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            said = os.read(self.handle, 20).strip()
            self.unclean = said not in (b"", AT_PEACE)
            fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if mark:
                self._say(b"%d" % os.getpid())
        except BlockingIOError:
            self.release()
            who = said.decode("ascii", "replace")
            raise StoreInUse(f"{folder}: in use by another jabberd_py, process {who or '?'}") from None
        except BaseException:
            self.release()
            raise

    def _say(self, text: bytes) -> None:
        assert self.handle is not None
        os.pwrite(self.handle, text.ljust(10) + b"\n", 0)  # in place: a full disk has no room for more

    def release(self, at_peace: bool = False) -> None:
        """Frees the lock. ``at_peace``: all is written and closed. A second call does nothing."""
        handle = self.handle
        if handle is not None:
            try:
                if not self.mark:
                    give_back(self.folder)
                if at_peace:
                    self._say(AT_PEACE)
            finally:
                self.handle = None
                os.close(handle)
