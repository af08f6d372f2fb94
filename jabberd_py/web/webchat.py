"""Converse.js at /chat. `make webchat` gets it; without it there is no chat. The page itself is in chat.py."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..hooks import Answer, Module, Option, Refusal, Request, http, optional
from ..xdb import xdb

FILES = "/chat/dist"
PIECE = 64 * 1024


class WebChat(Module):
    """A chat in the browser (Converse.js), at /chat."""

    name = "webchat"
    needs = ("web",)
    folder = Option[str | None](
        optional(str),
        None,
        "the folder of Converse.js; by default 'webchat' in the data folder, as `make webchat` leaves it",
    )

    @property
    def files(self) -> Path:
        """The folder of what a browser loads."""
        if self.folder is not None:
            return Path(self.folder) / "dist"
        return Path(xdb.store.folder if xdb.store else ".") / "webchat" / "dist"

    @property
    def installed(self) -> bool:
        return (self.files / "converse.min.js").is_file()

    @http("/chat", below=True)
    def answer(self, request: Request) -> Answer:
        """A file of Converse.js, or the page around it. Blocks. Raises Refusal."""
        if not self.installed:
            raise Refusal(404, "There is no chat here. The administrator can install it: make webchat")
        if request.path.startswith(FILES + "/"):
            return self._file(request.path.removeprefix(FILES + "/"))
        answer: Answer = self.host["web"].answer(request)
        return answer

    def _file(self, name: str) -> Answer:
        folder = self.files.resolve()
        path = (folder / name).resolve()
        if not path.is_relative_to(folder) or not path.is_file():
            raise Refusal(404)
        type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        headers = {"Content-Type": type, "Content-Length": str(path.stat().st_size), "Cache-Control": "public, max-age=86400",
                   "Cross-Origin-Resource-Policy": "same-origin"}  # fmt: skip
        return Answer(200, _pieces(path), headers)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(PIECE):
            yield data


def installed(host: Any) -> bool:
    module = host.modules.get("webchat")
    return module is not None and bool(module.installed)
