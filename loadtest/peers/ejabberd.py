"""ejabberd: a script for its Erlang machine loads the accounts and rosters."""

import hashlib
import hmac
import time
from base64 import b64encode
from collections.abc import Mapping

from tests.peers import Ejabberd

from .base import DOMAIN, START, Peer, Rosters, Unavailable, Users, certificate, free_port

SALT, ROUNDS = b"sixteen bytes ok", 4096
CONFIG = """
hosts: [{domain}]
loglevel: warning
certfiles: ["{pem}"]
listen:
  - port: {port}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    starttls: true
    backlog: 1000
auth_method: internal
auth_password_format: scram
modules:
  mod_roster: {{}}
  mod_offline: {{}}
  mod_disco: {{}}
{archive}"""
ROOMS = """  mod_muc:
    history_size: 0
    max_users: 5000
    default_room_options: {{mam: {kept}, max_users: 5000}}
"""


class Server(Peer, Ejabberd):
    def start(self, users: Users, rosters: Rosters, options: Mapping[str, object]) -> None:
        self.address = ("127.0.0.1", free_port())
        archive = "  mod_mam: {default: always}\n" if options.get("archive") else ""
        if options.get("rooms"):
            archive += ROOMS.format(kept=str(bool(options.get("archive"))).lower())
        pem = certificate(self.folder).both
        self.configure(CONFIG.format(domain=DOMAIN, pem=pem, port=self.address[1], archive=archive))
        self.script, ready = self.folder / "load.erl", self.folder / "ready"
        self.script.write_text(_script(users, rosters) + f'file:write_file("{ready}", <<>>).\n')
        self.launch(self.address)
        deadline = time.monotonic() + START
        while not ready.exists():
            if time.monotonic() > deadline or self.gone():
                raise Unavailable(f"ejabberd does not take the accounts: {self.said()}")
            time.sleep(0.1)

    def commands(self) -> list[list[str]]:
        (command,) = super().commands()
        return [[*command, "-eval", f'file:script("{self.script}").']]


def _script(users: Users, rosters: Rosters) -> str:
    lines = [f'Add = fun(U, P) -> mnesia:dirty_write({{passwd, {{U, <<"{DOMAIN}">>}}, P}}) end.\n']
    keys: dict[str, str] = {}
    for name, password in users:
        if password not in keys:
            keys[password] = f"P{len(keys)}"
            lines.append(f"{keys[password]} = {_keys(password)}.\n")
        lines.append(f'Add(<<"{name}">>, {keys[password]}).\n')
    jid = f'{{N, <<"{DOMAIN}">>, <<>>}}'
    lines.append(
        f'Friend = fun(U, N) -> mnesia:dirty_write({{roster, {{U, <<"{DOMAIN}">>, {jid}}}, '
        f'{{U, <<"{DOMAIN}">>}}, '
        f"{jid}, <<>>, both, none, [], <<>>, []}}) end.\n"
    )
    for name, contacts in rosters.items():
        each = ", ".join(f'<<"{contact}">>' for contact in contacts)
        lines.append(f'[Friend(<<"{name}">>, N) || N <- [{each}]].\n')
    return "".join(lines)


def _keys(password: str) -> str:
    salted = hashlib.pbkdf2_hmac("sha1", password.encode(), SALT, ROUNDS)
    stored = hashlib.sha1(hmac.digest(salted, b"Client Key", "sha1")).digest()
    server = hmac.digest(salted, b"Server Key", "sha1")
    parts = ", ".join(f'<<"{b64encode(part).decode()}">>' for part in (stored, server, SALT))
    return f"{{scram, {parts}, sha, {ROUNDS}}}"
