"""Accounts as files (XEP-0227): out of one server, into another, whole."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.client import Client
from tests.server import ServerProcess

CONFIG = {"hosts": {"localhost": {}}}
LIST = (
    "<list name='quiet'><item type='jid' value='tybalt@localhost' action='deny' order='1'/>"
    "<item action='allow' order='2'/></list>"
)


@pytest.fixture
def server(start_server: Any) -> ServerProcess:
    found: ServerProcess = start_server(CONFIG)
    for name in ("romeo", "juliet"):
        found.ctl("accounts", "add", f"{name}@localhost", "--password", "secret")
    return found


def login(server: ServerProcess, user: str, password: str = "secret") -> Client:
    return Client(server.address("c2s"), "localhost").login(user, password)


def lived_in(server: ServerProcess) -> None:
    """Romeo's account has one of everything."""
    romeo, juliet = login(server, "romeo").available(), login(server, "juliet").available()
    item = "<item jid='juliet@localhost' name='Júlia &lt;3'><group>Friends &amp; more</group></item>"
    romeo.iq("set", f"<query xmlns='jabber:iq:roster'>{item}</query>")
    romeo.send("<presence to='juliet@localhost' type='subscribe'/>")
    juliet.gets("<presence type='subscribe'/>")
    juliet.send("<presence to='romeo@localhost' type='subscribed'/>")
    romeo.gets("<presence type='subscribed'/>")
    juliet.send("<presence to='romeo@localhost' type='subscribe'><status>please</status></presence>")
    romeo.gets("<presence type='subscribe'/>")
    romeo.iq("set", "<vCard xmlns='vcard-temp'><FN>Romeo ♥ Montague</FN></vCard>")
    romeo.iq("set", "<query xmlns='jabber:iq:private'><x xmlns='a:b'><y/>text</x></query>")
    romeo.iq("set", "<query xmlns='jabber:iq:private'><z xmlns='c:d'/></query>")
    romeo.iq("set", f"<query xmlns='jabber:iq:privacy'>{LIST}</query>")
    romeo.iq("set", "<query xmlns='jabber:iq:privacy'><default name='quiet'/></query>")
    for number in range(3):
        juliet.send(
            f"<message to='romeo@localhost' type='chat' id='m{number}'><body>seen {number}</body></message>"
        )
        romeo.gets(f"<message id='m{number}'/>")
    romeo.close()
    juliet.sync()
    juliet.send(
        "<message to='romeo@localhost' type='chat' id='late'><body xml:lang='it'>wherefore &lt;</body>"
        "<a xmlns='q:r'/></message>"
    )
    juliet.sync()
    juliet.close()


def test_a_whole_account_goes_out_and_comes_back(server: ServerProcess, tmp_path: Path) -> None:
    lived_in(server)
    file = tmp_path / "romeo.xml"
    assert (
        json.loads(server.ctl("accounts", "export", "romeo@localhost", str(file), "--json"))["bytes"] > 1000
    )
    assert file.stat().st_mode & 0o077 == 0 and "subscription='to'" in file.read_text()
    assert "exists" in server.ctl("accounts", "export", "romeo@localhost", str(file), code=1).lower()
    server.ctl("accounts", "delete", "romeo@localhost")
    (report,) = json.loads(server.ctl("accounts", "import", str(file), "--json"))
    assert report["jid"] == "romeo@localhost" and report["offline"] == 1 and report["archive"] == 4
    romeo = login(server, "romeo").available()  # his password is the old one
    late = romeo.gets(
        "<message id='late'><body>wherefore &lt;</body><a xmlns='q:r'/>"
        "<delay xmlns='urn:xmpp:delay' from='localhost'/></message>"
    )
    assert len(late.findall("{urn:xmpp:delay}delay")) == 1
    romeo.gets("<presence type='subscribe' from='juliet@localhost'><status>please</status></presence>")
    item = romeo.iq("get", "<query xmlns='jabber:iq:roster'/>").find(".//{jabber:iq:roster}item")
    assert item is not None and item.get("name") == "Júlia <3"
    assert item.findtext("{jabber:iq:roster}group") == "Friends & more"
    assert romeo.iq("get", "<vCard xmlns='vcard-temp'/>").findtext(".//{vcard-temp}FN") == "Romeo ♥ Montague"
    kept = romeo.iq("get", "<query xmlns='jabber:iq:private'><x xmlns='a:b'/></query>").find(".//{a:b}x")
    assert kept is not None and "".join(kept.itertext()) == "text" and len(kept) == 1
    names = romeo.iq("get", "<query xmlns='jabber:iq:privacy'/>")
    assert names.find(".//{jabber:iq:privacy}default").get("name") == "quiet"
    items = romeo.iq("get", "<query xmlns='jabber:iq:privacy'><list name='quiet'/></query>").findall(
        ".//{jabber:iq:privacy}item"
    )
    assert [(each.get("value"), each.get("action")) for each in items] == [
        ("tybalt@localhost", "deny"),
        (None, "allow"),
    ]
    romeo.iq("set", "<query xmlns='urn:xmpp:mam:2' queryid='q'/>")
    bodies = []
    for _ in range(4):
        result = romeo.gets("<message><result xmlns='urn:xmpp:mam:2' queryid='q'/></message>")
        bodies.append(result.findtext(".//{jabber:client}body"))
    assert bodies == ["seen 0", "seen 1", "seen 2", "wherefore <"]
    romeo.nothing("<message><result xmlns='urn:xmpp:mam:2'/></message>")


