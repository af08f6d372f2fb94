"""The path below which a proxy has our pages (`http.url`). Views and templates know nothing of it: they write /console, and
links and redirects get the path when they leave."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from flask import Response, request

from ..xmpp.errors import StanzaError
from .context import web

_links = re.compile(r'( (?:href|src|action|formaction|data-live|data-events)=")(?=/(?!/))')
"""Where a path of ours begins. What people wrote cannot look like this: its quotes are escaped."""


def path() -> str:
    """Empty, or it begins with a slash."""
    host = web().host
    try:
        return urlsplit(host.router.base(host.domain)).path
    except StanzaError:
        return ""


def add(response: Response) -> None:
    """Puts it before the paths of a page, and of a redirect."""
    found = path()
    if not found:
        return
    where = response.headers.get("Location", "")
    parts = urlsplit(where)
    if parts.netloc == request.host:  # Werkzeug's own redirects name the host
        where = parts._replace(scheme="", netloc="").geturl()
    if where.startswith("/") and not where.startswith("//"):
        response.headers["Location"] = found + where
    if response.mimetype == "text/html" and not response.is_streamed:
        response.set_data(_links.sub(rf"\1{found}", response.get_data(as_text=True)))
