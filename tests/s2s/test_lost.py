"""What happens to stanzas when a stream to another server ends, and while the next one comes up (XEP-0198, XEP-0178)."""

import signal
import socket
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import gevent
import pytest

from tests.client import Client
from tests.conftest import CONFIG
from tests.federation.conftest import log_in
from tests.federation.rawpeer import DIALBACK, SASL, Accepted, Raw, RawServer
from tests.match import CLIENT, STREAM
from tests.server import ServerProcess

US = "us.example"
SM = "urn:xmpp:sm:3"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
OFFER = f"<sm xmlns='{SM}'/>"
pytestmark = pytest.mark.timeout(60)


class House(NamedTuple):
    """Our server with romeo, and the server of good.example, which does what a test says."""

    server: ServerProcess
    peer: RawServer
    romeo: Client

    def say(self, *bodies: str) -> None:
        """Romeo sends them; when this returns they are routed."""
        for body in bodies:
            self.romeo.send(f"<message to='juliet@good.example'><body>{body}</body></message>")
        self.romeo.iq("get", "<ping xmlns='urn:xmpp:ping'/>")

    def element(self, name: str, namespace: str = SM) -> Any:
        return self.peer.take(lambda element: element.tag == f"{{{namespace}}}{name}", f"<{name}/>", 20)

    def gone(self, reset: bool = False) -> Accepted:
        """Ends the last stream while our server stands still, which it does when this returns. First the peer's TCP
        acknowledges what it has: it likes to wait 40 ms, and with a reset it never does."""
        stream = self.stream
        stream.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self.server.process.send_signal(signal.SIGSTOP)
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", reset, 0))
        stream.socket.close()
        gevent.idle()  # gevent closes the socket after it has told the reader
        return stream

    def until(self, wanted: Any, seconds: float = 20) -> None:
        with gevent.Timeout(seconds, AssertionError("it did not happen")):
            while not wanted():
                self.peer.news.clear()
                self.peer.news.wait()

    @property
    def bodies(self) -> list[str]:
        """Of all messages that came, on whatever stream."""
        found = [element.findtext(f"{{{CLIENT}}}body") for each in self.peer.streams for element in each.got]
        return [body for body in found if body is not None]

    @property
    def stream(self) -> Accepted:
        """The last one that our server has opened."""
        return self.peer.streams[-1]

    def managed(self) -> Accepted:
        """A stream that can be resumed, on which "1" was sent and not acknowledged."""
        self.peer.features = OFFER
        self.say("1")
        self.element("enable")
        self.stream.send(f"<enabled xmlns='{SM}' id='it' resume='true'/>")
        self.peer.message("1", 20)
        self.element("r")
        return self.stream


@pytest.fixture
def house(tmp_path: Any, databases: Any) -> Iterator[House]:
    peer = RawServer(None)
    peer.bidi = True
    options = {
        "address": ["127.0.0.1"],
        "port": 0,
        "require_tls": False,
        "idle_timeout": "1s",
        "routes": {"good.example": peer.route},
    }
    config = {**CONFIG, **databases(tmp_path), "hosts": {US: {}}, "s2s": options}
    server = ServerProcess(config, tmp_path)
    Client(server.address(), US).connect().register("romeo", "secret").close()
    made = House(server, peer, log_in(server.address(), US, "romeo"))
    yield made
    made.romeo.close()
    server.stop()
    peer.stop()


def test_what_is_sent_while_an_idle_stream_closes_goes_out_on_the_next(house: House) -> None:
    house.peer.polite = False
    house.say("1")
    house.peer.message("1", 20)
    old = house.stream
    house.until(lambda: old.said_goodbye, 30)
    house.say("2")  # the old stream still waits for our answer
    house.peer.message("2", 20)
    assert house.stream is not old


def test_what_was_not_acknowledged_goes_out_where_nothing_can_be_resumed(house: House) -> None:
    old = house.managed()
    house.peer.features = ""
    old.socket.close()
    house.peer.message("1", 20)
    house.say("2")
    house.peer.message("2", 20)
    assert house.bodies == ["1", "1", "2"]


def test_what_went_to_a_server_that_had_just_gone_goes_out_again(house: House) -> None:
    """Without stream management, and the message and the end of the stream come to our server at the same time."""
    house.say("1")
    house.peer.message("1", 20)
    for round in range(3):
        gone, late = f"{round} gone", f"{round} late"
        old = house.gone()
        house.romeo.send(f"<message to='juliet@good.example'><body>{gone}</body></message>")
        house.server.process.send_signal(signal.SIGCONT)
        house.say(late)
        house.peer.message(gone, 20)
        house.peer.message(late, 20)
        assert house.stream is not old
    assert sorted(house.bodies) == sorted({*house.bodies})  # and nothing comes twice


