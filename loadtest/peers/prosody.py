"""Prosody: Lua files for the accounts and rosters."""

import hashlib
import hmac
from collections.abc import Mapping

from .base import DOMAIN, Peer, Rosters, Users, certificate, free_port

SALT, ROUNDS = b"sixteen bytes ok", 4096
CONFIG = """
run_as_root = true
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
c2s_direct_tls_ports = {{}}
c2s_require_encryption = false
authentication = "internal_hashed"
storage = "internal"
log = {{ warn = "*console" }}
modules_enabled = {{ "roster", "saslauth", "tls", "disco"{archive} }}
default_archive_policy = true
modules_disabled = {{ "s2s" }}
VirtualHost "{domain}"
    ssl = {{ certificate = "{certificate}", key = "{key}" }}
"""


class Server(Peer):
    package = binary = "prosody"

    def start(self, users: Users, rosters: Rosters, options: Mapping[str, object]) -> None:
        binary = self.find()
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
        cert, key = certificate(self.folder)
        file = self.folder / "prosody.cfg.lua"
        file.write_text(
            CONFIG.format(
                folder=self.folder,
                port=self.address[1],
                domain=DOMAIN,
                certificate=cert,
                key=key,
                archive=', "mam"' if options.get("archive") else "",
            )
        )
        self.spawn(binary, "-F", "--config", str(file), cpu=0)
        self.wait_until_listening()


def _keys(password: str) -> str:
    salted = hashlib.pbkdf2_hmac("sha1", password.encode(), SALT, ROUNDS)
    stored = hashlib.sha1(hmac.digest(salted, b"Client Key", "sha1")).hexdigest()
    server = hmac.digest(salted, b"Server Key", "sha1").hex()
    return (
        f'return {{ ["iteration_count"] = {ROUNDS}; ["salt"] = "{SALT.decode()}"; '
        f'["stored_key"] = "{stored}"; ["server_key"] = "{server}"; }};\n'
    )
