"""Private database servers in temporary folders, made from Debian's binaries; they can be killed and started again.

`with SERVERS["mariadb"]() as server`: `server.url` is a database in it, `server.fresh()` the URL of another, empty one.
Or import the fixtures by name: `from tests.databases import mariadb, postgres  # noqa: F401`."""

import contextlib
import glob
import itertools
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
    """A database server that can be killed and started again. `create(name)` makes a database if it is not there yet;
    `url` has `{}` for its name."""

    def __init__(self, folder, prepare, run, create, url, user):
        self.folder, self.command, self.create, self.user = folder, run, create, user
        self.template, self.url, self.numbers = url, url.format("jabber"), itertools.count(1)
        subprocess.run(prepare, check=True, capture_output=True, user=user)
        self.start()

    def fresh(self):
        name = f"jabber{next(self.numbers)}"
        self.create(name)
        return self.template.format(name)

    def ready(self):
        try:
            self.create("jabber")
        except Exception:
            return False
        return True

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


@contextlib.contextmanager
def running_mariadb():
    pymysql = pytest.importorskip("pymysql")
    if not which("mariadbd") or not which("mariadb-install-db"):
        pytest.skip("no mariadbd on PATH")
    with private("mysql") as (folder, user):
        socket, data = f"{folder}/s", f"--datadir={folder}/data"
        options = ["--skip-test-db", "--auth-root-authentication-method=normal"]

        def create(name):
            with pymysql.connect(unix_socket=socket, user="root") as connection:
                connection.cursor().execute(f"CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET latin1")

        server = Server(
            folder,
            ["mariadb-install-db", "--no-defaults", data, *options],
            ["mariadbd", "--no-defaults", data, f"--socket={socket}", "--skip-networking"],
            create,
            f"mysql://root@localhost/{{}}?unix_socket={socket}&pool=4",
            user,
        )
        yield server
        server.kill()


@contextlib.contextmanager
def running_postgres():
    psycopg = pytest.importorskip("psycopg")
    if not which("postgres") or not which("initdb"):
        pytest.skip("no postgres on PATH")
    with private("postgres") as (folder, user):
        data = ["-D", f"{folder}/data"]

        def create(name):
            with (
                psycopg.connect(f"host={folder} user=jabber dbname=postgres", autocommit=True) as link,
                contextlib.suppress(psycopg.errors.DuplicateDatabase),
            ):
                link.execute(f"CREATE DATABASE {name}")

        server = Server(
            folder,
            [which("initdb"), *data, "-A", "trust", "-U", "jabber", "-E", "UTF8", "-N", "--locale=C.UTF-8"],
            [which("postgres"), *data, "-k", folder, "-c", "listen_addresses="],
            create,
            f"postgresql://jabber@/{{}}?host={folder}&pool=4",
            user,
        )
        yield server
        server.kill()


SERVERS = {"mariadb": running_mariadb, "postgres": running_postgres}


@pytest.fixture(scope="module")
def mariadb():
    with running_mariadb() as server:
        yield server


@pytest.fixture(scope="module")
def postgres():
    with running_postgres() as server:
        yield server