def test_what_a_server_has_taken_does_not_come_again_when_its_stream_is_reset(house: House) -> None:
    """The next write finds out that the stream is over, before the reader does."""
    for round in range(2):
        had, gone = f"{round} had", f"{round} gone"
        house.say(had)
        house.peer.message(had, 20)
        old = house.gone(reset=True)
        house.romeo.send(f"<message to='juliet@good.example'><body>{gone}</body></message>")
        house.server.process.send_signal(signal.SIGCONT)
        house.peer.message(gone, 20)
        assert house.stream is not old
    assert sorted(house.bodies) == sorted({*house.bodies})


def test_nothing_is_said_between_auth_and_its_answer(house: House) -> None:
    """A key there would stand where the other side expects a new stream header."""
    house.peer.features = f"<mechanisms xmlns='{SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>"
    house.say("1")
    house.element("auth", SASL)
    house.say("2")
    stream = house.stream
    house.peer.features = ""
    stream.restart()
    stream.fresh = True
    stream.send(f"<success xmlns='{SASL}'/>")
    house.peer.message("2", 20)
    assert house.bodies == ["1", "2"]
    assert not [each for each in stream.got if each.tag == f"{{{DIALBACK}}}result"]


def resuming(house: House) -> Accepted:
    """A second stream, on which our server asks to resume the first."""
    house.managed().socket.close()
    house.element("resume")
    house.say("2")
    return house.stream


def test_what_comes_while_a_stream_is_resumed_waits_and_is_counted(house: House) -> None:
    stream = resuming(house)
    assert house.bodies == ["1"]
    stream.send(f"<resumed xmlns='{SM}' previd='it' h='0'/>")
    house.peer.message("2", 20)
    assert house.bodies == ["1", "1", "2"]
    stream.send(f"<a xmlns='{SM}' h='2'/>")
    house.say("3")
    house.peer.message("3", 20)
    assert house.stream is stream


def test_features_come_once(house: House) -> None:
    """A second time, while we ask to resume, they made us forget what was not acknowledged."""
    stream = resuming(house)
    stream.send(f"<stream:features>{OFFER}</stream:features>")
    for _ in "12":  # nobody has acknowledged them
        house.romeo.gets("<message type='error' from='juliet@good.example'/>", 20)


