"""Errors of the API (RFC 9457)."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from ..commands import CommandError
from ..pages import Answer

NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
STATUS = {
    "bad-request": 400, "not-acceptable": 400, "jid-malformed": 400, "item-not-found": 404, "forbidden": 403,
    "not-allowed": 403, "conflict": 409, "resource-constraint": 503, "service-unavailable": 503,
    "remote-server-timeout": 504,
}  # fmt: skip
"""Condition of an error -> status. All others are 409: as things are, the command cannot be done."""


class Problem(Exception):
    """The request is answered with this status. ``more``: further members; ``headers``: of HTTP."""

    def __init__(
        self, status: int, detail: str = "", headers: dict[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.more = status, detail, headers or {}, more

    @classmethod
    def of(cls, error: CommandError) -> Problem:
        status = STATUS.get(error.condition, 409)
        more = {"kind": error.kind} | (
            {} if error.argument is None else {"argument": str(error.argument)[:100]}
        )
        return cls(status, str(error), {"Retry-After": "10"} if status == 503 else None, **more)

    @property
    def answer(self) -> Answer:
        said = {"type": "about:blank", "title": HTTPStatus(self.status).phrase, "status": self.status}
        body = said | ({"detail": self.detail} if self.detail else {}) | self.more
        return Answer(self.status, json.dumps(body).encode() + b"\n", {
            "Content-Type": "application/problem+json", **NO_STORE, **self.headers,
        })  # fmt: skip
