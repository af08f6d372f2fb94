"""Other people's servers to federate with, started privately: Prosody, ejabberd, jabberd2 (Debian's packages).

Each has an address of its own on the loopback interface, with the usual ports, and a domain for every mode:

    external    TLS with a certificate of the private CA, SASL EXTERNAL; no dialback at all
    dialback    TLS with a self-signed certificate, dialback

A room service is at conference.DOMAIN, anybody may register in-band.
"""

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import ClassVar

import gevent
import pytest

from tests.federation.ca import CA, Certificate
from tests.federation.names import Names

EXTERNAL, DIALBACK = "external", "dialback"
MODES = (EXTERNAL, DIALBACK)
START = 60.0  # seconds: ejabberd on a busy machine


def certificate(ca: CA, mode: str, *domains: str) -> Certificate:
    """As this mode wants it. Without xmppAddr: ejabberd 23.01 dies of one (p1_xmpp 1.6.1, get_cert_domains/1)."""
    return ca.issue(*domains, xmpp_addr=(), self_signed=mode == DIALBACK)


class Peer:
    """Starts at once; `insecure`: the domains in mode dialback that it may meet. Not installed: the test is skipped.

    It looks like a `ServerProcess` to `tests.conftest.Place`. All it says is in files of `folder`.
    """

    name: ClassVar[str]
    binary: ClassVar[str]
    modes: ClassVar[tuple[str, ...]] = MODES
    rooms: ClassVar[bool] = True

    def __init__(self, folder: Path, address: str, ca: CA, names: Names, insecure: list[str]) -> None:
        path = os.environ["PATH"] + ":/usr/sbin:/usr/bin"
        found = shutil.which(self.binary, path=path)
        if found is None:
            pytest.skip(f"{self.name} is not installed")
        folder.mkdir(parents=True)
        self.program, self.folder, self.ip, self.ca, self.names = found, folder, address, ca, names
        self.processes: list[subprocess.Popen[bytes]] = []
        self.certificates: dict[str, Certificate] = {}
        for mode in self.modes:
            domains = [self.domain(mode), f"conference.{self.domain(mode)}"]
            self.certificates[mode] = certificate(ca, mode, *domains)
            for domain in domains[: 1 + self.rooms]:
                names.add(domain, address)
        self.configure(insecure)
        self.start()

    @classmethod
    def domain(cls, mode: str) -> str:
        return f"{mode}.{cls.name}.example"

    def address(self, kind: str = "c2s") -> tuple[str, int]:
        """Where it listens for "c2s" or "s2s"."""
        return self.ip, {"c2s": 5222, "s2s": 5269}[kind]

    def configure(self, insecure: list[str]) -> None:
        """Write the configuration."""
        raise NotImplementedError

    def commands(self) -> list[list[str]]:
        """What to run, in that order."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return {}

    def start(self) -> None:
        environment = {**os.environ, "HOME": str(self.folder), **self.environment()}
        for command in self.commands():
            with (self.folder / "output").open("ab") as output:
                process = subprocess.Popen(
                    self.names.command(*command), cwd=self.folder, env=environment, stdin=subprocess.DEVNULL,
                    stdout=output, stderr=subprocess.STDOUT,
                )  # fmt: skip
            self.processes.append(process)
            self.started(process)
        for kind in ("c2s", "s2s"):
            self.wait(self.address(kind))

    def started(self, process: subprocess.Popen[bytes]) -> None:
        """Called between two commands."""

    def wait(self, address: tuple[str, int]) -> None:
        """Until somebody listens there; other programs do not say when they are ready."""
        with gevent.Timeout(START, AssertionError(f"{self.name} does not listen; see {self.folder}")):
            while True:
                try:
                    socket.create_connection(address).close()
                    return
                except ConnectionRefusedError:
                    gone = [process.args for process in self.processes if process.poll() is not None]
                    assert not gone, f"{self.name} is gone: {gone}\n{self.said()}"
                    gevent.sleep(0.05)

    def said(self) -> str:
        return (self.folder / "output").read_text(errors="replace")[-4000:]

    def tail(self, start: int = 0) -> str:
        return self.said()

    def stop(self, number: int = signal.SIGTERM) -> None:
        for process in reversed(self.processes):
            process.send_signal(number)
        for process in self.processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()

    def restart(self) -> None:
        self.stop()
        self.start()


class Prosody(Peer):
    name = binary = "prosody"

    def configure(self, insecure: list[str]) -> None:
        hosts = "".join(
            PROSODY_HOST.format(
                domain=self.domain(mode),
                certificate=self.certificates[mode].chain,
                key=self.certificates[mode].key,
                without='"dialback"' if mode == EXTERNAL else "",
            )
            for mode in self.modes
        )
        listed = ", ".join(f'"{domain}"' for domain in insecure)
        (self.folder / "prosody.cfg.lua").write_text(
            PROSODY.format(folder=self.folder, ip=self.ip, ca=self.ca.root, insecure=listed) + hosts
        )

    def commands(self) -> list[list[str]]:
        return [[self.program, "-F", "--config", str(self.folder / "prosody.cfg.lua")]]


PROSODY = """
run_as_root = true
data_path = "{folder}/data"
pidfile = "{folder}/prosody.pid"
log = {{ debug = "{folder}/prosody.log" }}
interfaces = {{ "{ip}" }}
c2s_ports = {{ 5222 }}
c2s_direct_tls_ports = {{}}
s2s_ports = {{ 5269 }}
s2s_direct_tls_ports = {{}}
use_ipv6 = false
modules_enabled = {{
    "roster", "saslauth", "tls", "dialback", "disco", "ping", "register_ibr", "vcard", "version", "time",
    "offline", "smacks", "private", "s2s_bidi",
}}
allow_registration = true
authentication = "internal_hashed"
s2s_require_encryption = true
s2s_secure_auth = true
s2s_insecure_domains = {{ {insecure} }}
ssl = {{ cafile = "{ca}" }}
"""

PROSODY_HOST = """
VirtualHost "{domain}"
    ssl = {{ certificate = "{certificate}", key = "{key}" }}
    modules_disabled = {{ {without} }}
