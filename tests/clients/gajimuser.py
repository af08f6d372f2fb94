"""Gajim, unmodified, on a screen that nobody sees: what a user would do in its windows is done through its own Python modules.
Debian's Python runs it. Arguments: a folder for it, the X display, the setting (conftest.py).

-> ["avatar", image in base64]   ["quit"]
<- ["avatar", bare jid of a contact, sha-1 of the image that Gajim has got]
"""

import json
import os
import signal
import sys
from base64 import b64decode
from typing import Any

HOME, DISPLAY, SETTING = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
OUT = os.dup(1)
os.dup2(2, 1)  # what Gajim prints is no JSON
os.environ |= {
    "HOME": HOME, "XDG_RUNTIME_DIR": HOME, "XDG_CONFIG_HOME": HOME, "XDG_DATA_HOME": HOME, "XDG_CACHE_HOME": HOME,
    "DISPLAY": DISPLAY, "GDK_BACKEND": "x11", "GSETTINGS_BACKEND": "memory", "LANG": "C.UTF-8", "NO_AT_BRIDGE": "1",
    "DBUS_SESSION_BUS_ADDRESS": "disabled:", "DBUS_SYSTEM_BUS_ADDRESS": "disabled:",
    "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
}  # fmt: skip
sys.argv = ["gajim", "-c", f"{HOME}/gajim", "-s", "-q"]
os.getuid = os.geteuid = lambda: 1000  # Gajim is not for root, who runs the tests somewhere

from gajim import gajim  # noqa: E402
from gajim.common import app, ged  # noqa: E402
from gi.repository import Gio, GLib  # noqa: E402
from nbxmpp.const import ConnectionProtocol, ConnectionType  # noqa: E402
from nbxmpp.modules.user_avatar import Avatar  # noqa: E402


def say(*words: Any) -> None:
    os.write(OUT, json.dumps(words).encode() + b"\n")


class User:
    """Who sits before the screen."""

    def begin(self) -> bool:
        """As the account wizard does, as soon as there is a window."""
        if getattr(app, "window", None) is None or getattr(app, "plugin_manager", None) is None:
            return True
        app.ged.register_event_handler("signed-in", ged.POSTGUI, self.online)
        app.cert_store.add_certificate(Gio.TlsCertificate.new_from_file(SETTING["ca"]))
        app.settings.set_app_setting("use_keyring", False)
        user, domain = SETTING["jid"].split("@")
        place = f"127.0.0.1:{SETTING['port']}", ConnectionProtocol.TCP, ConnectionType.START_TLS
        app.app.create_account("test", user, domain, SETTING["password"], None, place)
        app.app.enable_account("test")
        return False

    def online(self, _: Any) -> None:
        client = app.get_client("test")
        for contact in client.get_module("Roster").iter_contacts():
            contact.connect("avatar-update", self.sees)
            self.sees(contact)
        GLib.io_add_watch(sys.stdin.fileno(), GLib.IO_IN | GLib.IO_HUP, self.told)
        say("online", str(client.get_own_jid()))

    def sees(self, contact: Any, *_: Any) -> None:
        sha = contact.avatar_sha
        if sha and app.app.avatar_storage.avatar_exists(sha):
            say("avatar", str(contact.jid), sha)

    def told(self, *_: Any) -> bool:
        line = sys.stdin.readline()
        action, *words = json.loads(line) if line else ["quit"]
        if action == "quit":
            say("did", action)
            os._exit(0)
        avatar = Avatar()
        avatar.add_image_source(b64decode(words[0]), "image/png", 48, 48)
        app.get_client("test").get_module("UserAvatar").set_avatar(avatar, public=False, callback=self.done)
        return True

    def done(self, task: Any) -> None:
        try:
            task.finish()
        except Exception as error:  # whatever the server has answered
            say("failed", str(error))
        else:
            say("did", "avatar")


user = User()  # Gajim does not keep it
GLib.timeout_add(20, user.begin)
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
gajim.main()
