"""A server's data on its way: from database to database, into a backup, and back."""

import json
import os
import sqlite3
import subprocess
import sys
import tarfile

import gevent
import pytest

from jabberd_py.xdb.db import open_database
from tests.client import Client
from tests.databases import mariadb, postgres  # noqa: F401
from tests.server import ROOT, environment

pytestmark = pytest.mark.sqlite  # copies from and to its files

ROSTER = "jabber:iq:roster"
HOSTS = {"hosts": {"localhost": {}}}


def ctl(config, *arguments, fails=False, finds=False):
    """jabberctl without a server: what it says; ``finds``: a check that finds something wrong."""
    command = [sys.executable, "-m", "jabberd_py.ctl", "--json", "--config", str(config), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60)
    assert (done.returncode != 0) is (fails or finds), done.stdout + done.stderr
    if fails:
        assert done.stderr.startswith("jabberctl: ") and done.stderr.count("\n") == 1, done.stderr
        return done.stderr
    return json.loads(done.stdout)


def login(server, name):
    return Client(server.address("c2s"), "localhost").login(name, "secret", "desk")


def fill(server):
    for name in ("romeo", "juliet"):
        server.ctl("accounts", "add", f"{name}@localhost", "--password", "secret")
    romeo = login(server, "romeo")
    romeo.iq("set", f"<query xmlns='{ROSTER}'><item jid='juliet@localhost' name='Júlia 😀'/></query>")
    romeo.iq("set", "<vCard xmlns='vcard-temp'><FN>Romeo</FN></vCard>")
    for number in range(1200):
        romeo.send(
            f"<message to='juliet@localhost' type='chat' id='m{number}'><body>{number} ♥</body></message>"
        )
        if number % 100 == 99:
            romeo.sync()
    romeo.iq("get", "<metadata xmlns='urn:xmpp:mam:2'/>")  # who reads, sorts in
    romeo.close()


def verify(server, messages=100):
    romeo = login(server, "romeo")
    items = romeo.iq("get", f"<query xmlns='{ROSTER}'/>").findall(f".//{{{ROSTER}}}item")
    assert [(item.get("jid"), item.get("name")) for item in items] == [("juliet@localhost", "Júlia 😀")]
    assert romeo.iq("get", "<vCard xmlns='vcard-temp'/>").findtext(".//{vcard-temp}FN") == "Romeo"
    juliet = login(server, "juliet")
    juliet.available()
    for number in range(messages):
        juliet.gets(f"<message id='m{number}'><body>{number} ♥</body></message>", 10)
    for client in (romeo, juliet):
        client.close()


def settings(path, **more):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(HOSTS | {"data": str(path.parent)} | more))
    return path


CONFIG = HOSTS | {"modules": {"offline": {"limit": 1200}}}


@pytest.fixture
def first(start_server):
    server = start_server(CONFIG, "first")
    fill(server)
    return server


def test_around_the_databases(first, mariadb, postgres, start_server, tmp_path):  # noqa: F811
    lite, other = f"sqlite:///{first.data}/jabberd.sqlite", f"sqlite:///{tmp_path}/other/j.sqlite"
    assert "in use" in ctl(first.file, "store", "copy", lite, mariadb.url, fails=True)
    first.stop()
    rows = ctl(first.file, "store", "copy", lite, mariadb.url)
    tables = {row["table"]: row for row in rows}
    assert tables["message"]["rows"] == 2400 and tables["account"]["rows"] == 2
    assert ctl(first.file, "store", "copy", mariadb.url, postgres.url) == rows
    assert ctl(first.file, "store", "copy", postgres.url, other) == rows
    for url in (mariadb.url, postgres.url, other):
        assert "not empty" in ctl(first.file, "store", "copy", lite, url, fails=True)
        server = start_server(CONFIG | {"database": url}, "server-" + url.partition(":")[0])
        server.ctl("accounts", "add", "nurse@localhost", "--password", "secret")  # a new row number
        verify(server)
        assert server.stop() == 0
        assert not [row for row in ctl(server.file, "check", "store") if row["trouble"]]


def test_a_copy_that_was_killed_is_no_store(first, tmp_path, start_server):
    first.stop()
    there = f"sqlite:///{tmp_path}/other/j.sqlite"
    lite = f"sqlite:///{first.data}/jabberd.sqlite"
    command = [
        sys.executable,
        "-m",
        "jabberd_py.ctl",
        "--config",
        str(first.file),
        "store",
        "copy",
        lite,
        there,
    ]
    copying = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL)
    other = tmp_path / "other" / "j.sqlite"
    with gevent.Timeout(20):
        while copying.poll() is None and not (other.exists() and _marked(other)):
            gevent.sleep(0)
    copying.kill()
    copying.wait()
    if _marked(other):  # it may have been quicker than we were
        with pytest.raises(AssertionError, match="never finished"):
            start_server(CONFIG | {"database": there}, "second")
        ctl(first.file, "store", "copy", lite, there)
    server = start_server(CONFIG | {"database": there}, "third")
    verify(server)


def _marked(path):
    try:
        with sqlite3.connect(path) as db:
            return bool(db.execute("SELECT 1 FROM schema_version WHERE number = 1000000").fetchone())
    except sqlite3.Error:
        return False


