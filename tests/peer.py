"""Other people's servers, started privately: what our client is tested against, and what we federate with."""

import shutil
import socket
import subprocess
from pathlib import Path

import gevent
import pytest

PROSODY = """
run_as_root = true
data_path = "{folder}/data"
pidfile = "{folder}/prosody.pid"
log = {{ debug = "{folder}/prosody.log" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {c2s} }}
c2s_direct_tls_ports = {{ {c2s_direct} }}
s2s_ports = {{ {s2s} }}
modules_enabled = {{ "roster", "saslauth", "tls", "disco", "ping", "register", "private", "vcard", "limits" }}
allow_registration = true
authentication = "internal_hashed"
ssl = {{ certificate = "{folder}/cert.pem", key = "{folder}/key.pem" }}
c2s_direct_tls_ssl = {{ certificate = "{folder}/cert.pem", key = "{folder}/key.pem" }}
VirtualHost "localhost"
VirtualHost "sha256.localhost"
    password_hash = "SHA-256"
VirtualHost "guest.localhost"
    authentication = "anonymous"
"""


class Prosody:
    """Prosody, in-band registration; localhost, sha256.localhost (its hash), guest.localhost (anonymous).

    `folder`: an empty one for it alone; it holds cert.pem, self-signed. No Prosody: the test is skipped.
    """

    def __init__(self, folder: Path) -> None:
        if not shutil.which("prosody"):
            pytest.skip("prosody is not installed")
        self.folder = folder
        self.ports = {kind: free_port() for kind in ("c2s", "c2s_direct", "s2s")}
        self_signed(folder, "localhost")
        (folder / "prosody.cfg.lua").write_text(PROSODY.format(folder=folder, **self.ports))
        self.process = subprocess.Popen(
            ["prosody", "--config", str(folder / "prosody.cfg.lua"), "-F"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for kind in self.ports:
            self.wait(self.address(kind))

    def address(self, kind: str) -> tuple[str, int]:
        """For "c2s", "c2s_direct" or "s2s"."""
        return "127.0.0.1", self.ports[kind]

    def wait(self, address: tuple[str, int]) -> None:
        """Until somebody listens there; other programs' servers do not say when they are ready."""
        with gevent.Timeout(20, AssertionError(f"prosody does not listen; see {self.folder}/prosody.log")):
            while True:
                try:
                    socket.create_connection(address).close()
                    return
                except ConnectionRefusedError:
                    assert self.process.poll() is None, f"prosody is gone; see {self.folder}/prosody.log"
                    gevent.sleep(0.05)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


def self_signed(folder: Path, domain: str) -> None:
    """cert.pem and key.pem (ECDSA P-256, SHA-256) for the domain, made by openssl."""
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            folder / "key.pem",
            "-out",
            folder / "cert.pem",
            "-days",
            "2",
            "-subj",
            f"/CN={domain}",
            "-addext",
            f"subjectAltName=DNS:{domain}",
        ],
        check=True,
        capture_output=True,
    )


def free_port() -> int:
    """A port nobody has now: for programs that cannot say which one they got."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