def test_an_account_moves_to_a_stopped_server_under_another_name(
    server: ServerProcess, start_server: Any, tmp_path: Path
) -> None:
    from tests.ctl.test_mistakes import alone

    lived_in(server)
    file = tmp_path / "romeo.xml"
    server.ctl("accounts", "export", "romeo@localhost", str(file))
    other: ServerProcess = start_server({"hosts": {"other.example": {}}}, "other")
    assert other.stop() == 0
    assert "localhost is not served here: --jid" in alone(other, "accounts", "import", str(file)).stderr
    done = alone(other, "accounts", "import", str(file), "--jid", "montague@other.example")
    assert done.returncode == 0, done.stderr
    assert "exists" in alone(other, "accounts", "import", str(file), "--jid", "montague@other.example").stderr
    other.start()
    moved = Client(other.address("c2s"), "other.example").login("montague", "secret").available()
    moved.gets("<message id='late'/>")
    moved.iq("set", "<query xmlns='urn:xmpp:mam:2' queryid='q'/>")
    moved.gets("<message><result xmlns='urn:xmpp:mam:2' queryid='q'/></message>")


PROSODY = """<?xml version='1.0'?>
<server-data xmlns='urn:xmpp:pie:0'>
 <host jid='localhost'>
  <user name='mercutio' password='queen mab'>
   <query xmlns='jabber:iq:roster'><item jid='romeo@localhost' name='Romeo' subscription='both'>
    <group>Friends</group></item></query>
   <offline-messages><message xmlns='jabber:client' from='romeo@localhost/orchard' to='mercutio@localhost' type='chat'>
    <body>Neither</body><delay xmlns='urn:xmpp:delay' from='localhost' stamp='2020-07-21T00:32:29Z'>Offline Storage</delay>
   </message></offline-messages>
   <archive xmlns='urn:xmpp:pie:0#mam'><result xmlns='urn:xmpp:mam:2' id='28482-98726-73623'>
    <forwarded xmlns='urn:xmpp:forward:0'>
    <delay xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z'/>
    <message xmlns='jabber:client' to='mercutio@localhost/b' from='romeo@localhost/o'><body>Call me but love</body></message>
   </forwarded></result></archive>
   <vCard xmlns='vcard-temp'><FN>Mercutio</FN></vCard>
  </user>
  <user name='benvolio'/>
 </host>
</server-data>"""


def test_what_another_server_has_written_is_read(server: ServerProcess, tmp_path: Path) -> None:
    file = tmp_path / "prosody.xml"
    file.write_text(PROSODY)
    reports = json.loads(server.ctl("accounts", "import", str(file), "--json"))
    assert [(each["jid"], each["password"]) for each in reports] == [
        ("mercutio@localhost", "as before"), ("benvolio@localhost", "none: set one")]  # fmt: skip
    client = login(server, "mercutio", "queen mab").available()
    delay = client.gets("<message><body>Neither</body></message>").find("{urn:xmpp:delay}delay")
    assert delay is not None and delay.get("stamp", "").startswith("2020-07-21T00:32:29")
    assert client.iq("get", "<vCard xmlns='vcard-temp'/>").findtext(".//{vcard-temp}FN") == "Mercutio"
    client.iq("set", "<query xmlns='urn:xmpp:mam:2' queryid='q'/>")
    first = client.gets("<message><result xmlns='urn:xmpp:mam:2' queryid='q'/></message>")
    assert first.findtext(".//{jabber:client}body") == "Call me but love"
    assert first.find(".//{urn:xmpp:delay}delay").get("stamp", "").startswith("2010-07-10T23:08:25")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("rubbish", "not XML"), ("<a/>", "no account is in it"), ("<server-data xmlns='urn:xmpp:pie:0'/>", "no account is in it"),
     (PROSODY.replace("name='mercutio'", "name='a b'"), "' ' may not be in the node"),
     (PROSODY.replace("jid='localhost'", "jid='gone.example'"), "gone.example is not served here"),
     (PROSODY.replace("name='mercutio'", "name='romeo'"), "romeo@localhost: that account exists"),
     (PROSODY.replace("2010-07-10T23:08:25Z", "yesterday"), "not a date and time"), (PROSODY[:900], "not XML")],
)  # fmt: skip
def test_a_file_that_is_wrong(server: ServerProcess, tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "wrong.xml"
    file.write_text(text)
    said = server.ctl("accounts", "import", str(file), code=1)
    assert sentence in said and said.count("\n") == 1, said
    assert "mercutio" not in server.ctl("accounts", "list"), "nothing is left half made"


@pytest.mark.sqlite
def test_accounts_of_a_domain_that_is_no_host_any_more(server: ServerProcess, tmp_path: Path) -> None:
    assert server.stop() == 0
    with sqlite3.connect(server.data / "jabberd.sqlite") as db:
        db.execute("UPDATE account SET owner = 'romeo@gone.example' WHERE owner = 'romeo@localhost'")
    server.start()
    assert json.loads(server.ctl("accounts", "unserved", "--json")) == [
        {"domain": "gone.example", "accounts": 1}
    ]
    server.ctl("accounts", "export", "romeo@gone.example", str(tmp_path / "romeo.xml"))
    assert "is served here" in server.ctl("accounts", "purge", "localhost", code=1)
    assert json.loads(server.ctl("accounts", "purge", "gone.example", "--json")) == {"removed": 1}
    assert json.loads(server.ctl("accounts", "unserved", "--json")) == []
    server.ctl("accounts", "import", str(tmp_path / "romeo.xml"), "--jid", "romeo@localhost")
    login(server, "romeo")