def backed_up(server, file):
    said = json.loads(server.ctl("backup", str(file), "--json"))
    assert (
        said["file"] == str(file)
        and said["bytes"] == os.path.getsize(file)
        and file.stat().st_mode & 0o777 == 0o600
    )
    with tarfile.open(file) as tar:
        assert tar.getnames() == [
            "jabberd.sqlite",
            "certificates/localhost.key",
            "certificates/localhost.pem",
        ]
    assert sorted(each.name for each in file.parent.iterdir()) == [file.name]


def test_backup_of_a_running_server_and_restore(first, start_server, tmp_path):
    file = tmp_path / "backups" / "one.tar.gz"
    file.parent.mkdir()
    backed_up(first, file)
    with pytest.raises(AssertionError, match="is there already"):
        first.ctl("backup", str(file))
    assert "in use" in ctl(first.file, "restore", str(file), fails=True)
    verify(first, 1200)
    first.kill9()

    fresh = settings(tmp_path / "fresh" / "fresh.yaml")
    assert "message" in {row["table"] for row in ctl(fresh, "restore", str(file))}
    key = fresh.parent / "certificates" / "localhost.key"
    assert key.read_bytes() == (first.data / "certificates" / "localhost.key").read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600
    verify(start_server(CONFIG, "fresh"), 1200)

    assert "not empty" in ctl(first.file, "restore", str(file), fails=True)
    ctl(first.file, "restore", str(file), "--force")
    assert (first.data / "jabberd.sqlite.old").exists()
    first.start()
    verify(first, 1200)


@pytest.mark.parametrize("kind", ["mariadb", "postgres"])
def test_backup_of_another_database(kind, request, start_server, tmp_path):
    url = request.getfixturevalue(kind).url.replace("/jabber?", f"/{kind}_two?")
    admin = open_database(request.getfixturevalue(kind).url)
    admin.execute_sql(f"CREATE DATABASE {kind}_two")
    admin.dispose_all()
    config = CONFIG | {"database": url}
    server = start_server(config, "first")
    fill(server)
    file = tmp_path / "backups" / "one.tar.gz"
    file.parent.mkdir()
    backed_up(server, file)
    assert not [row for row in json.loads(server.ctl("check", "store", "--json")) if row["trouble"]]
    server.stop()
    ctl(server.file, "restore", str(file), "--force")
    server.start()
    verify(server)
    server.stop()
    verify(_restored(file, tmp_path, start_server), 1200)


def _restored(file, tmp_path, start_server):
    ctl(settings(tmp_path / "lite" / "x.yaml"), "restore", str(file))
    return start_server(CONFIG, "lite")


def test_a_file_that_is_no_backup(tmp_path):
    config = settings(tmp_path / "fresh" / "fresh.yaml")
    junk = tmp_path / "junk.tar.gz"
    junk.write_bytes(os.urandom(5000))
    assert "junk.tar.gz" in ctl(config, "restore", str(junk), fails=True)
    assert sorted(each.name for each in config.parent.iterdir()) == ["fresh.yaml", "jabberd.lock"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_restores_is_the_servers(first, tmp_path):
    """The data folder is that of the server's user, who must be able to open all of it; nobody else may read it."""
    first.ctl("backup", str(tmp_path / "b.tar.gz"))
    first.stop()
    data = tmp_path / "there"
    config = settings(data / "there.yaml")
    os.chown(data, 12345, 12346)
    os.chmod(data, 0o700)
    (data / "trap").hardlink_to(first.file)
    ctl(config, "restore", str(tmp_path / "b.tar.gz"))
    made = [each for each in data.rglob("*") if each.name != "trap"]
    assert {"jabberd.sqlite", "jabberd.lock", "certificates", "localhost.key"} <= {each.name for each in made}
    assert {(each.stat().st_uid, each.stat().st_gid) for each in made} == {(12345, 12346)}
    private = [each for each in made if each.is_file() and each != config]
    assert {each.stat().st_mode & 0o777 for each in private} == {0o600}
    assert first.file.stat().st_uid == 0


def test_check_store_explains(first):
    sound = json.loads(first.ctl("check", "store", "--json"))
    rows = {row["check"]: row for row in sound}
    assert not [row for row in sound if row["trouble"]], sound
    assert rows["integrity"]["found"] == "sound" and "message 2,400" in rows["rows"]["found"]
    first.kill9()
    path = first.data / "jabberd.sqlite"
    with open(f"{path}-wal", "r+b") as log:
        log.seek(-4096, os.SEEK_END)
        log.write(os.urandom(4096))
    said = {row["check"]: row for row in ctl(first.file, "check", "store", finds=True)}
    assert "killed" in said["server"]["found"]
    assert "the log is damaged at page" in said["integrity"]["trouble"]
    first.start()
    assert "the log is damaged at page" in first.tail()
    rows = {row["check"]: row for row in json.loads(first.ctl("check", "store", "--json", code=1))}
    assert "the log is damaged" in rows["at the start"]["trouble"] and rows["integrity"]["found"] == "sound"
    verify(first)


def test_a_message_that_the_disk_spoilt_holds_up_no_other(first):
    """Its bytes are damaged where no check of the database's sees it."""
    assert first.stop() == 0
    path = first.data / "jabberd.sqlite"
    data = path.read_bytes()
    sign = "<body>7 ♥</body>".encode()
    assert sign in data
    path.write_bytes(data.replace(sign, b"<body>7 \xff\xfe<<body>".ljust(len(sign))[: len(sign)]))
    first.start()
    juliet = login(first, "juliet").available()
    for number in range(100):
        if number != 7:
            juliet.gets(f"<message id='m{number}'/>", 10)
    assert "a stored message cannot be read" in first.tail()
    juliet.close()