Component "conference.{domain}" "muc"
    ssl = {{ certificate = "{certificate}", key = "{key}" }}
    modules_disabled = {{ {without} }}
    muc_room_default_public = true
"""


class Ejabberd(Peer):
    """Its Erlang machine has no node name, so nothing else of Erlang's need run."""

    name = "ejabberd"
    binary = "erl"

    def configure(self, insecure: list[str]) -> None:
        hosts = "".join(
            EJABBERD_HOST.format(
                domain=self.domain(mode), dialback="mod_s2s_dialback: {}" if mode == DIALBACK else ""
            )
            for mode in self.modes
        )
        (self.folder / "ejabberd.yml").write_text(
            EJABBERD.format(
                domains=", ".join(map(self.domain, self.modes)),
                certificates=", ".join(f'"{made.both}"' for made in self.certificates.values()),
                ip=self.ip,
                ca=self.ca.root,
            )
            + hosts
        )

    def commands(self) -> list[list[str]]:
        return [
            [self.program, "-noinput", "+K", "true", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none",
             "-mnesia", "dir", f'"{self.folder}/spool"', "-s", "ejabberd"],
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        return {
            "ERL_LIBS": "/usr/lib/x86_64-linux-gnu",
            "ERL_CRASH_DUMP_BYTES": "0",
            "EJABBERD_CONFIG_PATH": str(self.folder / "ejabberd.yml"),
            "EJABBERD_LOG_PATH": str(self.folder / "ejabberd.log"),
        }


EJABBERD = """
hosts: [{domains}]
loglevel: debug
certfiles: [{certificates}]
ca_file: "{ca}"
s2s_use_starttls: required
s2s_cafile: "{ca}"
outgoing_s2s_families: [ipv4]
listen:
  - port: 5222
    ip: "{ip}"
    module: ejabberd_c2s
    starttls: true
  - port: 5269
    ip: "{ip}"
    module: ejabberd_s2s_in
auth_method: internal
registration_timeout: infinity
shaper_rules: {{}}
host_config:
"""

EJABBERD_HOST = """
  {domain}:
    modules:
      mod_adhoc: {{}}
      mod_disco: {{}}
      mod_last: {{}}
      mod_muc: {{host: "conference.@HOST@"}}
      mod_offline: {{}}
      mod_ping: {{}}
      mod_register: {{access: all, ip_access: all}}
      mod_roster: {{}}
      mod_stream_mgmt: {{}}
      mod_time: {{}}
      mod_vcard: {{}}
      mod_version: {{}}
      {dialback}
"""


class Jabberd2(Peer):
    """Four programs. It knows no SASL between servers, and there is no room service in its package."""

    name = "jabberd2"
    binary = "jabberd2-router"
    modes = (DIALBACK,)
    rooms = False

    def configure(self, insecure: list[str]) -> None:
        (self.folder / "spool").mkdir()
        (self.folder / "users.xml").write_text(JABBERD2_USERS)
        names = {
            "domain": self.domain(DIALBACK),
            "ip": self.ip,
            "folder": self.folder,
            "pem": self.certificates[DIALBACK].both,
            "modules": "/usr/lib/x86_64-linux-gnu/jabberd2",
        }
        for part, text in JABBERD2.items():
            link = "" if part == "router" else JABBERD2_LINK
            inner = (JABBERD2_COMMON + link + text).format(id=part, **names)
            (self.folder / f"{part}.xml").write_text(f"<{part}>{inner}</{part}>\n")

    def commands(self) -> list[list[str]]:
        return [
            [str(Path(self.program).with_name(f"jabberd2-{part}")), "-c", str(self.folder / f"{part}.xml")]
            for part in JABBERD2
        ]

    def started(self, process: subprocess.Popen[bytes]) -> None:
        if len(self.processes) == 1:
            self.wait((self.ip, 5347))


JABBERD2_USERS = "<users><user><name>jabberd</name><secret>secret</secret></user></users>\n"

JABBERD2_COMMON = """
<id>{id}</id><pidfile>{folder}/{id}.pid</pidfile>
<log type="file"><file>{folder}/{id}.log</file></log>
"""

JABBERD2_LINK = """
<router><ip>{ip}</ip><port>5347</port><user>jabberd</user><pass>secret</pass>
    <retry><init>10</init><lost>3</lost><sleep>1</sleep></retry></router>
"""

JABBERD2 = {
    "router": """
<local><ip>{ip}</ip><port>5347</port><users>{folder}/users.xml</users></local>
<aci><acl type="all"><user>jabberd</user></acl></aci>
""",
    "sm": """
<local><id>{domain}</id></local>
<storage><path>{modules}</path><driver>db</driver><db><path>{folder}/spool</path></db></storage>
<modules><path>{modules}</path>
<chain id="sess-start"><module>status</module></chain>
<chain id="sess-end"><module>status</module><module>iq-last</module></chain>
<chain id="in-sess"><module>validate</module><module>status</module><module>privacy</module>
    <module>roster</module><module>iq-vcard</module><module>iq-ping</module><module>iq-private</module>
    <module>disco</module><module>offline</module><module>presence</module><module>deliver</module></chain>
<chain id="in-router"><module>session</module><module>validate</module><module>presence</module>
    <module>privacy</module></chain>
<chain id="out-router"><module>privacy</module></chain>
<chain id="pkt-sm"><module>iq-last</module><module>iq-ping</module><module>iq-time</module>
    <module>iq-version</module><module>disco</module><module>echo</module><module>status</module>
    <module>presence</module></chain>
<chain id="pkt-user"><module>roster</module><module>presence</module><module>disco</module>
    <module>iq-vcard</module><module>deliver</module><module>offline</module><module>iq-last</module></chain>
<chain id="pkt-router"><module>session</module><module>disco</module></chain>
<chain id="user-load"><module>active</module><module>roster</module><module>privacy</module></chain>
<chain id="user-create"><module>active</module></chain>
<chain id="user-delete"><module>active</module><module>offline</module><module>roster</module></chain>
</modules>
<discovery><identity><category>server</category><type>im</type><name>jabberd2</name></identity></discovery>
""",
    "c2s": """
<local><id register-enable="mu" pemfile="{pem}">{domain}</id><ip>{ip}</ip><port>5222</port></local>
<io><limits><bytes>0</bytes><connects>0</connects><stanzas>0</stanzas></limits></io>
<authreg><path>{modules}</path><module>db</module><mechanisms><sasl><plain/></sasl></mechanisms>
    <ssl-mechanisms><sasl><plain/></sasl></ssl-mechanisms><db><path>{folder}/spool</path></db></authreg>
""",
    "s2s": """
<local><ip>{ip}</ip><port>5269</port><pemfile>{pem}</pemfile></local>
<check><interval>5</interval><queue>20</queue><retry>20</retry></check>
<lookup><srv>xmpp-server</srv><min-ttl>1</min-ttl><max-ttl>1</max-ttl><bad-host-timeout>1</bad-host-timeout></lookup>
<security><require_tls/></security>
""",
}

PEERS: dict[str, type[Peer]] = {kind.name: kind for kind in (Prosody, Ejabberd, Jabberd2)}
