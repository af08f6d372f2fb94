"""Files that other servers have written (XEP-0227), and a round trip of our own. `exports/` has what Prosody 0.12.3
(prosody-migrator) and ejabberd 23.01 (export_piefxis, SCRAM) wrote of one account that had been in use there."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from jabberd_py.modules.portable_out import USUAL
from jabberd_py.pubsub.config import Config
from tests.client import AuthFailed, Client
from tests.server import ServerProcess

FILES = Path(__file__).parent / "exports"
OLD, NEW = "old.example", "new.example"
PIE, MAM, ROSTER = "{urn:xmpp:pie:0}", "{urn:xmpp:mam:2}", "{jabber:iq:roster}"
PUBSUB, OWNER = "http://jabber.org/protocol/pubsub", "http://jabber.org/protocol/pubsub#owner"
NICK, MARKS = "http://jabber.org/protocol/nick", "urn:xmpp:bookmarks:1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: Any, databases: Any) -> Any:
    folder = tmp_path_factory.mktemp("exports")
    process = ServerProcess({**databases(folder), "hosts": {OLD: {}, NEW: {}}}, folder)
    yield process
    assert process.stop() == 0, process.tail()


def bring(server: ServerProcess, file: Path, *more: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(server.ctl("--json", "accounts", "import", str(file), *more))
    return found


def login(server: ServerProcess, jid: str, mechanism: str | None = None) -> Client:
    user, _, domain = jid.partition("@")
    return Client(server.address("c2s"), domain).login(user, "secret", mechanism=mechanism)


def contacts(client: Client) -> dict[str, tuple[str, str, list[str]]]:
    items = client.iq("get", "<query xmlns='jabber:iq:roster'/>").iter(f"{ROSTER}item")
    return {
        item.get("jid", ""): (
            item.get("name", ""),
            item.get("subscription", ""),
            sorted(g.text for g in item),
        )
        for item in items
    }


def archive(client: Client, most: int = 50) -> list[tuple[str, str]]:
    """(sender, text) of each message."""
    client.iq("set", f"<query xmlns='{MAM[1:-1]}' queryid='all'/>")
    results = [each for each in client.inbox if each.find(f"{MAM}result") is not None]
    found = []
    for each in results:
        client.inbox.remove(each)
        message = each.find(".//{jabber:client}message")
        found.append((message.get("from"), message.findtext("{jabber:client}body")))
    return found


def configuration(client: Client, node: str) -> dict[str, str | None]:
    form = client.iq("get", f"<pubsub xmlns='{OWNER}'><configure node='{node}'/></pubsub>")
    return {
        field.get("var"): field.findtext("{jabber:x:data}value")
        for field in form.iter("{jabber:x:data}field")
    }


def items(client: Client, node: str) -> list[str]:
    answer = client.iq("get", f"<pubsub xmlns='{PUBSUB}'><items node='{node}'/></pubsub>")
    return sorted(each.get("id", "") for each in answer.iter(f"{{{PUBSUB}}}item"))


def test_what_prosody_has_written(server: ServerProcess) -> None:
    (report,) = bring(server, FILES / "prosody-0.12.xml", "--jid", f"pro@{NEW}")
    assert report["password"].startswith("as before, with SCRAM-SHA-1 only"), report
    assert report["archive"] == 5 and report["failed"] == 0, report
    assert report["not imported"] == ""
    client = login(server, f"pro@{NEW}", "SCRAM-SHA-1")
    assert contacts(client) == {
        f"juliet@{OLD}": ("Júlia <3", "both", ["Friends & more", "Verona"]),
        "nurse@elsewhere.example": ("Nurse", "none", []),
    }
    assert archive(client)[3:] == [(f"pro@{NEW}/a", "O, parla ancora"), (f"juliet@{OLD}/b", "wherefore")]
    assert items(client, MARKS) == [f"crypt@conference.{OLD}", f"hall@conference.{OLD}"]
    assert configuration(client, MARKS)["pubsub#access_model"] == "whitelist"
    assert configuration(client, NICK)["pubsub#access_model"] == "open"
    affiliations = client.iq("get", f"<pubsub xmlns='{OWNER}'><affiliations node='{MARKS}'/></pubsub>")
    assert f"juliet@{OLD}" in [each.get("jid") for each in affiliations.iter(f"{{{OWNER}}}affiliation")]
    kept = client.iq("get", "<query xmlns='jabber:iq:private'><x xmlns='a:b'/></query>").find(".//{a:b}x")
    assert "".join(kept.itertext()) == "text"
    client.available()
    client.gets(f"<presence type='subscribe' from='tybalt@{OLD}'/>")
    client.close()


def test_subscribers_of_a_node_come_with_its_old_address(server: ServerProcess) -> None:
    bring(server, FILES / "prosody-0.12.xml")
    client = login(server, f"romeo@{OLD}", "SCRAM-SHA-1")
    answer = client.iq("get", f"<pubsub xmlns='{OWNER}'><subscriptions node='{NICK}'/></pubsub>")
    assert [
        (each.get("jid"), each.get("subscription")) for each in answer.iter(f"{{{OWNER}}}subscription")
    ] == [(f"juliet@{OLD}", "subscribed")]
    client.close()
    server.ctl("accounts", "delete", f"romeo@{OLD}")


def test_what_ejabberd_has_written(server: ServerProcess) -> None:
    """Its main file includes one for each host, its keys are base64 of base64, and blocked addresses are a privacy list."""
    reports = bring(server, FILES / "ejabberd-23.01.xml")
    assert [(each["jid"], each["password"], each["not imported"]) for each in reports] == [
        (f"{name}@{OLD}", reports[0]["password"], "") for name in ("romeo", "juliet", "tybalt")
    ]
    client = login(server, f"romeo@{OLD}", "SCRAM-SHA-1").available()
    client.gets(f"<presence type='subscribe' from='tybalt@{OLD}'/>")
    late = client.gets("<message id='late'><body>wherefore</body><a xmlns='q:r'/></message>")
    assert len(late.findall("{urn:xmpp:delay}delay")) == 1 and late.find("{urn:xmpp:mam:tmp}archived") is None
    assert contacts(client)[f"juliet@{OLD}"] == ("Júlia <3", "both", ["Friends & more", "Verona"])
    names = client.iq("get", "<query xmlns='jabber:iq:privacy'/>")
    assert {each.get("name") for each in names.iter("{jabber:iq:privacy}list")} == {
        "quiet",
        "Blocked contacts",
    }
    client.close()


def test_keys_in_place_of_a_password(server: ServerProcess, tmp_path: Path) -> None:
    """As ejabberd wrote them before XEP-0227 said how."""
    old = (FILES / "prosody-0.12.xml").read_text()
    stored, key, salt = (
        re.search(f"<{name}>(.*?)</", old)[1] for name in ("stored-key", "server-key", "salt")
    )
    user = f"<user name='older' password='scram:{stored},{key},{salt},10000'/>"
    file = tmp_path / "older.xml"
    file.write_text(f"<server-data xmlns='urn:xmpp:pie:0'><host jid='{NEW}'>{user}</host></server-data>")
    assert bring(server, file)[0]["password"].startswith("as before, with SCRAM-SHA-1")
    login(server, f"older@{NEW}", "SCRAM-SHA-1").close()


def test_a_password_of_elsewhere_gets_the_other_keys_once_it_is_said(server: ServerProcess) -> None:
    bring(server, FILES / "prosody-0.12.xml", "--jid", f"once@{NEW}")
    with pytest.raises(AuthFailed):
        login(server, f"once@{NEW}", "SCRAM-SHA-512")
    login(server, f"once@{NEW}", "PLAIN").close()
    login(server, f"once@{NEW}", "SCRAM-SHA-512").close()
    login(server, f"once@{NEW}", "SCRAM-SHA-1").close()


@pytest.mark.parametrize(
    "href", ["../exports/x.xml", "/etc/passwd", "http://127.0.0.1/x", "gone.xml", "self.xml"]
)
def test_a_file_that_includes_what_it_must_not(server: ServerProcess, tmp_path: Path, href: str) -> None:
    file = tmp_path / "self.xml"
    include = f"<xi:include xmlns:xi='http://www.w3.org/2001/XInclude' href='{href}'/>"
    file.write_text(f"<server-data xmlns='urn:xmpp:pie:0'>{include}</server-data>")
    said = server.ctl("accounts", "import", str(file), code=1)
    assert "includes" in said and said.count("\n") == 1, said


def test_an_include_among_what_is_the_users_is_text(server: ServerProcess, tmp_path: Path) -> None:
    file = tmp_path / "inner.xml"
    include = "<xi:include xmlns:xi='http://www.w3.org/2001/XInclude' href='/etc/passwd'/>"
    card = f"<vCard xmlns='vcard-temp'><FN>A</FN>{include}</vCard>"
    file.write_text(
        f"<server-data xmlns='urn:xmpp:pie:0'><host jid='{NEW}'><user name='inner'>{card}</user></host></server-data>"
    )
    bring(server, file)
    assert "/etc/passwd" in ET.tostring(ET.parse(out(server, f"inner@{NEW}", tmp_path)).getroot(), "unicode")


def out(server: ServerProcess, jid: str, folder: Path) -> Path:
    file = folder / f"{jid}.xml"
    server.ctl("accounts", "export", jid, str(file))
    return file


def lived_in(server: ServerProcess, jid: str) -> None:
    """The account gets one of everything."""
    server.ctl("accounts", "add", jid, "--password", "secret")
    client = login(server, jid)
    client.iq(
        "set",
        "<query xmlns='jabber:iq:roster'><item jid='a@b.example' name='A'><group>G</group></item></query>",
    )
    client.iq("set", "<vCard xmlns='vcard-temp'><FN>Benvolio</FN></vCard>")
    client.iq("set", "<query xmlns='jabber:iq:private'><x xmlns='a:b'><y/>text</x></query>")
    client.iq(
        "set",
        "<prefs xmlns='urn:xmpp:mam:2' default='always'><always/><never><jid>a@b.example</jid></never></prefs>",
    )
    rules = (
        "<list name='quiet'><item type='jid' value='c@d.example' action='deny' order='1'><iq/></item></list>"
    )
    client.iq("set", f"<query xmlns='jabber:iq:privacy'>{rules}</query>")
    client.iq("set", "<block xmlns='urn:xmpp:blocking'><item jid='spam.example'/></block>")
    options = (
        "<field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>"
    )
    for var, value in (("access_model", "open"), ("max_items", "max"), ("persist_items", "1")):
        options += f"<field var='pubsub#{var}'><value>{value}</value></field>"
    options = f"<publish-options><x xmlns='jabber:x:data' type='submit'>{options}</x></publish-options>"
    for number in range(3):
        item = f"<item id='i{number}'><y xmlns='own:notes'>{number}</y></item>"
        client.iq(
            "set", f"<pubsub xmlns='{PUBSUB}'><publish node='own:notes'>{item}</publish>{options}</pubsub>"
        )
    client.iq("set", f"<pubsub xmlns='{OWNER}'><affiliations node='own:notes'>"
                     "<affiliation jid='a@b.example' affiliation='publisher'/></affiliations></pubsub>")  # fmt: skip
    client.iq("set", f"<pubsub xmlns='{PUBSUB}'><publish node='{NICK}'><item id='current'>"
                     f"<nick xmlns='{NICK}'>Ben</nick></item></publish></pubsub>")  # fmt: skip
    client.available()
    client.send(f"<message to='{jid}' type='chat' id='note'><body>to myself</body></message>")
    client.gets("<message id='note'/>")
    client.close()
    writer = login(server, f"writer@{jid.partition('@')[2]}")
    writer.send(f"<message to='{jid}' type='chat' id='late'><body>unread</body></message>")
    writer.sync()
    writer.close()


def plain(file: Path, jid: str) -> list[str]:
    """What the file says of the account, without its address and what belongs to its old place."""
    root = ET.parse(file).getroot()
    user = root.find(f"{PIE}host/{PIE}user")
    lines = []
    for part in user:
        if part.tag.endswith("scram-credentials"):
            continue
        for each in part.iter():
            each.attrib.pop("created" if part.tag == "{jabberd_py:about}account" else "subid", None)
            each.attrib.pop("seconds", None)
        text = ET.tostring(part, "unicode").replace(jid, "ME").replace(jid.partition("@")[2], "HERE")
        lines.append(text)
    return lines


def test_everything_that_goes_out_comes_in_again_under_another_name_of_another_host(
    server: ServerProcess, tmp_path: Path
) -> None:
    here, there = f"benvolio@{OLD}", f"ben@{NEW}"
    server.ctl("accounts", "add", f"writer@{OLD}", "--password", "secret")
    lived_in(server, here)
    file = out(server, here, tmp_path)
    (report,) = bring(server, file, "--jid", there)
    assert (report["offline"], report["archive"], report["failed"], report["nodes"]) == (1, 2, 0, 5), report
    assert report["not imported"] == ""
    first, second = plain(file, here), plain(out(server, there, tmp_path), there)
    assert without_messages(first) == without_messages(second)
    client = login(server, there).available()
    client.gets("<message id='late'/>")
    assert archive(client) == [
        (there + "/" + archive_resource(file), "to myself"),
        (f"writer@{OLD}/" + sender(file), "unread"),
    ]
    client.close()


def without_messages(lines: list[str]) -> list[str]:
    """Their numbers are others in another archive."""
    return [line for line in lines if not line.startswith("<ns0:archive") and "offline" not in line]


def archive_resource(file: Path) -> str:
    return (
        ET.parse(file)
        .getroot()
        .find(f".//{MAM}result//{{jabber:client}}message")
        .get("from")
        .partition("/")[2]
    )


def sender(file: Path) -> str:
    return ET.parse(file).getroot().find(f".//{PIE}offline-messages/*").get("from").partition("/")[2]


def test_what_a_configuration_does_not_say_is_written_all_the_same() -> None:
    assert {name: getattr(Config(), name) for name in USUAL} == USUAL
