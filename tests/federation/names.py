"""A name server for one test bed: what other people's servers ask, who only know port 53 of an address.

Whoever should use it runs behind `Names.command`: in a mount namespace of its own, where /etc/resolv.conf names
this server and /etc/hosts names nobody. So nothing leaves the machine.
"""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from gevent.server import DatagramServer

TTL = 1  # seconds: a server that moves is found again


class Names:
    """Answers SRV, A and AAAA for what `add` was told, NXDOMAIN for all else; from a greenlet."""

    def __init__(self, folder: Path, address: str) -> None:
        self.address = address
        self.servers: dict[str, tuple[str, int]] = {}
        self.asked: list[str] = []
        self.server = DatagramServer((address, 53), self._answer)
        try:
            self.server.start()
        except PermissionError:
            pytest.skip(f"no right to serve names at {address}, port 53")
        self.resolv, self.hosts = folder / "resolv.conf", folder / "hosts"
        self.resolv.write_text(f"nameserver {address}\noptions timeout:2 attempts:2\n")
        self.hosts.write_text("127.0.0.1 localhost\n")

    def add(self, domain: str, address: str, port: int = 5269) -> None:
        """From now on `domain` is served there: SRV to xmpp.`domain`."""
        self.servers[domain] = (address, port)

    def command(self, *command: str) -> list[str]:
        """The command as it must be run to ask us. Where there are no namespaces, the test is skipped."""
        mounts = f"mount --bind {self.resolv} /etc/resolv.conf && mount --bind {self.hosts} /etc/hosts"
        inside = ["unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh"]
        if not hasattr(self, "possible"):
            self.possible = (
                bool(shutil.which("unshare"))
                and not subprocess.run([*inside, "true"], capture_output=True, timeout=10).returncode
            )
        if not self.possible:
            pytest.skip("mount namespaces cannot be made here (root may)")
        return [*inside, *command]

    def stop(self) -> None:
        self.server.stop()

    def _answer(self, data: bytes, peer: tuple[str, int]) -> None:
        with contextlib.suppress(dns.exception.DNSException):
            question = dns.message.from_wire(data)
            self.server.sendto(self._reply(question).to_wire(), peer)

    def _reply(self, question: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(question, recursion_available=True)
        asked = question.question[0]
        name, kind = asked.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(asked.rdtype)
        self.asked.append(f"{kind} {name}")
        prefix, _, domain = name.partition("._tcp.")
        plain = name.removeprefix("xmpp.")
        if domain in self.servers:
            if kind == "SRV" and prefix == "_xmpp-server":
                text = f"0 0 {self.servers[domain][1]} xmpp.{domain}."
                reply.answer.append(dns.rrset.from_text(asked.name, TTL, "IN", "SRV", text))
            elif prefix != "_xmpp-server":
                reply.set_rcode(dns.rcode.NXDOMAIN)
        elif plain in self.servers:
            if kind == "A":
                text = self.servers[plain][0]
                reply.answer.append(dns.rrset.from_text(asked.name, TTL, "IN", "A", text))
        else:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply


def loopback(number: int) -> str:
    """An address of this process (0 < number < 255), so that two runs on one machine do not meet."""
    pid = os.getpid()
    return f"127.{64 + (pid >> 8) % 64}.{pid % 256}.{number}"
