"""`make run` in a fresh clone: what it makes and says, how it ends, and what it refuses."""

import signal
import sqlite3
import stat
import subprocess
from pathlib import Path

import gevent
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from jabberd_py.xdb.schema import MIGRATIONS
from tests.acceptance.conftest import ANY_PORT, Clone, Run, Running
from tests.client import Client
from tests.peers import free_port

pytestmark = pytest.mark.timeout(180)  # the first test waits for pip
ANY = ANY_PORT.split()


# -- the first start ---------------------------------------------------------------------------------------


def test_it_makes_data_certificate_and_database_and_says_so(first_run: Running) -> None:
    data = first_run.clone.path / "their/data"
    assert [line for line in first_run.said if line.startswith("made ")] == [
        "made the data folder: their/data",
        f"made the database ready: their/data/jabberd.sqlite ({', '.join(what for _, what, _ in MIGRATIONS)})",
        "made a self-signed certificate: their/data/certificates/localhost.pem",
    ]
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    private = {each for each in data.rglob("*") if each.is_file()}
    assert {stat.S_IMODE(each.stat().st_mode) for each in private} == {0o600}
    assert (data / "certificates/localhost.key") in private


def test_the_certificate_is_ecdsa_p256_for_the_domain(first_run: Running) -> None:
    pem = (first_run.clone.path / "their/data/certificates/localhost.pem").read_bytes()
    certificate = x509.load_pem_x509_certificate(pem)
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [
        "localhost",
        "conference.localhost",
        "pubsub.localhost",
        "upload.localhost",
        "proxy.localhost",
    ]


def test_the_database_has_all_migrations(first_run: Running) -> None:
    with sqlite3.connect(first_run.clone.path / "their/data/jabberd.sqlite") as database:
        done = database.execute("SELECT number, what FROM schema_version ORDER BY number").fetchall()
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    assert done == [(number, what) for number, what, _ in MIGRATIONS]
    assert {"account", "document"} <= tables


def test_it_says_where_it_listens(first_run: Running) -> None:
    assert set(first_run.listeners) == {"c2s", "c2s_direct", "s2s", "http", "https", "bytestreams"}
    assert "hosts: localhost" in first_run.said
    for kind, tls in (("c2s", "starttls"), ("c2s_direct", "direct")):
        Client(first_run.listeners[kind], "localhost", tls).connect().close()


def test_the_first_account_is_made_as_it_says(first_run: Running) -> None:
    assert "there is no account yet; make the first one: " in first_run.output
    first_run.ctl("accounts", "add", "you@localhost", "--password", "secret")
    assert "you@localhost" in first_run.ctl("accounts", "list")
    client = Client(first_run.listeners["c2s"], "localhost").connect()
    client.login("you", "secret")
    assert "you@localhost" in first_run.ctl("sessions", "list")
    client.close()


# -- the second --------------------------------------------------------------------------------------------


def test_a_second_run_reuses_everything(run: Run, tmp_path: Path, clone: Clone) -> None:
    options = [*ANY, "--set", f"data={tmp_path / 'data'}"]
    first = run(*options, make=True)
    first.ctl("accounts", "add", "you@localhost", "--password", "secret")
    first.end()
    files = [tmp_path / "data/certificates/localhost.pem", clone.path / ".venv/run.stamp"]
    before = [(each.read_bytes(), each.stat().st_mtime_ns) for each in files]

    second = run(*options, make=True)
    assert "made" not in second.output and "install" not in second.output and "account" not in second.output
    assert [(each.read_bytes(), each.stat().st_mtime_ns) for each in files] == before
    Client(second.listeners["c2s"], "localhost").connect().login("you", "secret").close()


@pytest.mark.parametrize("make", [False, True], ids=["python -m", "make run"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_it_ends_streams_with_system_shutdown_and_exits_0(
    run: Run, tmp_path: Path, number: int, make: bool
) -> None:
    server = run(*ANY, "--set", f"data={tmp_path / 'data'}", make=make)
    server.ctl("accounts", "add", "you@localhost", "--password", "secret")
    client = Client(server.listeners["c2s"], "localhost").connect()
    client.login("you", "secret")
    ending = gevent.spawn(server.end, number)
    assert client.stream_error() == "system-shutdown"
    client.close()
    code = ending.get()
    assert server.log.read_text().count("stopped") == 1  # once, though make has passed the signal on as well
    if not make:  # make itself says that it was interrupted, whatever its child returns
        assert code == 0
    assert not (tmp_path / "data/jabberctl.sock").exists()
    assert not (tmp_path / "data/jabberd.sqlite-wal").exists()  # flushed into the database


# -- what it refuses: one line, no data folder -------------------------------------------------------------


@pytest.fixture
def nothing_made(tmp_path: Path):
    """The data folder that the test is to give; it must not come into being."""
    yield tmp_path / "above" / "data"
    assert not (tmp_path / "above").exists()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("c2s: [unclosed", "1: not YAML: "),
        ("log:\n\tlevel: info", "2: not YAML: "),
        ("log:\n  level: info\nc2s:\n  prot: 5222", "4: c2s.prot: no such option (did you mean 'port'?)"),
        ("modules:\n  regster: true", "2: modules.regster: no such module (did you mean 'register'?)"),
        ("hots: [example.org]", "1: hots: no such option (did you mean 'hosts'?)"),
        ("c2s:\n  port: many", "2: c2s.port: must be a whole number, not 'many'"),
        ("c2s:\n  port: 70000", "2: c2s.port: must be at most 65535"),
        ("\nlog: {level: loud}", "2: log.level: must be one of debug, info, warning, error"),
        ("c2s: {mechanisms: [SCRAM-SHA-3]}", "1: c2s.mechanisms: must be one of "),
        ("tls:\n  client_ca: /does/not/exist", "2: tls.client_ca: /does/not/exist: No such file or directory"),
    ],
)  # fmt: skip
def test_a_wrong_file(clone: Clone, tmp_path: Path, nothing_made: Path, text: str, line: str) -> None:
    file = tmp_path / "jabberd.yaml"
    file.write_text(text)
    options = [*ANY[2:], "--set", f"data={nothing_made}"] if "port" not in text else []
    assert clone.refuses("--config", str(file), *options).startswith(f"{file}:{line}")


