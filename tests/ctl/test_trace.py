"""jabberctl trace: what goes over single streams, without what would let somebody log in; and what the log does not say."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from jabberd_py.net.trace import masked
from tests.client import Client
from tests.server import ServerProcess

SM = "urn:xmpp:sm:3"


class Watcher:
    """The lines of ``trace``, as they come."""

    def __init__(self, server: ServerProcess, jid: str) -> None:
        self.link = socket.socket(socket.AF_UNIX)
        self.link.settimeout(20)
        self.link.connect(str(server.socket))
        self.link.sendall(json.dumps({"command": "trace", "args": {"jid": jid}}).encode() + b"\n")
        self.lines = self.link.makefile("rb")
        self.seen = ""

    def until(self, *words: str) -> str:
        """The first line that has all these words."""
        while True:
            line: str = json.loads(self.lines.readline())["line"]
            self.seen += line + "\n"
            if all(word in line for word in words):
                return line

    def close(self) -> None:
        self.lines.close()
        self.link.close()


@pytest.fixture
def server(start_server: Any) -> ServerProcess:
    found: ServerProcess = start_server({"hosts": {"localhost": {}}, "log": {"level": "debug"}})
    for name in ("romeo", "juliet"):
        found.ctl("accounts", "add", f"{name}@localhost", "--password", "open sesame")
    return found


def login(server: ServerProcess, user: str, resource: str) -> Client:
    return Client(server.address("c2s"), "localhost").login(user, "open sesame", resource)


@pytest.fixture
def watch(server: ServerProcess) -> Iterator[Any]:
    opened: list[Watcher] = []

    def start(jid: str) -> Watcher:
        opened.append(Watcher(server, jid))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def test_an_account_is_watched_session_by_session(server: ServerProcess, watch: Any) -> None:
    romeo, juliet = login(server, "romeo", "desk"), login(server, "juliet", "balcony").available()
    watcher = watch("romeo@localhost")
    watcher.until("romeo@localhost/desk", "watching")
    romeo.sync()  # what a busy stream was just waiting for may be missed
    romeo.available()
    watcher.until("romeo@localhost/desk <- ", "<presence")
    juliet.send("<message to='romeo@localhost' type='chat'><body>hi</body></message>")
    watcher.until("romeo@localhost/desk -> ", "<body>hi</body>")
    second = login(server, "romeo", "phone").available()  # a session that begins while we watch
    watcher.until("romeo@localhost/phone <- ", "<presence")
    second.iq("set", "<query xmlns='jabber:iq:register'><username>romeo</username><password>open heaven</password></query>",
              "localhost")  # fmt: skip
    watcher.until("<username>romeo</username>")
    second.iq("set", "<query xmlns='jabber:iq:private'><s xmlns='storage:bookmarks'><conference jid='r@c' name='x'>"
                     "<password>door</password></conference></s></query>")  # fmt: skip
    watcher.until("storage:bookmarks")
    second.send(f"<enable xmlns='{SM}' resume='true'/>")
    token = second.gets(f"<enabled xmlns='{SM}'/>").get("id")
    watcher.until("<enabled")
    second.close()
    watcher.until("romeo@localhost/phone -- gone")
    assert "juliet@localhost/balcony ->" not in watcher.seen and "watching" in watcher.seen
    assert not [secret for secret in ("heaven", "door", token) if secret in watcher.seen], watcher.seen


def test_one_session_is_watched_and_the_others_are_not(server: ServerProcess, watch: Any) -> None:
    desk, phone = login(server, "romeo", "desk").available(), login(server, "romeo", "phone").available()
    watcher = watch("romeo@localhost/phone")
    watcher.until("watching")
    desk.sync()
    phone.sync()
    phone.sync()
    watcher.until("romeo@localhost/phone <- ", "urn:xmpp:ping")
    assert "romeo@localhost/desk" not in "".join(line[:60] for line in watcher.seen.splitlines())


def test_streams_go_on_when_nobody_watches_any_more(server: ServerProcess, watch: Any) -> None:
    romeo = login(server, "romeo", "desk").available()
    first, second = watch("romeo@localhost"), watch("localhost")
    first.until("watching")
    second.until("watching")
    romeo.sync()
    romeo.sync()
    first.until("urn:xmpp:ping")
    first.close()
    romeo.sync()
    second.until("urn:xmpp:ping")
    second.close()
    romeo.sync()
    login(server, "romeo", "phone").available().close()
    assert "Traceback" not in server.tail()


def test_the_log_says_who_watches_and_no_keys_even_at_level_debug(server: ServerProcess, watch: Any) -> None:
    watch("romeo@localhost")
    romeo = login(server, "romeo", "desk").available()
    romeo.send(f"<enable xmlns='{SM}' resume='true'/>")
    token = romeo.gets(f"<enabled xmlns='{SM}'/>").get("id")
    romeo.sync()
    server.ctl("accounts", "passwd", "romeo@localhost", "--password", "other sesame")
    assert server.stop() == 0
    said = server.log.read_text()
    assert 'command="trace"' in said or "command=trace" in said
    assert token not in said and "sesame" not in said and "SELECT" not in said and "INSERT" not in said
    assert "iterations" not in said


MASKED = """
<auth xmlns='x' mechanism='PLAIN'>AGpvZQBwdw==</auth>
<auth xmlns='x' mechanism='PLAIN'>***</auth>
<response xmlns='x'>Yz0=</response>
<response xmlns='x'>***</response>
<db:result from='a' to='b'>abc123</db:result>
<db:result from='a' to='b'>***</db:result>
<result xmlns='jabber:server:dialback' to='b'>abc</result>
<result xmlns='jabber:server:dialback' to='b'>***</result>
<handshake>aaee83</handshake>
<handshake>***</handshake>
<resume xmlns='urn:xmpp:sm:3' h='1' previd='tok'/>
<resume xmlns='urn:xmpp:sm:3' h='1' previd='***'/>
<enabled xmlns='urn:xmpp:sm:3' id='tok' resume='true'/>
<enabled xmlns='urn:xmpp:sm:3' id='***' resume='true'/>
<x:password xmlns:x='y'>p</x:password>
<x:password xmlns:x='y'>***</x:password>
<conference password="p" name='n'/>
<conference password='***' name='n'/>
<field var='muc#roomconfig_roomsecret'><value>p</value></field>
<field var='muc#roomconfig_roomsecret'><value>***</value></field>
<message id='1'><body>my password is</body></message>
<message id='1'><body>my password is</body></message>
<result xmlns='urn:xmpp:mam:2' id='7'><forwarded/></result>
<result xmlns='urn:xmpp:mam:2' id='7'><forwarded/></result>
<success xmlns='x'/><body>t</body>
<success xmlns='x'/><body>t</body>
<field var='code'><value>123456</value></field>
<field var='code'><value>***</value></field>
<field var='url'><value>https://a.example/password/abc-def</value></field>
<field var='url'><value>https://a.example/password/***</value></field>
<uri>xmpp:a.example?register;preauth=abc;ibr=y</uri>
<uri>xmpp:a.example?register;preauth=***;ibr=y</uri>
<put url='https://a.example/upload/abc/x'/>
<put url='***'/>
""".strip().splitlines()


@pytest.mark.parametrize(("text", "shown"), list(zip(MASKED[::2], MASKED[1::2], strict=True)))
def test_secrets_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_masking_a_hostile_text_takes_one_pass() -> None:
    """These took minutes: a tag was read anew from each place where something to mask may begin."""
    many = 20_000
    for text in (
        "<field var='" + many * "passw", "<field " + many * " var='passw'", many * "<field var='token'>", many * "<key ",
        many * "<enabled ", many * "<result ", "<verify " + many * "xmlns='jabber:server:dialback' ",
        many * "<field var='token'/>" + "<value/>", many * "<put ", many * "<put url=",
    ):  # fmt: skip
        assert masked(text) == text
