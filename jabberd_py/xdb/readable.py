"""What the rest of the server knows of a database that fails: one exception, and one line in the log for each outage."""

from __future__ import annotations

from .. import log

logger = log.get(__name__)


class StoreError(Exception):
    """The store cannot do it; the text is one clear line."""

    told = True
    """The store has said it in the log, once for each outage."""


def one_line(error: BaseException) -> str:
    """What a database's error says, in one line. Drivers give arguments like (2003, "Can't connect ...")."""
    text = str(error.args[-1]) if error.args else type(error).__name__
    return " ".join(text.split())[:300]


class Readable:
    """Logs one line when reads begin to fail, and one when they work again."""

    unread: str | None = None
    """Why the last read failed. None: it did not."""
    unreadable = 0
    """Reads that failed."""

    def _failed(self, error: BaseException) -> StoreError:
        """The error as the rest of the server knows it."""
        reason = one_line(error)
        if self.unread is None:
            logger.error("the store cannot be read", reason=reason)
        self.unread = reason
        self.unreadable += 1
        return StoreError(f"the store cannot be read: {reason}")

    def is_operational(self, error: BaseException) -> bool:
        raise NotImplementedError

    def went_well(self) -> None:
        """It answers again."""
        self.unread = None
        logger.info("the store can be read again")
