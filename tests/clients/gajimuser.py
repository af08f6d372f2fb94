"""Gajim, unmodified, on a screen that nobody sees (conftest.py): what a user would do in its windows is done through its own
Python modules. Debian's Python runs it.

-> ["avatar", image in base64]   ["quit"]
<- ["avatar", bare jid of a contact, sha-1 of the image that Gajim has got]
"""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from base64 import b64decode
from pathlib import Path
from typing import Any

SETTING = json.loads(sys.argv[1])
HOME = Path(tempfile.mkdtemp(prefix="gajim-"))
OUT = os.dup(1)
os.dup2(2, 1)  # what Gajim prints is no JSON
seen: dict[str, str] = {}


def say(*words: Any) -> None:
    os.write(OUT, json.dumps(words).encode() + b"\n")


def screen() -> str:
    """Starts an X server, which ends with this process; returns the display."""
    read, write = os.pipe()
    die = ctypes.CDLL(None).prctl
    subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "800x600x24", "-nolisten", "tcp"],
        pass_fds=[write], stderr=subprocess.DEVNULL, preexec_fn=lambda: die(1, signal.SIGTERM),
    )  # fmt: skip
    os.close(write)
    return ":" + os.fdopen(read).readline().strip()


os.environ |= {
    "HOME": str(HOME), "XDG_RUNTIME_DIR": str(HOME), "XDG_CONFIG_HOME": str(HOME), "XDG_DATA_HOME": str(HOME),
    "XDG_CACHE_HOME": str(HOME), "DISPLAY": screen(), "GDK_BACKEND": "x11", "GSETTINGS_BACKEND": "memory", "LANG": "C.UTF-8",
    "NO_AT_BRIDGE": "1", "DBUS_SESSION_BUS_ADDRESS": "disabled:", "DBUS_SYSTEM_BUS_ADDRESS": "disabled:",
    "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
}  # fmt: skip
sys.argv = ["gajim", "-c", str(HOME / "gajim"), "-s", "-q"]
os.getuid = os.geteuid = lambda: 1000  # Gajim is not for root, who runs the tests somewhere

from gajim import gajim  # noqa: E402
from gajim.common import app  # noqa: E402
from gi.repository import Gio, GLib  # noqa: E402
from nbxmpp.const import ConnectionProtocol, ConnectionType  # noqa: E402
from nbxmpp.modules.user_avatar import Avatar  # noqa: E402


def begin() -> bool:
    """As the account wizard does."""
    if getattr(app, "window", None) is None or getattr(app, "plugin_manager", None) is None:
        return True
    app.cert_store.add_certificate(Gio.TlsCertificate.new_from_file(SETTING["ca"]))
    app.settings.set_app_setting("use_keyring", False)
    user, domain = SETTING["jid"].split("@")
    place = f"127.0.0.1:{SETTING['port']}", ConnectionProtocol.TCP, ConnectionType.START_TLS
    app.app.create_account("test", user, domain, SETTING["password"], None, place)
    app.app.enable_account("test")
    GLib.timeout_add(100, online)
    return False


def online() -> bool:
    client = app.get_client("test")
    if not client.state.is_available:
        return True
    say("online", str(client.get_own_jid()))
    GLib.timeout_add(100, look)
    GLib.io_add_watch(sys.stdin.fileno(), GLib.IO_IN | GLib.IO_HUP, told)
    return False


def look() -> bool:
    """Says which avatars Gajim has got since it was last called."""
    for contact in app.get_client("test").get_module("Roster").iter_contacts():
        sha, jid = contact.avatar_sha, str(contact.jid)
        if sha and seen.get(jid) != sha and app.app.avatar_storage.avatar_exists(sha):
            seen[jid] = sha
            say("avatar", jid, sha)
    return True


def told(*_: Any) -> bool:
    line = sys.stdin.readline()
    action, *words = json.loads(line) if line else ["quit"]
    if action == "avatar":
        avatar = Avatar()
        avatar.add_image_source(b64decode(words[0]), "image/png", 48, 48)
        app.get_client("test").get_module("UserAvatar").set_avatar(avatar, public=False)
    say("did", action)
    if action == "quit":
        shutil.rmtree(HOME, ignore_errors=True)
        os._exit(0)
    return True


GLib.timeout_add(100, begin)
gajim.main()
