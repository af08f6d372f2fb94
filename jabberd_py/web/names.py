"""Under which names the pages are open. A page of somebody else can have its name point to our address (DNS rebinding); then
the browser takes what we answer for a part of that page."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..net.identity import a_label_form, a_labels, cover
from ..xmpp.errors import StanzaError

if TYPE_CHECKING:
    from ..router import Router

FOREIGN = (
    "{} is no name of this server. Open the page as {}. If people know the server by this name, too, write it into "
    "`modules.web.names`, or into `http.url`."
)


def ours(name: str, router: Router, more: Collection[str], shown: Collection[str] = ()) -> bool:
    """Is that a name of this server: of a host or service, of the address that clients know (`http.url`), of the machine, one
    of ``more``, one that the certificate has which the browser was shown (``shown``, dNSNames), or an IP address? ``name``:
    of the header Host, without a port."""
    name = name.rstrip(".")
    if name in router.instances or name == "localhost" or is_address(name):
        return True
    known = [
        *(a_label_form(each) for each in (*router.instances, *more)),
        *(_known_as(router, each) for each in router.instances),
    ]
    written = a_labels(name) or name
    return written in known or cover(shown, written) or name in machine()


def is_address(name: str) -> bool:
    """Is it an IP address? None of them can be turned to another machine."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


@cache
def machine() -> tuple[str, str]:
    """What the machine is called. Blocks when it is asked for the first time."""
    return socket.gethostname().lower(), socket.getfqdn().lower()


def _known_as(router: Router, domain: str) -> str | None:
    with suppress(StanzaError):
        return urlsplit(router.base(domain)).hostname
    return None