def test_no_tls_while_a_key_is_looked_at(house: House) -> None:
    """What is proven without TLS must not count behind it (RFC 6120, 5.4.3.3)."""
    house.peer.on_verify = lambda stream, element: None
    raw = Raw(house.server.address("s2s"), US, "good.example", tls="none")
    raw.open_socket()
    raw.open()
    raw.show_key()
    house.element("verify", DIALBACK)
    raw.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    raw.gets("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    raw.close()


def test_what_the_other_server_says_is_cut(house: House) -> None:
    """Else each stanza for it would come back with a text of half a megabyte."""
    text = f"<text xmlns='{STANZAS}'>{'x' * 100_000}</text>"
    house.peer.on_result = lambda stream, element: stream.send(
        f"<db:result from='good.example' to='{US}' type='error'><error type='cancel'>"
        f"<forbidden xmlns='{STANZAS}'/>{text}</error></db:result>"
    )
    house.say("1")
    error = house.romeo.gets("<message type='error' from='juliet@good.example'/>", 20)
    assert len(error.find(f".//{{{STANZAS}}}text").text) < 1000


def test_what_names_its_namespace_changes_it_with_the_stream(house: House) -> None:
    house.romeo.send(
        "<message to='juliet@good.example'><body xmlns='jabber:client'>explicit</body></message>"
    )
    house.peer.message("explicit", 20)
    assert b"jabber:client" not in house.stream.received


def test_a_check_takes_nothing_from_the_other_side(house: House) -> None:
    house.server.ctl("check", "federation", "good.example", code=None)
    house.until(lambda: house.stream.said_goodbye)
    assert not [each for each in house.stream.got if each.tag == "{urn:xmpp:bidi}bidi"]


def test_a_reload_with_a_wrong_ca_changes_nothing(house: House) -> None:
    good = house.server.file.read_text()
    house.server.file.write_text(
        good.replace('"idle_timeout"', '"ca": "/nowhere.pem", "deny": ["good.example"], "idle_timeout"')
    )
    with pytest.raises(AssertionError, match="s2s.ca"):
        house.server.ctl("reload")
    house.say("1")
    house.peer.message("1", 20)


def test_bytes_that_are_not_acknowledged_are_bounded(house: House) -> None:
    """s2s.queue_size, 4 MiB: a server that reads but acknowledges nothing must not fill our memory."""
    house.managed()
    for number in range(60):
        house.say(f"{number} " + "x" * 100_000)
    house.until(lambda: len(house.bodies) >= 40)
    assert len(house.bodies) < 45
    house.stream.send(f"<a xmlns='{SM}' h='{len(house.bodies)}'/>")
    house.until(lambda: len(house.bodies) == 61)


@pytest.mark.parametrize("change", ['"deny": ["good.example"]', '"certificates": "required"'])
def test_a_reload_applies_the_policy_to_streams_that_are_there(house: House, change: str) -> None:
    house.say("1")
    house.peer.message("1", 20)
    good = house.server.file.read_text()
    house.server.file.write_text(good.replace('"idle_timeout"', f'{change}, "idle_timeout"'))
    house.server.ctl("reload")
    error = house.element("error", STREAM)
    assert error[0].tag.endswith("}policy-violation")
    house.say("2")
    house.romeo.gets("<message type='error' from='juliet@good.example'/>")
    assert house.bodies == ["1"]


def test_who_acknowledges_nothing_loses_the_stream(house: House) -> None:
    """A server that is gone without a word would else keep what it was sent for as long as TCP tries."""
    good = house.server.file.read_text()
    house.server.file.write_text(good.replace('"idle_timeout"', '"answer_timeout": "1s", "idle_timeout"'))
    house.server.ctl("reload")
    old = house.managed()
    house.peer.features = ""
    house.peer.news.clear()
    house.until(lambda: house.bodies.count("1") == 2, 25)
    assert house.stream is not old


@pytest.mark.parametrize("managed", [False, True])
def test_a_server_that_only_listens_is_asked_before_its_stream_ends(house: House, managed: bool) -> None:
    """RFC 6120, 4.6.3: silence alone does not say that nobody is there."""
    raw = Raw(house.server.address("s2s"), US, "good.example", tls="none")
    raw.open_socket()
    raw.open()
    raw.send("<bidi xmlns='urn:xmpp:bidi'/>")
    raw.show_key()
    assert raw.verdict()[0] == "valid"
    if managed:
        raw.send(f"<enable xmlns='{SM}'/>")
        raw.gets(f"<enabled xmlns='{SM}'/>")
    for _ in "12":
        if managed:
            raw.gets(f"<r xmlns='{SM}'/>", 15)
            raw.send(f"<a xmlns='{SM}' h='0'/>")
        else:
            ping = raw.gets("<iq type='get'><ping xmlns='urn:xmpp:ping'/></iq>", 15)
            raw.send(f"<iq type='result' from='good.example' to='{US}' id='{ping.get('id')}'/>")
    assert raw.stream_error(15) == "connection-timeout"
    raw.close()


def test_a_stanza_that_the_other_server_never_takes_goes_back_alone(house: House) -> None:
    """Its stream would end over the same one again and again, and nobody here could write to that server."""

    def ends() -> None:
        stream = house.stream
        stream.send(
            "<stream:error><improper-addressing xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
            "</stream:stream>"
        )
        house.until(lambda: house.stream is not stream)

    def begins() -> None:
        house.element("enable")
        house.stream.send(f"<enabled xmlns='{SM}' id='it' resume='true'/>")

    house.managed()
    house.say("2 is bad", "3")
    house.until(lambda: "3" in house.bodies)
    ends()
    begins()
    house.until(lambda: house.bodies[3:] == ["1"])
    house.say("4")
    assert house.bodies[3:] == ["1"]
    house.stream.send(f"<a xmlns='{SM}' h='1'/>")
    house.until(lambda: house.bodies[3:] == ["1", "2 is bad"])
    ends()
    error = house.romeo.gets("<message type='error' from='juliet@good.example'/>", 20)
    assert "improper-addressing" in error.findtext(f".//{{{STANZAS}}}text")
    begins()
    house.until(lambda: house.bodies[5:] == ["3"])
    house.stream.send(f"<a xmlns='{SM}' h='1'/>")
    house.until(lambda: house.bodies[5:] == ["3", "4"])
