"""What the server tells systemd (``Type=notify`` in the unit): that it serves, and that it stops."""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def notify(state: str) -> None:
    """``READY=1``, ``STOPPING=1``, ``STATUS=...``, joined by line ends (sd_notify(3)). Without a systemd nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)
