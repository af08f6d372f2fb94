"""An operator's mistakes: what he wrote, and the one line that he is told. The server does not start and leaves nothing."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.ca import CA
from tests.peers import free_port
from tests.server import ROOT, environment

ANY_PORT = "c2s: {address: 127.0.0.1, port: 0, direct_port: 0}\ns2s: {enabled: false}\n"


class Told(NamedTuple):
    """How the server ended, and what it said. FILE and DATA stand for their paths."""

    code: int
    said: str


Start = Callable[..., Told]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """`start(text, *arguments, ports=True, **environ)`: the server with this configuration; it must refuse to start."""

    def run(text: str, *arguments: str, ports: bool = True, **environ: str) -> Told:
        file, data = tmp_path / "jabberd.yaml", tmp_path / "data"
        file.write_text(text.replace("FOLDER", str(tmp_path)) + (ANY_PORT if ports else ""))
        if "\ndata:" not in "\n" + text:
            arguments = ("--set", f"data={data}", *arguments)
        done = subprocess.run([sys.executable, "-m", "jabberd_py", "--config", str(file), *arguments], cwd=ROOT,
                              env=environment() | environ, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60)  # fmt: skip
        assert done.stderr.count("\n") == 1 and done.stderr.startswith("jabberd: "), done.stdout + done.stderr
        said = done.stderr.removeprefix("jabberd: ").rstrip()
        return Told(done.returncode, said.replace(str(file), "FILE").replace(str(tmp_path), "FOLDER"))

    return run


WRONG_FILES = {
    "one host as text": (
        "hosts: example.org\n",
        "FILE:1: hosts: must be a list of domains: write [example.org]",
    ),
    "an admin without a domain": (
        "hosts:\n  localhost:\n    admins: [joe]\n",
        "FILE:3: hosts.localhost.admins: 'joe' is no account's address, it has no @: write joe@DOMAIN",
    ),
    "a list for an address": (
        "modules:\n  contact:\n    abuse: [[5]]\n",
        "FILE:3: modules.contact.abuse: must be text, not ['5']",
    ),
    "a service for calls without a host": (
        "modules:\n  external:\n    enabled: true\n    services:\n      - {type: turn, hst: a}\n",
        "FILE:4: modules.external.services: a service has no 'hst' (did you mean 'host'?)",
    ),
    "a network for the PROXY protocol that is none": (
        "http: {proxy_protocol: everybody}\n",
        "FILE:1: http.proxy_protocol: 'everybody' does not appear to be an IPv4 or IPv6 network",
    ),
    "an admin's resource": (
        "hosts:\n  localhost:\n    admins: [joe@localhost/desk]\n",
        "FILE:3: hosts.localhost.admins: 'joe@localhost/desk': an account's address ends before the /",
    ),
    "a web address for a host": ("hosts: ['https://example.org']\n", "FILE:1: hosts.https://example.org: "),
    "an account for a host": ("hosts: [joe@example.org]\n", "FILE:1: hosts.joe@example.org: "),
    "a database of no known kind": (
        "database: oracle://localhost/jabberd\n",
        "FILE:1: database: the store's URL must be sqlite:///FILE, mysql://USER:PASSWORD@HOST/NAME or postgresql://",
    ),
    "a database without a name": (
        "database: postgresql://localhost\n",
        "FILE:1: database: the store's URL must be ",
    ),
    "a database whose port is none": (
        "database: mysql://joe:hidden@localhost:x/jabberd\n",
        "FILE:1: database: the port in the store's URL is not a number",
    ),
    "a database that does not answer": (
        "database: postgresql://joe:hidden@127.0.0.1:1/jabberd\n",
        "FILE:1: database: 127.0.0.1:1/jabberd: ",
    ),
    "a database in a folder that cannot be": (
        "database: sqlite:////proc/nowhere/jabberd.sqlite\n",
        "FILE:1: database: /proc/nowhere",
    ),
    "a data folder that is a file": ("data: FOLDER/jabberd.yaml\n", "FILE:1: data: FILE is no folder"),
    "a data folder that cannot be made": (
        "data: /proc/nowhere\n",
        "FILE:1: data: cannot make /proc/nowhere: ",
    ),
    "a certificates' folder that cannot be made": (
        "tls:\n  certificates: /proc/nowhere\n",
        "FILE:2: tls.certificates: /proc/nowhere: No such file or directory",
    ),
    "no such authority": (
        "tls:\n  client_ca: /proc/nowhere\n",
        "FILE:2: tls.client_ca: /proc/nowhere: No such file or directory",
    ),
    "a section that is one word": (
        "log: debug\n",
        "FILE:1: log: must be a mapping of options to values, not 'debug'",
    ),
    "a list of modules": (
        "modules: [register]\n",
        "FILE:1: modules: must be a mapping of options to values, not [",
    ),
    "a tab": (
        "log:\n\tlevel: debug\n",
        "FILE:2: not YAML: found character '\\t' that cannot start any token",
    ),
    "a list that does not end": ("hosts: [example.org\n", "FILE:"),
}


@pytest.mark.parametrize("name", WRONG_FILES)
def test_a_wrong_file(start: Start, tmp_path: Path, name: str) -> None:
    text, sentence = WRONG_FILES[name]
    told = start(text)
    assert told.code == 1 and told.said.startswith(sentence), told.said
    assert "hidden" not in told.said
    assert [each.name for each in tmp_path.iterdir()] == ["jabberd.yaml"]


def test_no_such_authority_of_servers(start: Start) -> None:
    told = start(
        "c2s: {address: 127.0.0.1, port: 0, direct_port: 0}\ns2s:\n  ca: /proc/nowhere\n", ports=False
    )
    assert told == (1, "FILE:3: s2s.ca: /proc/nowhere: No such file or directory")


TLS = {
    "one port for two things": (
        "c2s: {address: 127.0.0.1, port: null, direct_port: PORT}\ns2s: {address: 127.0.0.1, port: PORT}\n",
        "FILE:2: s2s.port: cannot listen on 127.0.0.1 port PORT: Address already in use by this server: another option has ",
    ),
    "without TLS nobody could log in": (
        "c2s:\n  port: 0\n  tls: false\n",
        "FILE:3: c2s.tls: nobody could log in at c2s.port: set require_tls: false, too, or port: null",
    ),
    "an address that this machine has not": (
        "c2s:\n  address: 192.0.2.1\n  port: 0\n",
        "FILE:3: c2s.port: cannot listen on 192.0.2.1 port 0: Cannot assign requested address: "
        "this machine has no address 192.0.2.1",
    ),
    "a name that is no address": (
        "c2s:\n  address: nowhere.invalid\n",
        "FILE:1: c2s.port: cannot listen on nowhere.invalid port 5222: ",
    ),
}


@pytest.mark.parametrize("name", TLS)
def test_where_to_listen(start: Start, name: str) -> None:
    port = str(free_port())
    text, sentence = (each.replace("PORT", port) for each in TLS[name])
    told = start(text, ports=False)
    assert told.code == 1 and told.said.startswith(sentence), told.said


@pytest.mark.parametrize(
    ("variable", "value", "meant"),
    [
        ("JABBERD_C2S_PORT", "5333", "JABBERD_C2S__PORT"),
        ("JABBERD_LOG_LEVEL", "info", "JABBERD_LOG__LEVEL"),
        ("JABBERD_MODULES_REGISTER", "true", "JABBERD_MODULES__REGISTER"),
        ("JABBERD_DATABSE", "sqlite:///x", "JABBERD_DATABASE"),
        ("JABBERD_HOST", "[example.org]", "JABBERD_HOSTS"),
    ],
)
def test_a_variable_with_another_name(start: Start, variable: str, value: str, meant: str) -> None:
    told = start("", **{variable: value})
    assert told.code == 1 and told.said.startswith(f"{variable}: ")
    assert told.said.endswith(f"no such option (did you mean '{meant}'?)")


@pytest.mark.parametrize(
    "section", ["c2s: {PORT, address: 127.0.0.1, direct_port: null}\ns2s: {enabled: false}",
                "c2s: {port: null, direct_port: null}\ns2s: {PORT, address: 127.0.0.1}",
                "c2s: {port: null, direct_port: null}\ns2s: {enabled: false}\nmetrics: {PORT}"],
)  # fmt: skip
def test_a_port_that_somebody_has(start: Start, section: str) -> None:
    code = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None and other.stdin is not None
        port = int(other.stdout.readline())
        told = start(section.replace("PORT", f"port: {port}") + "\n", ports=False)
        other.stdin.close()
    assert told.code == 1
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use by " in told.said
    assert told.said.endswith(f", process {other.pid}")


# -- certificates and keys ---------------------------------------------------------------------------------


@pytest.fixture
def ca(tmp_path: Path) -> CA:
    return CA(tmp_path)


def _encrypt(folder: Path) -> None:
    from cryptography.hazmat.primitives import serialization as s

    file = folder / "localhost.key"
    key = s.load_pem_private_key(file.read_bytes(), None)
    file.write_bytes(
        key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.BestAvailableEncryption(b"secret"))
    )


def _turn_round(folder: Path) -> None:
    file = folder / "localhost.pem"
    file.write_bytes((folder / "ca.pem").read_bytes() + file.read_bytes())


CERTIFICATES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no key": (
        lambda f: (f / "localhost.key").unlink(),
        "FOLDER/localhost.key: is missing, the private key of localhost.pem",
    ),
    "no certificate": (
        lambda f: (f / "localhost.pem").unlink(),
        "FOLDER/localhost.pem: is missing, the certificate of localhost.key",
    ),
    "a link to nowhere": (
        lambda f: ((f / "localhost.key").unlink(), (f / "localhost.key").symlink_to("/proc/nowhere")),
        "FOLDER/localhost.key: No such file or directory",
    ),
    "an encrypted key": (
        _encrypt,
        "FOLDER/localhost.key: is encrypted, and nobody can be asked for the pass phrase at a start; "
        "decrypt it: openssl pkey -in localhost.key -out localhost.key.plain",
    ),
    "the key of another": (
        lambda f: (f / "localhost.key").write_bytes((f / "other.key").read_bytes()),
        "FOLDER/localhost.key: is the key of another certificate than localhost.pem",
    ),
    "no key at all": (
        lambda f: (f / "localhost.key").write_text("hello"),
        "FOLDER/localhost.key: holds no private key in PEM format that can be read",
    ),
    "no certificate at all": (
        lambda f: (f / "localhost.pem").write_text("hello"),
        "FOLDER/localhost.pem: holds no certificate in PEM format",
    ),
    "a key for a certificate": (
        lambda f: (f / "localhost.pem").write_bytes((f / "localhost.key").read_bytes()),
        "FOLDER/localhost.pem: holds no certificate in PEM format, but a private key",
    ),
    "half a certificate": (
        lambda f: (f / "localhost.pem").write_bytes((f / "localhost.pem").read_bytes()[:200]),
        "FOLDER/localhost.pem: holds a certificate that cannot be read",
    ),
    "the authority first": (
        _turn_round,
        "FOLDER/localhost.pem: the server's own certificate must come first, not as number 2",
    ),
    "a folder": (
        lambda f: ((f / "localhost.key").unlink(), (f / "localhost.key").mkdir()),
        "FOLDER/localhost.key: Is a directory",
    ),
}


@pytest.mark.parametrize("name", CERTIFICATES)
def test_a_certificate_that_cannot_be_used(start: Start, ca: CA, tmp_path: Path, name: str) -> None:
    ca.certificate("localhost")
    ca.certificate("other")
    spoil, sentence = CERTIFICATES[name]
    spoil(tmp_path)
    assert start("tls: {certificates: FOLDER}\n") == Told(1, sentence)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("hidden", ["the file", "the folder"])
def test_a_key_that_only_another_user_may_read(ca: CA, tmp_path: Path, hidden: str) -> None:
    _, key = ca.certificate("localhost")
    key.chmod(0o600)
    for each in (tmp_path, *tmp_path.parents[:2]):
        each.chmod(each.stat().st_mode | 0o055)
    if hidden == "the folder":  # as certbot's /etc/letsencrypt/archive
        tmp_path.chmod(0o700)
    code = f"""if True:
        import os, pathlib
        from jabberd_py.net import certfiles
        os.setuid(65534)
        print(certfiles.report("localhost", pathlib.Path({str(tmp_path)!r})).trouble[0])"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30)
    file, mode = (tmp_path, "0700") if hidden == "the folder" else (key, "0600")
    said = done.stdout.strip()
    assert said.endswith(
        f": Permission denied: {file} belongs to root, with mode {mode}; the server runs as nobody"
    ), done


# -- the store ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"hello, I am no database\n" * 100, os.urandom(8192), b"SQLite format 3\0" + b"x" * 4000]
)
def test_garbage_instead_of_a_database(start: Start, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "data/jabberd.sqlite"
    file.parent.mkdir()
    file.write_bytes(content)
    told = start("")
    assert told.code == 1 and "FOLDER/data/jabberd.sqlite: " in told.said, told.said
    assert file.read_bytes() == content


def test_a_port_of_ours(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mine:
        port = mine.getsockname()[1]
        told = start(f"c2s: {{address: 127.0.0.1, port: {port}}}\n", ports=False)
    assert told.said.endswith(f", process {os.getpid()}")
