"""Other people's servers, started privately: Prosody, ejabberd, jabberd2 (Debian's packages). For tests and loadtest.

This file knows how each of them is found, configured, started, waited for and stopped. A subclass says what it is wanted
for: to be logged in to (tests/test_client.py), to federate with (tests/federation/peers.py), to be measured (loadtest/peers).
"""

import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

START = 60.0
"""Seconds a server has to listen in: ejabberd on a busy machine."""
END = 15.0
"""Seconds it has to stop in, before it is killed."""
LIBRARIES = f"/usr/lib/{sysconfig.get_config_var('MULTIARCH')}"


class Unavailable(Exception):
    """This server does not start, or cannot do that."""


class NotInstalled(Unavailable):
    """It is not on this machine."""


class Program:
    """A server whose files are all in ``folder``. ``under``: a command that runs its programs.

    ``launch`` starts them and ``stop`` ends them, with all their children; then ``launch`` may start them again.
    """

    name: ClassVar[str] = ""
    package: ClassVar[str] = ""
    """Debian's."""
    binary: ClassVar[str] = ""

    def __init__(self, folder: Path, under: Sequence[str] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.under = folder, list(under)
        self.processes: list[subprocess.Popen[bytes]] = []

    def find(self) -> str:
        """The path of its binary. Raises NotInstalled."""
        path = shutil.which(self.binary, path=os.environ["PATH"] + ":/usr/sbin:/usr/bin")
        if path is None:
            raise NotInstalled(f"{self.package} is not installed")
        return path

    def commands(self) -> list[list[str]]:
        """What to run, in that order."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """What its programs find there besides ours."""
        return {}

    def started(self) -> None:
        """Called after each of the commands."""

    def launch(self, *addresses: tuple[str, int]) -> None:
        """Runs the commands; returns when they listen at these addresses. What they print goes to ``folder/output``."""
        environment = {**os.environ, "HOME": str(self.folder), **self.environment()}
        for command in self.commands():
            with (self.folder / "output").open("ab") as output:
                process = subprocess.Popen(
                    [*self.under, *command], cwd=self.folder, env=environment, stdin=subprocess.DEVNULL,
                    stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
            self.processes.append(process)
            self.started()
        for address in addresses:
            self.wait(address)

    def wait(self, address: tuple[str, int]) -> None:
        """Until somebody listens there: other people's programs do not say when they are ready. Raises Unavailable."""
        deadline = time.monotonic() + START
        while time.monotonic() < deadline and not self.gone():
            with suppress(OSError):
                socket.create_connection(address, 1).close()
                return
            time.sleep(0.05)
        raise Unavailable(f"{self.name} does not listen at {address}; gone: {self.gone()}\n{self.said()}")

    def gone(self) -> list[object]:
        """The commands that have ended."""
        return [process.args for process in self.processes if process.poll() is not None]

    def said(self) -> str:
        return (self.folder / "output").read_text(errors="replace")[-4000:]

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for what is left."""
        pids = self.pids()
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(END)
        for pid in pids:  # only what we started: children may have left the process group
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self.processes:
            process.wait()
        self.processes.clear()

    def pids(self) -> list[int]:
        """The processes and all their descendants."""
        found = []
        queue = [process.pid for process in self.processes if process.poll() is None]
        while queue:
            pid = queue.pop()
            with suppress(OSError):
                tasks = os.listdir(f"/proc/{pid}/task")
                found.append(pid)
                for task in tasks:
                    queue += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
        return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


class Prosody(Program):
    name = package = binary = "prosody"

    def configure(
        self,
        ip: str,
        ports: Mapping[str, int],
        modules: Iterable[str],
        settings: str,
        log: str = '{{ debug = "{folder}/prosody.log" }}',
    ) -> None:
        """``ports``: of "c2s", "c2s_direct", "s2s"; ``settings``: what else it is told, hosts at the end."""
        text = PROSODY.format(
            folder=self.folder,
            ip=ip,
            log=log.format(folder=self.folder),
            modules=", ".join(f'"{name}"' for name in modules),
            **{kind: ports.get(kind, "") for kind in ("c2s", "c2s_direct", "s2s")},
        )
        (self.folder / "prosody.cfg.lua").write_text(text + settings)

    def commands(self) -> list[list[str]]:
        return [[self.find(), "-F", "--config", str(self.folder / "prosody.cfg.lua")]]


PROSODY = """
run_as_root = true
data_path = "{folder}/data"
pidfile = "{folder}/prosody.pid"
log = {log}
interfaces = {{ "{ip}" }}
use_ipv6 = false
c2s_ports = {{ {c2s} }}
c2s_direct_tls_ports = {{ {c2s_direct} }}
s2s_ports = {{ {s2s} }}
s2s_direct_tls_ports = {{}}
modules_enabled = {{ {modules} }}
authentication = "internal_hashed"
storage = "internal"
"""


class Ejabberd(Program):
    """Its Erlang machine has no node name, so nothing else of Erlang's need run. Its schedulers do not spin while they
    wait (``+sbwt none``): spinning would count as work."""

    name = package = "ejabberd"
    binary = "erl"

    def configure(self, text: str) -> None:
        (self.folder / "ejabberd.yml").write_text(text)

    def commands(self) -> list[list[str]]:
        return [
            [self.find(), "-noinput", "+K", "true", "+P", "250000", "+sbwt", "none", "+sbwtdcpu", "none",
             "+sbwtdio", "none", "-mnesia", "dir", f'"{self.folder}/spool"', "-s", "ejabberd"],
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        return {
            "ERL_LIBS": LIBRARIES,
            "ERL_CRASH_DUMP_BYTES": "0",
            "EJABBERD_CONFIG_PATH": str(self.folder / "ejabberd.yml"),
            "EJABBERD_LOG_PATH": str(self.folder / "ejabberd.log"),
        }


class Jabberd2(Program):
    """Four programs: router, session manager, client and server connector. Module chains are those of Debian's sm.xml."""

    name = package = "jabberd2"
    binary = "jabberd2-router"

    def configure(
        self,
        domain: str,
        ip: str,
        ports: Mapping[str, int],
        pem: Path,
        store: str,
        mechanism: str,
        register: bool = False,
        logs: bool = True,
    ) -> None:
        """``ports``: of "router", "c2s", "s2s"; ``store``: a driver's name and then its element of settings; ``logs``:
        of all four, else of the router only."""
        self.router = (ip, ports["router"])
        self.log = self.folder / "router.log"
        driver, _, settings = store.partition(" ")
        values = {
            "folder": self.folder, "domain": domain, "ip": ip, "pem": pem, "library": f"{LIBRARIES}/jabberd2",
            "driver": driver, "settings": settings, "mechanism": mechanism, "files": FILES,
            "register": "register-enable='mu'" if register else "",
            "chains": "".join(f"<chain id='{name}'>{_modules(chain)}</chain>" for name, chain in CHAINS.items()),
            **{f"{kind}_port": port for kind, port in ports.items()},
        }  # fmt: skip
        (self.folder / "users.xml").write_text(USERS)
        for part, text in JABBERD2.items():
            log = self.folder / f"{part}.log" if logs or part == "router" else "/dev/null"
            inner = (COMMON + ("" if part == "router" else LINK) + text).format(part=part, log=log, **values)
            (self.folder / f"{part}.xml").write_text(f"<{part}>{inner}</{part}>\n")

    def commands(self) -> list[list[str]]:
        programs = Path(self.find())
        return [
            [str(programs.with_name(f"jabberd2-{part}")), "-c", str(self.folder / f"{part}.xml")]
            for part in JABBERD2
        ]

    def started(self) -> None:
        if len(self.processes) == 1:
            self.wait(self.router)

    def wait_until_linked(self, *parts: str) -> None:
        """Until the router knows these: "c2s", or a domain. Raises Unavailable."""
        deadline = time.monotonic() + START
        while not all(f"[{part}] online" in self.log.read_text() for part in parts):
            if time.monotonic() > deadline:
                raise Unavailable(f"jabberd2's parts do not find each other: {self.said()}")
            time.sleep(0.1)


FILES = 20_000
"""Descriptors of the client connector: users, and a few of its own."""
CHAINS = {
    "sess-start": "status",
    "sess-end": "status iq-last",
    "in-sess": "validate status privacy roster vacation iq-vcard iq-ping iq-private disco amp offline announce "
    "presence deliver",
    "in-router": "session validate presence privacy",
    "out-router": "privacy",
    "pkt-sm": "iq-last iq-ping iq-time iq-version amp disco announce help echo status presence",
    "pkt-user": "roster presence disco iq-vcard amp deliver vacation offline iq-last",
    "pkt-router": "session disco",
    "user-load": "active roster roster-publish privacy vacation",
    "user-create": "active template-roster",
    "user-delete": "active offline roster",
}
USERS = "<users><user><name>jabberd</name><secret>secret</secret></user></users>"
COMMON = """<id>{part}</id><pidfile>{folder}/{part}.pid</pidfile>
<log type='file'><file>{log}</file></log>
"""
LINK = """<router><ip>{ip}</ip><port>{router_port}</port><user>jabberd</user><pass>secret</pass>
<retry><init>30</init><lost>3</lost><sleep>1</sleep></retry></router>
"""
JABBERD2 = {
    "router": """<local><ip>{ip}</ip><port>{router_port}</port><users>{folder}/users.xml</users></local>
<check><interval>60</interval></check>
<io><max_fds>1024</max_fds><limits><bytes>0</bytes><connects>0</connects></limits></io>
<aci><acl type='all'><user>jabberd</user></acl></aci>""",
    "sm": """<local><id>{domain}</id></local>
<storage><path>{library}</path><driver>{driver}</driver>{settings}</storage>
<modules><path>{library}</path>{chains}</modules>
<discovery><identity><category>server</category><type>im</type><name>jabberd2</name></identity></discovery>""",
    "c2s": """<local><id {register} pemfile='{pem}'>{domain}</id><ip>{ip}</ip><port>{c2s_port}</port></local>
<io><max_fds>{files}</max_fds><limits><bytes>0</bytes><stanzas>0</stanzas><connects>0</connects>
<stanzasize>262144</stanzasize></limits></io>
<authreg><path>{library}</path><module>{driver}</module>{settings}
<mechanisms><sasl><{mechanism}/></sasl></mechanisms>
<ssl-mechanisms><sasl><{mechanism}/></sasl></ssl-mechanisms></authreg>""",
    "s2s": """<local><ip>{ip}</ip><port>{s2s_port}</port><pemfile>{pem}</pemfile></local>
<check><interval>5</interval><queue>20</queue><retry>20</retry></check>
<lookup><srv>xmpp-server</srv><min-ttl>1</min-ttl><max-ttl>1</max-ttl><bad-host-timeout>1</bad-host-timeout></lookup>
<security><require_tls/></security>""",
}


def _modules(chain: str) -> str:
    return "".join(f"<module>{name}</module>" for name in chain.split())