def test_a_wrong_option_on_the_command_line(clone: Clone, nothing_made: Path) -> None:
    said = clone.refuses("--set", f"data={nothing_made}", "--set", "c2s.prot=5222")
    assert said == "--set: c2s.prot: no such option (did you mean 'port'?)"
    said = clone.refuses("--set", f"data={nothing_made}", "--set", "c2s.port=x")
    assert said == "--set: c2s.port: must be a whole number, not 'x'"


def test_a_wrong_environment_variable(clone: Clone, nothing_made: Path) -> None:
    said = clone.refuses(JABBERD_DATA=str(nothing_made), JABBERD_C2S__PROT="5222")
    assert said == "JABBERD_C2S__PROT: c2s.prot: no such option (did you mean 'port'?)"
    said = clone.refuses(JABBERD_DATA=str(nothing_made), JABBERD_LOG__LEVEL="loud")
    assert said == "JABBERD_LOG__LEVEL: log.level: must be one of debug, info, warning, error, not 'loud'"


def test_no_such_file(clone: Clone, nothing_made: Path) -> None:
    said = clone.refuses("--config", "/does/not/exist.yaml", "--set", f"data={nothing_made}")
    assert said == "/does/not/exist.yaml: cannot read: No such file or directory"


@pytest.mark.parametrize("option", ["port", "direct_port"])
def test_a_port_that_is_taken(
    clone: Clone, first_run: Running, tmp_path: Path, nothing_made: Path, option: str
) -> None:
    port, file = first_run.port(), tmp_path / "jabberd.yaml"
    file.write_text(f"data: {nothing_made}\nc2s:\n  address: 127.0.0.1\n  port: 0\n  direct_port: 0\n"
                    .replace(f" {option}: 0", f" {option}: {port}"))  # fmt: skip
    line = 4 if option == "port" else 5
    assert clone.refuses("--config", str(file)).startswith(
        f"{file}:{line}: c2s.{option}: cannot listen on 127.0.0.1 port {port}: Address already in use by python"
    )


def test_a_port_that_is_taken_leaves_no_database_in_an_old_folder(
    clone: Clone, first_run: Running, tmp_path: Path
) -> None:
    clone.refuses(*ANY, "--set", f"c2s.port={first_run.port()}", "--set", f"data={tmp_path}")
    assert list(tmp_path.iterdir()) == []


def test_a_data_folder_that_cannot_be(clone: Clone, tmp_path: Path) -> None:
    (tmp_path / "a-file").touch()
    config = tmp_path / "jabberd.yaml"
    config.write_text(f"\ndata: {tmp_path}/a-file/data\n")
    said = clone.refuses(*ANY, "--config", str(config))
    assert said == f"{config}:2: data: cannot make {tmp_path}/a-file/data: Not a directory"


def test_a_data_folder_that_is_in_use(clone: Clone, first_run: Running) -> None:
    said = clone.refuses(*ANY, "--set", "data=their/data")
    assert said.startswith("their/data: in use by another jabberd_py, process ")
    assert (clone.path / "their/data/jabberd.sqlite").exists()


def test_a_certificate_that_is_none(clone: Clone, tmp_path: Path, nothing_made: Path) -> None:
    pem = tmp_path / "localhost.pem"
    pem.write_text("no certificate")
    said = clone.refuses(*ANY, "--set", f"data={nothing_made}", "--set", f"tls.certificates={tmp_path}")
    assert said == f"{pem}: holds no certificate in PEM format"


def test_a_database_that_does_not_answer(clone: Clone, nothing_made: Path) -> None:
    url = f"mysql://root:hidden@127.0.0.1:{free_port()}/jabberd"
    said = clone.refuses(*ANY, "--set", f"data={nothing_made}", "--set", f"database={url}")
    assert "Connection refused" in said and "hidden" not in said


def test_make_says_so_too(clone: Clone, nothing_made: Path) -> None:
    done = subprocess.run(["make", "run", f"ARGS=--set data={nothing_made} --set c2s.prot=1"], cwd=clone.path,
                          env=clone.environment(), capture_output=True, text=True, timeout=30)  # fmt: skip
    assert done.returncode != 0 and done.stdout == ""
    assert done.stderr.splitlines()[0] == "jabberd: --set: c2s.prot: no such option (did you mean 'port'?)"
