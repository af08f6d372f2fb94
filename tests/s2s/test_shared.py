"""A stream between servers is shared by many people: what one of them does wrong is his own trouble (RFC 6120, XEP-0198)."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.client import Client
from tests.conftest import CONFIG
from tests.federation.conftest import log_in
from tests.federation.rawpeer import Raw, RawServer
from tests.server import ServerProcess

US = "us.example"
SM = "urn:xmpp:sm:3"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
TO = f"romeo@{US}"
pytestmark = pytest.mark.timeout(120)


class House(NamedTuple):
    server: ServerProcess
    peer: RawServer
    romeo: Client

    def raw(self) -> Raw:
        """A stream of good.example, proven by dialback, with stream management."""
        raw = Raw(self.server.address("s2s"), US, "good.example", tls="none")
        raw.open_socket()
        raw.open()
        raw.show_key()
        assert raw.verdict()[0] == "valid"
        return raw

    def error(self, name: str, id: str) -> str:
        """The condition of the error reply that reached the peer."""
        answer = self.peer.take(
            lambda e: e.get("id") == id and e.tag.endswith("}" + name) and e.get("type") == "error", id, 20
        )
        assert answer.get("from") in (US, TO)
        return next(e.tag.rpartition("}")[2] for e in answer.iter() if e.tag.startswith(f"{{{STANZAS}}}"))


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory, databases: Any
) -> Iterator[tuple[ServerProcess, RawServer]]:
    peer = RawServer(None)
    folder = tmp_path_factory.mktemp("shared")
    s2s = {"address": ["127.0.0.1"], "port": 0, "require_tls": False, "routes": {"good.example": peer.route}}
    server = ServerProcess({**CONFIG, **databases(folder), "hosts": {US: {}}, "s2s": s2s}, folder)
    Client(server.address(), US).connect().register("romeo", "secret").close()
    yield server, peer
    server.stop()
    peer.stop()


@pytest.fixture
def house(place: tuple[ServerProcess, RawServer]) -> Iterator[House]:
    server, peer = place
    made = House(server, peer, log_in(server.address(), US, "romeo"))
    yield made
    made.romeo.close()


def message(body: str, sender: str = "juliet@good.example/b", to: str = TO, id: str = "m") -> str:
    return f"<message from='{sender}' to='{to}' id='{id}'><body>{body}</body></message>"


UNTAKEN = {
    "a nick of an emoji of next year": ("", message("x", "room@good.example/\U0001fa77\u200d\ufe0f")),
    "a nick without a room": ("", message("x", "@good.example")),
    "presence of one": ("", f"<presence from='room@good.example/\U0001fa77' to='{TO}'/>"),
    "a sender of elsewhere": ("", message("x", "juliet@bank.example")),
    "a sender of ours": ("", message("x", f"juliet@{US}")),
    "no address": ("jid-malformed", message("x", to=f"ro meo@{US}")),
    "an address without a domain": ("jid-malformed", message("x", to="@")),
    "a domain that is not ours": ("item-not-found", message("x", to="romeo@elsewhere.example")),
    "an IQ without a payload": (
        "bad-request",
        f"<iq from='juliet@good.example' to='{TO}' id='m' type='get'/>",
    ),
    "too large": ("policy-violation", message("x" * 600_000)),
    "too large, in elements": ("policy-violation", message("<b a='>'>x</b>" * 60_000)),
    "too deep": ("policy-violation", message("<b>" * 100 + "</b>" * 100)),
    "too many attributes": (
        "policy-violation",
        message("<b " + " ".join(f"a{n}=''" for n in range(99)) + "/>"),
    ),
    "a namespace with a space": (None, message("<x xmlns='urn:a b' xmlns:c='urn:c d' c:e=''/>hi")),
}


@pytest.mark.parametrize("name", UNTAKEN)
def test_what_cannot_be_taken_is_counted_and_the_stream_goes_on(house: House, name: str) -> None:
    condition, xml = UNTAKEN[name]
    raw = house.raw()
    raw.send(f"<enable xmlns='{SM}' resume='true'/>")
    raw.gets(f"<enabled xmlns='{SM}'/>")
    raw.send(
        message("before") + xml.replace("id='m'", f"id='{name}'") + message("after") + f"<r xmlns='{SM}'/>"
    )
    raw.gets(f"<a xmlns='{SM}' h='3'/>", 20)
    house.romeo.gets("<message><body>before</body></message>", 20)
    if condition is None:
        assert house.romeo.gets("<message/>").get("id") == name
    house.romeo.gets("<message><body>after</body></message>")
    if condition:
        assert house.error("iq" if xml.startswith("<iq") else "message", name) == condition
    raw.close()


def test_a_stanza_that_does_not_end_ends_the_stream(house: House) -> None:
    """Four times as large as may be: nobody reads for ever."""
    raw = house.raw()
    raw.polite = False
    raw.send(message("")[: -len("</body></message>")])
    try:
        for _ in range(30):
            raw.send("x" * 100_000)
    except OSError:
        pass
    assert raw.stream_error() == "policy-violation"
    raw.close()


def test_a_stream_that_ended_with_an_error_cannot_be_resumed(house: House) -> None:
    """RFC 6120, 4.9.1.1: else its stanza comes again, and ends the next one, too."""
    raw = house.raw()
    raw.send(f"<enable xmlns='{SM}' resume='true'/>")
    token = raw.gets(f"<enabled xmlns='{SM}'/>").get("id")
    raw.send(f"<message to='{TO}'/>")
    assert raw.stream_error() == "improper-addressing"
    raw.close()
    again = house.raw()
    again.send(f"<resume xmlns='{SM}' previd='{token}' h='0'/>")
    again.gets(f"<failed xmlns='{SM}'><item-not-found xmlns='{STANZAS}'/></failed>")
    again.send(message("on"))
    house.romeo.gets("<message><body>on</body></message>")
    again.close()


def test_a_stream_that_was_lost_is_resumed_behind_a_stanza_that_was_dropped(house: House) -> None:
    raw = house.raw()
    raw.send(f"<enable xmlns='{SM}' resume='true'/>")
    token = raw.gets(f"<enabled xmlns='{SM}'/>").get("id")
    raw.send(message("1") + UNTAKEN["a nick without a room"][1])
    house.romeo.gets("<message><body>1</body></message>")
    raw.socket.close()
    again = house.raw()
    again.send(f"<resume xmlns='{SM}' previd='{token}' h='0'/>")
    again.gets(f"<resumed xmlns='{SM}' h='2'/>")
    again.send(message("3"))
    house.romeo.gets("<message><body>3</body></message>")
    again.close()


def test_a_stream_without_prefixes(house: House) -> None:
    """RFC 6120, 4.8.2: the stream's own namespace is the default one, and each stanza names its own."""
    raw = Raw(house.server.address("s2s"), US, "good.example", tls="none")
    raw.open_socket()
    raw.restart_parser()
    raw.send(
        f"<stream xmlns='http://etherx.jabber.org/streams' to='{US}' from='good.example' version='1.0'>"
        f"<result xmlns='jabber:server:dialback' from='good.example' to='{US}'>key</result>"
    )
    assert raw.verdict()[0] == "valid"
    raw.send(message("plain").replace("<message", "<message xmlns='jabber:server'"))
    house.romeo.gets("<message><body>plain</body></message>")
    raw.send("</stream>")
    raw.closed()
    raw.close()


def test_a_message_that_leaves_says_its_language(house: House) -> None:
    """RFC 6120, 8.1.5: another server does not know what the client's stream header said."""
    house.romeo.send("<message to='juliet@good.example'><body>which?</body></message>")
    got = house.peer.message("which?", 20)
    assert got.get("{http://www.w3.org/XML/1998/namespace}lang") == "en"


def test_who_waits_for_an_answer_beyond_the_limits_gets_an_error(house: House) -> None:
    raw = house.raw()
    house.romeo.send("<iq type='get' id='q' to='juliet@good.example/b'><a xmlns='urn:x'/></iq>")
    house.peer.take(lambda element: element.get("id") == "q", "the question", 20)
    raw.send(
        f"<iq type='result' id='q' from='juliet@good.example/b' to='{house.romeo.jid}'>"
        f"<a xmlns='urn:x'>{'x' * 600_000}</a></iq>"
    )
    error = house.romeo.gets("<iq type='error' id='q' from='juliet@good.example/b'/>", 20)
    assert error[0][0].tag.endswith("}policy-violation")
    raw.close()
