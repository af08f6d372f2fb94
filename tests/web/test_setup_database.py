"""Set-up in the browser with MariaDB and PostgreSQL: the button that tries, and a server that goes on there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client import Client
from tests.databases import mariadb, postgres  # noqa: F401
from tests.web.browser import Browser
from tests.web.fresh import PASSWORD, Fresh, opened

SECRET = "p@ss/w:o?r#d %41'"


@pytest.fixture(params=["mariadb", "postgres"])
def database(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What is typed on the page. There are the users `owner` of the database `chat`, and `poor`, who may read only."""
    server = request.getfixturevalue(request.param)
    server.create("chat")
    kind = {"mariadb": "mysql", "postgres": "postgresql"}[request.param]
    (prepare_mariadb if kind == "mysql" else prepare_postgres)(server.folder)
    return {
        "kind": kind,
        "server": f"{server.folder}/s" if kind == "mysql" else server.folder,
        "name": "chat",
        "user": "owner",
    }


def prepare_mariadb(folder: str) -> None:
    import pymysql

    with pymysql.connect(unix_socket=f"{folder}/s", user="root") as link, link.cursor() as cursor:
        for name, rights in (("owner", "ALL"), ("poor", "SELECT")):
            cursor.execute(f"CREATE USER {name}@localhost IDENTIFIED BY %s", (SECRET,))
            cursor.execute(f"GRANT {rights} ON chat.* TO {name}@localhost")


def prepare_postgres(folder: str) -> None:
    import psycopg
    from psycopg import sql

    rules = Path(folder) / "data/pg_hba.conf"
    rules.write_text("local all owner,poor scram-sha-256\n" + rules.read_text())
    with psycopg.connect(f"host={folder} user=jabber dbname=chat", autocommit=True) as link:
        for name in ("owner", "poor"):
            link.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), sql.Literal(SECRET))
            )
        link.execute("ALTER DATABASE chat OWNER TO owner")
        link.execute("SELECT pg_reload_conf()")


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Fresh]:
    server = Fresh(tmp_path)
    yield server
    assert server.stop() == 0, server.tail()


def test_the_button_says_what_is_wrong_and_the_server_goes_on_there(
    fresh: Fresh, database: dict[str, Any]
) -> None:
    process, browser = fresh.process.pid, opened(fresh)
    browser.send("Continue", domain="localhost", tls="self-signed")
    right, kind = database | {"password": SECRET}, database["kind"]
    for change, said in (
        ({"password": "wrong"}, "the database refuses this user or this password"),
        ({"user": "nobody"}, "refuses this user" if kind == "mysql" else "knows no such user"),
        (
            {"name": "unknown"},
            "may not use a database of that name" if kind == "mysql" else "there is no such database",
        ),
        ({"user": "poor"}, "this user may not make tables there"),
        ({"server": "/nowhere/at/all"}, "nobody listens there"),
        ({"server": "127.0.0.1:1"}, "nobody listens there"),
        ({"server": "a..b"}, "no machine of that name"),
    ):
        for button in ("Test", "Continue"):
            try_it(browser, button, right | change)
            assert browser.page.status == 400 and said in browser.page.text, (change, browser.page.text)
            assert SECRET not in browser.page.html
    try_it(browser, "Test", right)
    assert browser.page.status == 200 and "The database can be used." in browser.page.text
    try_it(browser, "Continue", database)  # the password stays filled in
    assert browser.page.path == "/setup/administrator"
    browser.patience = 60.0  # all tables are made
    browser.send("Set up the server", admin="romeo", secret=PASSWORD, again=PASSWORD)
    assert browser.page.path == "/setup/done", browser.page.text

    romeo = Client(fresh.address("c2s"), "localhost").connect().login("romeo", PASSWORD).available()
    romeo.send("<message to='romeo@localhost' type='chat' id='m1'><body>to keep</body></message>")
    romeo.gets("<message id='m1'/>")
    romeo.close()
    assert fresh.process.pid == process and SECRET not in browser.page.html
    fresh.restart()
    assert not fresh.link
    Client(fresh.address("c2s"), "localhost").connect().login("romeo", PASSWORD).close()
    rows = str(fresh.ask("check store"))
    assert "chat" in rows and "jabberd.sqlite" not in rows and SECRET not in rows
    browser.close()


def try_it(browser: Browser, button: str, fields: dict[str, str]) -> None:
    """Presses the button of the page `database`; "Test" has an address of its own."""
    browser.get("/setup/database")
    if button == "Continue":
        browser.send(button, **fields)
    else:
        browser.post("/setup/database/test", browser.page.form(button).fields | fields)
