"""Prosody: Lua files for the accounts and rosters."""

import hashlib
import hmac
from collections.abc import Mapping

from tests.peers import Prosody

from .base import DOMAIN, Peer, Rosters, Users, certificate, free_port

SALT, ROUNDS = b"sixteen bytes ok", 4096
SETTINGS = """
c2s_require_encryption = false
default_archive_policy = true
modules_disabled = {{ "s2s" }}
VirtualHost "{domain}"
    ssl = {{ certificate = "{certificate}", key = "{key}" }}
"""
ROOMS = """
Component "conference.{domain}" "muc"
    modules_enabled = {{ {archive} }}
    muc_log_by_default = {kept}
    max_history_messages = 0
"""


class Server(Peer, Prosody):
    def start(self, users: Users, rosters: Rosters, options: Mapping[str, object]) -> None:
        store = self.folder / "data" / DOMAIN
        for name in ("accounts", "roster"):
            (store / name).mkdir(parents=True)
        account = ""
        last = None
        for name, password in users:
            if password != last:
                account, last = _keys(password), password
            (store / "accounts" / f"{name}.dat").write_text(account)
        for name, contacts in rosters.items():
            items = "".join(
                f'["{contact}@{DOMAIN}"] = {{ subscription = "both"; groups = {{}}; }};\n'
                for contact in contacts
            )
            (store / "roster" / f"{name}.dat").write_text(
                f"return {{ [false] = {{ version = 1; }};\n{items}}};\n"
            )
        self.address = ("127.0.0.1", free_port())
        shown = certificate(self.folder)
        modules = ["roster", "saslauth", "tls", "disco", *(["mam"] if options.get("archive") else ())]
        settings = SETTINGS.format(domain=DOMAIN, certificate=shown.chain, key=shown.key)
        if options.get("rooms"):
            kept = bool(options.get("archive"))
            settings += ROOMS.format(domain=DOMAIN, archive='"muc_mam"' * kept, kept=str(kept).lower())
        self.configure("127.0.0.1", {"c2s": self.address[1]}, modules, settings, '{{ warn = "*console" }}')
        self.launch(self.address)


def _keys(password: str) -> str:
    salted = hashlib.pbkdf2_hmac("sha1", password.encode(), SALT, ROUNDS)
    stored = hashlib.sha1(hmac.digest(salted, b"Client Key", "sha1")).hexdigest()
    server = hmac.digest(salted, b"Server Key", "sha1").hex()
    return (
        f'return {{ ["iteration_count"] = {ROUNDS}; ["salt"] = "{SALT.decode()}"; '
        f'["stored_key"] = "{stored}"; ["server_key"] = "{server}"; }};\n'
    )
