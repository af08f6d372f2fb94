"""Private database servers in temporary folders, made from Debian's binaries; they can be killed and started again.

Import the fixtures by name: `from tests.databases import mariadb, postgres  # noqa: F401`."""

import contextlib
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile

import gevent
import pytest


def which(name):
    """On PATH, or where Debian hides PostgreSQL's."""
    found = shutil.which(name), *sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), reverse=True)
    return next((path for path in found if path), None)


class Server:
    """A database server that can be killed and started again."""

    def __init__(self, folder, prepare, run, ready, user):
        self.folder, self.command, self.ready, self.user = folder, run, ready, user
        subprocess.run(prepare, check=True, capture_output=True, user=user)
        self.start()

    def start(self):
        with gevent.Timeout(60, AssertionError(f"it does not start, see {self.folder}/log")):
            while True:
                with open(f"{self.folder}/log", "ab") as log:
                    self.process = subprocess.Popen(self.command, stdout=log, stderr=log, user=self.user)
                while self.process.poll() is None:
                    if self.ready():
                        return
                    gevent.sleep(0.05)
                # It died: after kill -9 the kernel may hold its file locks a little longer.

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def private(user):
    """A folder of its own, and the user to run as (PostgreSQL refuses root). Not below pytest's folder,
    which only we may enter; and the names of sockets must be short."""
    with tempfile.TemporaryDirectory(prefix="jabberd-") as folder:
        if os.getuid() == 0:
            os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
        yield folder, user if os.getuid() == 0 else None


def tried(function):
    def ready():
        try:
            function()
        except Exception:
            return False
        return True

    return ready


@pytest.fixture(scope="module")
def mariadb():
    pymysql = pytest.importorskip("pymysql")
    if not which("mariadbd") or not which("mariadb-install-db"):
        pytest.skip("no mariadbd on PATH")
    with private("mysql") as (folder, user):
        socket = f"{folder}/s"

        def ready():
            with pymysql.connect(unix_socket=socket, user="root") as connection:
                connection.cursor().execute("CREATE DATABASE IF NOT EXISTS jabber CHARACTER SET latin1")

        server = Server(
            folder,
            [
                "mariadb-install-db",
                "--no-defaults",
                f"--datadir={folder}/data",
                "--skip-test-db",
                "--auth-root-authentication-method=normal",
            ],
            [
                "mariadbd",
                "--no-defaults",
                f"--datadir={folder}/data",
                f"--socket={socket}",
                "--skip-networking",
            ],
            tried(ready),
            user,
        )
        server.url = f"mysql://root@localhost/jabber?unix_socket={socket}&pool=4"
        yield server
        server.kill()


@pytest.fixture(scope="module")
def postgres():
    psycopg = pytest.importorskip("psycopg")
    if not which("postgres") or not which("initdb"):
        pytest.skip("no postgres on PATH")
    with private("postgres") as (folder, user):

        def ready():
            with (
                psycopg.connect(f"host={folder} user=jabber dbname=postgres", autocommit=True) as link,
                contextlib.suppress(psycopg.errors.DuplicateDatabase),
            ):
                link.execute("CREATE DATABASE jabber")

        server = Server(
            folder,
            [
                which("initdb"),
                "-D",
                f"{folder}/data",
                "-A",
                "trust",
                "-U",
                "jabber",
                "-E",
                "UTF8",
                "-N",
                "--locale=C.UTF-8",
            ],
            [which("postgres"), "-D", f"{folder}/data", "-k", folder, "-c", "listen_addresses="],
            tried(ready),
            user,
        )
        server.url = f"postgresql://jabber@/jabber?host={folder}&pool=4"
        yield server
        server.kill()
