"""An authority that speaks ACME: Debian's pebble; and what certificates a server shows."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path

from cryptography import x509

from jabberd_py.net.tls import make_self_signed
from tests.dns import DNSServer
from tests.peers import free_port
from tests.server import ServerProcess


class Pebble:
    """An authority that asks ``gate`` and finds all names but ``gone`` at 127.0.0.1."""

    def __init__(self, folder: Path, gate: int) -> None:
        self.folder, self.gate, self.port = folder, gate, free_port()
        self.certificate = folder / "pebble.pem"
        make_self_signed(["localhost"], self.certificate, folder / "pebble.key")
        self.names = DNSServer()
        config = {"listenAddress": f"127.0.0.1:{self.port}", "managementListenAddress": f"127.0.0.1:{free_port()}",
                  "certificate": str(self.certificate), "privateKey": str(folder / "pebble.key"), "httpPort": gate,
                  "tlsPort": free_port(), "ocspResponderURL": "", "externalAccountBindingRequired": False}  # fmt: skip
        (folder / "pebble.json").write_text(json.dumps({"pebble": config}))
        self.start()

    @property
    def directory(self) -> str:
        return f"https://localhost:{self.port}/dir"

    def start(self) -> None:
        environ = {
            **os.environ,
            "PEBBLE_VA_NOSLEEP": "1",
            "PEBBLE_WFE_NONCEREJECT": "0",
            "PEBBLE_AUTHZREUSE": "0",
        }
        with (self.folder / "pebble.log").open("ab") as log:
            self.process = subprocess.Popen(
                [shutil.which("pebble") or "/usr/bin/pebble", "-config", str(self.folder / "pebble.json"), "-strict",
                 "-dnsserver", f"127.0.0.1:{self.names.port}"],
                stdout=log, stderr=log, env=environ,
            )  # fmt: skip
        for _ in range(1000):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self.process.poll() is None, (self.folder / "pebble.log").read_text()
                threading.Event().wait(0.02)
        raise AssertionError("pebble did not start")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def certificate(server: ServerProcess, domain: str, kind: str = "c2s_direct") -> x509.Certificate:
    """The one that a client of that domain is shown. ``kind``: of the listener."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    sock = socket.create_connection(server.address(kind))
    with context.wrap_socket(sock, server_hostname=domain) as tls:
        return x509.load_der_x509_certificate(tls.getpeercert(True) or b"")


def names(cert: x509.Certificate) -> set[str]:
    found = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(found.get_values_for_type(x509.DNSName))
