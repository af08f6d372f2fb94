"""Hostile servers: each gets its exact error (RFC 6120 4.9.3 and 13.7, XEP-0220, XEP-0178), and nobody is fooled."""

import contextlib
import socket
from typing import NamedTuple

import pytest

from tests.c2s.attacks import BOMB
from tests.ca import CA
from tests.conftest import CONFIG
from tests.federation.conftest import log_in
from tests.federation.rawpeer import DIALBACK, SASL, SERVER, Raw, RawServer, header
from tests.match import CLIENT, STREAM
from tests.server import ServerProcess

US = "us.example"
HEADER = header(US, "good.example")
TO = "romeo@us.example"
pytestmark = pytest.mark.timeout(60)


class House(NamedTuple):
    """Our server with an account romeo, and the true server of every domain it asks for."""

    server: ServerProcess
    authority: RawServer
    ca: CA

    def raw(self, sender: str = "good.example", **options) -> Raw:
        return Raw(self.server.address("s2s"), US, sender, **options)

    def login(self):
        return log_in(self.server.address(), US, "romeo")


def house(folder, databases, s2s, certificates="dialback"):
    ca = CA(folder / "ca")
    authority = RawServer(
        ca.server_certificate("good.example", "other.example", "evil.example", "bank.example")
    )
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"127.0.0.1:{closed.getsockname()[1]}"
    routes = dict.fromkeys(["good.example", "other.example", "evil.example", "bank.example"], authority.route)
    options = {
        "address": ["127.0.0.1"],
        "port": 0,
        "ca": str(ca.file),
        "certificates": certificates,
        "routes": routes | {"nobody.example": nobody},
        "logins_per_address": 2000,
        "streams_per_address": 2000,
        **s2s,
    }
    config = {**CONFIG, **databases(folder), "hosts": {US: {}, "too.us.example": {}}, "s2s": options}
    server = ServerProcess({**config, "log": {"level": "debug"}}, folder)
    from tests.client import Client

    Client(server.address(), US).connect().register("romeo", "secret").close()
    return House(server, authority, ca)


@pytest.fixture(scope="module")
def dialback(tmp_path_factory, databases):
    """A server that is content with dialback."""
    made = house(tmp_path_factory.mktemp("dialback"), databases, {"bidi": False})
    yield made
    made.server.stop()
    made.authority.stop()


@pytest.fixture(scope="module")
def required(tmp_path_factory, databases):
    """One that wants valid certificates."""
    made = house(tmp_path_factory.mktemp("required"), databases, {"bidi": False}, "required")
    yield made
    made.server.stop()
    made.authority.stop()


@pytest.fixture(scope="module")
def strict(tmp_path_factory, databases):
    """One with little patience and little room."""
    s2s = {"login_timeout": "1s", "logins_per_address": 20, "streams_per_address": 40, "bidi": False}
    made = house(tmp_path_factory.mktemp("strict"), databases, s2s)
    yield made
    made.server.stop()
    made.authority.stop()


@pytest.fixture(scope="module")
def both_ways(tmp_path_factory, databases):
    """One that uses a stream in both directions (XEP-0288)."""
    made = house(tmp_path_factory.mktemp("both_ways"), databases, {"bidi": True})
    made.authority.bidi = True
    yield made
    made.server.stop()
    made.authority.stop()


@pytest.fixture(autouse=True)
def _all_keys_are_valid(request):
    for name in ("dialback", "required", "strict", "both_ways"):
        if name in request.fixturenames:
            request.getfixturevalue(name).authority.valid()


def message(body, sender="juliet@good.example/b", to=TO):
    return f"<message from='{sender}' to='{to}'><body>{body}</body></message>"


def refused(raw: Raw, condition: str) -> None:
    assert raw.stream_error() == condition
    raw.closed()
    raw.close()


# -- XML, stream headers, stanzas ------------------------------------------------------------------------------


class Attack(NamedTuple):
    """`data` is sent on the "socket", on the "stream" (TLS, nothing proven yet), or when good.example is "proven"."""

    stage: str
    data: str
    condition: str


ATTACKS = {
    "dtd": Attack("socket", f"<?xml version='1.0'?><!DOCTYPE x>{HEADER[21:]}", "restricted-xml"),
    "billion laughs": Attack(
        "socket", f'<!DOCTYPE x [<!ENTITY l0 "ha">{BOMB}]>{HEADER[21:]}<x>&l9;</x>', "restricted-xml"
    ),
    "comment": Attack("stream", "<!-- hi -->", "restricted-xml"),
    "entity": Attack("proven", "<message><body>&nbsp;</body></message>", "restricted-xml"),
    "not XML": Attack("socket", "EHLO us.example\r\n", "not-well-formed"),
    "wrong end tag": Attack("proven", "<message></iq>", "not-well-formed"),
    "Latin-1": Attack(
        "socket",
        HEADER.replace("<?xml version='1.0'", "<?xml version='1.0' encoding='iso-8859-1'"),
        "unsupported-encoding",
    ),
    "wrong stream namespace": Attack("socket", HEADER.replace(STREAM, "urn:x"), "invalid-namespace"),
    "a client's namespace": Attack(
        "socket", HEADER.replace(f"'{SERVER}'", f"'{CLIENT}'"), "invalid-namespace"
    ),
    "no content namespace": Attack("socket", HEADER.replace(f"xmlns='{SERVER}'", ""), "invalid-namespace"),
    "not a stream": Attack("socket", HEADER.replace("<stream:stream", "<stream:flood"), "invalid-namespace"),
    "unknown host": Attack("socket", HEADER.replace(f"to='{US}'", "to='example.org'"), "host-unknown"),
    "a host below ours": Attack("socket", HEADER.replace(f"to='{US}'", "to='x.us.example'"), "host-unknown"),
    "missing to": Attack("socket", HEADER.replace(f"to='{US}'", ""), "improper-addressing"),
    "from us": Attack("socket", HEADER.replace("from='good.example'", f"from='{US}'"), "invalid-from"),
    "large header": Attack("socket", HEADER[:-1] + f" a='{'x' * 20_000}'>", "policy-violation"),
    "10 MB attribute": Attack("socket", f"<stream a='{'x' * 10_000_000}'/>", "policy-violation"),
    "message before anything": Attack("socket", HEADER + message("x"), "not-authorized"),
    "message before dialback": Attack("stream", message("x"), "not-authorized"),
    "presence before dialback": Attack(
        "stream", f"<presence from='juliet@good.example' to='{TO}'/>", "not-authorized"
    ),
    "IQ before dialback": Attack(
        "stream",
        f"<iq type='get' id='1' from='good.example' to='{US}'><ping xmlns='urn:xmpp:ping'/></iq>",
        "not-authorized",
    ),
    "message right behind the key": Attack(
        "stream", f"<db:result from='good.example' to='{US}'>k</db:result>{message('x')}", "not-authorized"
    ),
    "large element before dialback": Attack(
        "stream", f"<db:result from='good.example' to='{US}'>{'k' * 20_000}</db:result>", "policy-violation"
    ),
    "100,000 levels before dialback": Attack("stream", "<a>" * 100_000, "policy-violation"),
    "unknown element": Attack("stream", "<x xmlns='urn:x'/>", "unsupported-stanza-type"),
    "key without from": Attack("stream", f"<db:result to='{US}'>k</db:result>", "improper-addressing"),
    "key without to": Attack("stream", "<db:result from='good.example'>k</db:result>", "improper-addressing"),
    "key of a person": Attack(
        "stream", f"<db:result from='juliet@good.example' to='{US}'>k</db:result>", "improper-addressing"
    ),
    "from missing": Attack("proven", f"<message to='{TO}'/>", "improper-addressing"),
    "to missing": Attack("proven", "<message from='juliet@good.example'/>", "improper-addressing"),
    "a stanza without end": Attack("proven", "<message><body>" + "x" * 2_200_000, "policy-violation"),
    "a tag without end": Attack("proven", "<message a='" + "x" * 1_200_000, "policy-violation"),
    "endless levels": Attack("proven", "<message>" + "<a>" * 2_000, "policy-violation"),
    "second header": Attack("proven", HEADER[21:], "bad-format"),
    "text": Attack("proven", "hello", "bad-format"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_each_attack_gets_its_stream_error(name, dialback):
    attack = ATTACKS[name]
    raw = dialback.raw()
    if attack.stage == "socket":
        raw.open_socket()
    elif attack.stage == "stream":
        raw.connect()
    else:
        raw.prove()
    raw.polite = False
    with contextlib.suppress(OSError):
        raw.raw(attack.data.encode())
    refused(raw, attack.condition)


def test_a_stream_of_before_2004_has_no_features(dialback):
    """RFC 6120, 4.7.5: without version='1.0' there are no features; TLS is required all the same."""
    raw = dialback.raw(tls="none")
    raw.open_socket()
    raw.send(header(US, "good.example", ""))
    raw.show_key()
    assert raw.verdict() == ("error", "policy-violation")
    assert raw.stream["id"]
    assert b"features" not in raw.received
    raw.send(message("x"))
    refused(raw, "not-authorized")


# -- dialback: we are the receiving server -----------------------------------------------------------------------


def test_who_proves_its_domain_may_speak_for_it(dialback):
    romeo = dialback.login()
    raw = dialback.raw().prove()
    raw.send(message("good"))
    romeo.gets(f"<message from='juliet@good.example/b' to='{TO}'><body>good</body></message>")
    raw.close()
    romeo.close()


def test_a_domain_one_does_not_own(dialback):
    romeo = dialback.login()
    dialback.authority.on_verify = lambda stream, element: stream.answer(element, "invalid")
    mallory = dialback.raw("bank.example").connect()
    mallory.show_key()
    assert mallory.verdict() == ("invalid", "")
    mallory.closed()
    mallory.close()
    romeo.nothing("<message/>")
    romeo.close()


def test_a_second_domain_that_one_does_not_own(dialback):
    """The first one stays (XEP-0220, 2.2.1)."""
    romeo = dialback.login()
    mallory = dialback.raw("evil.example").prove()
    dialback.authority.on_verify = lambda stream, element: stream.answer(element, "invalid")
    mallory.show_key(sender="bank.example")
    assert mallory.verdict() == ("error", "forbidden")
    mallory.send(message("mine", "m@evil.example"))
    romeo.gets("<message from='m@evil.example'><body>mine</body></message>")
    mallory.send(message("forged", "teller@bank.example"))
    mallory.send(message("mine, too", "m@evil.example"))
    assert romeo.gets("<message/>").findtext(f"{{{CLIENT}}}body") == "mine, too"
    mallory.close()
    romeo.close()


FORGED = {
    "another domain": "juliet@bank.example",
    "ours": f"juliet@{US}",
    "below": "juliet@x.good.example",
    "above": "juliet@example",
    "no node": "bank.example",
}


@pytest.mark.parametrize("name", FORGED)
def test_who_speaks_for_others_is_not_heard(name, dialback):
    """Many share this stream: it goes on (RFC 6120, 8.1.2.2, would have it end)."""
    romeo = dialback.login()
    raw = dialback.raw().prove()
    sender = FORGED[name]
    raw.send(message("forged", sender))
    raw.send(f"<s:message xmlns:s='{SERVER}' from='{sender}' to='{TO}'><body>forged</body></s:message>")
    raw.send(f"<iq type='get' id='1' from='{sender}' to='{US}'><ping xmlns='urn:xmpp:ping'/></iq>")
    raw.send(message("mine"))
    assert romeo.gets("<message/>").findtext(f"{{{CLIENT}}}body") == "mine"
    raw.close()
    romeo.close()


def test_a_second_domain_that_one_owns(dialback):
    romeo = dialback.login()
    raw = dialback.raw().prove()
    raw.show_key(sender="other.example", to="too.us.example")
    assert raw.verdict() == ("valid", "")
    raw.send(message("two", "j@other.example"))
    romeo.gets("<message from='j@other.example'><body>two</body></message>")
    raw.close()
    romeo.close()


@pytest.mark.parametrize(
    ("sender", "to", "conditions"),
    [
        ("good.example", "example.org", ["item-not-found"]),
        (US, US, ["forbidden", "not-acceptable"]),
        ("too.us.example", US, ["forbidden", "not-acceptable"]),
        (
            "nobody.example",
            US,
            ["remote-connection-failed", "remote-server-not-found", "remote-server-timeout"],
        ),
    ],
)
def test_keys_that_cannot_be_valid(sender, to, conditions, dialback):
    """An error (XEP-0220, 2.4.2), and the stream lives on."""
    raw = dialback.raw().connect()
    raw.show_key(sender=sender, to=to)
    kind, condition = raw.verdict(30)
    assert kind == "error"
    assert condition in conditions
    raw.show_key()
    assert raw.verdict() == ("valid", "")
    raw.close()


def test_the_authority_answers_for_another_stream(dialback):
    """From, to and id must be those of the question; then the true answer counts."""

    def confuse(stream, element):
        stream.answer(element, "valid", id="another")
        stream.answer(element, "valid", **{"from": "bank.example"})
        stream.answer(element, "valid", to="too.us.example")
        stream.answer(element, "invalid")

    dialback.authority.on_verify = confuse
    raw = dialback.raw().connect()
    raw.show_key()
    assert raw.verdict() == ("invalid", "")
    raw.close()


def test_verdicts_nobody_asked_for(dialback):
    """CVE-2012-4670 and its kin: on our own stream we are not told what others have to say."""
    romeo = dialback.login()
    dialback.authority.on_verify = lambda stream, element: None
    mallory = dialback.raw("bank.example").connect()
    mallory.show_key()
    dialback.authority.take(
        lambda element: element.tag == f"{{{DIALBACK}}}verify" and element.get("to") == "bank.example",
        "question",
    )
    helper = dialback.raw("evil.example").connect()
    for raw in (mallory, helper):
        raw.send(
            f"<db:verify from='bank.example' to='{US}' id='{mallory.stream['id']}' type='valid'/>"
            f"<db:result from='bank.example' to='{US}' type='valid'/>"
        )
        with contextlib.suppress(AssertionError):  # it may be dropped in silence, or end the stream
            raw.gets("<nothing/>", 0.3)
    for raw in (mallory, helper):
        if not raw.lost:
            raw.send(message("forged", "teller@bank.example"))
            assert raw.stream_error() == "not-authorized"
        raw.close()
    romeo.nothing("<message/>")
    romeo.close()


def test_a_key_is_text_also_for_the_server_that_is_asked(dialback):
    """The authority is asked on our own stream, where it believes what we say: a key must not speak there in our name."""
    romeo = dialback.login()
    romeo.send("<message to='juliet@good.example'><body>a stream of ours</body></message>")
    dialback.authority.message("a stream of ours", 20)
    dialback.authority.got.clear()
    forged = (
        f"</db:verify><message from='{TO}' to='juliet@good.example'><body>forged</body></message><db:verify>"
    )
    raw = dialback.raw().connect()
    raw.show_key(forged.replace("<", "&lt;"))
    assert raw.verdict() == ("valid", "")
    assert [element.tag.rpartition("}")[2] for element in dialback.authority.got] == ["verify"]
    assert dialback.authority.got[0].text == forged
    raw.close()
    romeo.close()


def test_a_key_of_hostile_length_is_passed_to_nobody(dialback):
    raw = dialback.raw().connect()
    dialback.authority.got.clear()
    raw.show_key("k" * 5000)
    assert raw.verdict() == ("error", "not-acceptable")
    assert not dialback.authority.got
    raw.close()


# -- dialback: we are the authoritative server --------------------------------------------------------------------


@pytest.fixture(scope="module")
def shown(dialback):
    """(key, id) that our server showed good.example for us.example."""
    romeo = dialback.login()
    romeo.send("<message to='juliet@good.example'><body>out</body></message>")
    dialback.authority.message("out", 20)
    romeo.close()
    return dialback.authority.key(US, "good.example")


def test_a_key_of_ours_is_valid(dialback, shown):
    raw = dialback.raw().connect()
    assert raw.asks(*shown, "good.example", US) == ("valid", "")
    raw.close()


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"key": "0" * 64}, ("invalid", "")),
        ({"key": ""}, ("invalid", "")),
        ({"key": "\u00e9"}, ("invalid", "")),
        ({"id": "another"}, ("invalid", "")),
        ({"id": ""}, ("invalid", "")),
        ({"sender": "evil.example"}, ("invalid", "")),
        ({"to": "too.us.example"}, ("invalid", "")),
        ({"to": "example.org"}, ("error", "item-not-found")),
    ],
)
def test_our_verdict_is_no_oracle(change, verdict, dialback, shown):
    asked = {"key": shown[0], "id": shown[1], "sender": "good.example", "to": US} | change
    raw = dialback.raw().connect()
    assert raw.asks(**asked) == verdict
    raw.close()


def test_stream_ids_are_never_used_twice(dialback):
    ids = set()
    for _ in range(20):
        raw = dialback.raw(tls="none")
        raw.open_socket()
        raw.open()
        ids.add(raw.stream["id"])
        raw.close()
        raw = dialback.raw().connect()
        ids.add(raw.stream["id"])
        raw.close()
    assert len(ids) == 40
    assert min(map(len, ids)) >= 16


# -- streams that we opened -------------------------------------------------------------------------------------------


def test_the_other_end_of_our_stream_is_no_way_in(dialback, shown):
    """Without XEP-0288 nothing comes back on it, and verdicts on it are about nobody else."""
    romeo = dialback.login()
    stream = next(stream for stream in dialback.authority.streams if stream.id == shown[1])
    stream.send(f"<db:result from='bank.example' to='{US}' type='valid'/>")
    with contextlib.suppress(OSError):
        stream.send(message("back"))
    dialback.authority.take(
        lambda element: (
            element.tag == f"{{{STREAM}}}error"
            and element[0].tag.rpartition("}")[2] in ("not-authorized", "invalid-from")
        ),
        "stream error",
    )
    romeo.nothing("<message/>")
    romeo.close()


@pytest.mark.parametrize(
    ("verdict", "domain", "condition"),
    [
        ("invalid", "other.example", "internal-server-error"),
        ("error", "evil.example", "remote-server-timeout"),
    ],
)
def test_who_does_not_believe_us_gets_nothing(verdict, domain, condition, dialback):
    """XEP-0220, 2.1.1: the stanza comes back, with the condition that belongs to the verdict."""
    romeo = dialback.login()
    dialback.authority.on_result = lambda stream, element: stream.answer(element, verdict)
    romeo.send(f"<message to='juliet@{domain}' id='m'><body>secret</body></message>")
    romeo.gets(
        f"<message type='error' id='m' from='juliet@{domain}'><error>"
        f"<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
        20,
    )
    assert not [e for e in dialback.authority.got if e.findtext(f"{{{CLIENT}}}body") == "secret"]
    romeo.close()


# -- streams for both directions (XEP-0288) ----------------------------------------------------------------------------

BIDI = "<bidi xmlns='urn:xmpp:bidi'/>"


def test_who_asks_for_both_directions_gets_what_is_for_its_domains_only(both_ways):
    romeo = both_ways.login()
    mallory = both_ways.raw("evil.example").connect()
    mallory.send(BIDI)
    mallory.show_key()
    assert mallory.verdict() == ("valid", "")
    romeo.send("<message to='m@evil.example'><body>for evil</body></message>")
    mallory.gets(f"<message from='{romeo.jid}' to='m@evil.example'><body>for evil</body></message>", 20)
    both_ways.authority.on_verify = lambda stream, element: stream.answer(element, "invalid")
    mallory.show_key(sender="bank.example")
    assert mallory.verdict() == ("error", "forbidden")
    romeo.send("<message to='teller@bank.example'><body>for the bank</body></message>")
    both_ways.authority.message("for the bank", 20)
    assert b"for the bank" not in mallory.received
    mallory.close()
    romeo.close()


def test_who_asks_for_both_directions_and_proves_nothing_gets_nothing(both_ways):
    romeo = both_ways.login()
    both_ways.authority.on_verify = lambda stream, element: None
    mallory = both_ways.raw("other.example").connect()
    mallory.send(BIDI)
    mallory.show_key()
    romeo.send("<message to='m@other.example'><body>secret</body></message>")
    both_ways.authority.message("secret", 20)
    assert b"secret" not in mallory.received
    mallory.close()
    romeo.close()


@pytest.mark.parametrize("sender", ["teller@bank.example", f"romeo@{US}", "x@x.good.example"])
def test_what_comes_back_on_our_stream_is_checked(sender, both_ways):
    romeo = both_ways.login()
    romeo.send("<message to='juliet@good.example'><body>ask</body></message>")
    both_ways.authority.message("ask", 20)
    stream = [s for s in both_ways.authority.streams if any(e.findtext(f"{{{CLIENT}}}body") for e in s.got)][
        -1
    ]
    both_ways.authority.got.clear()
    stream.send(message("answer"))
    romeo.gets("<message from='juliet@good.example/b'><body>answer</body></message>")
    stream.send(message("forged", sender) + message("mine"))
    assert romeo.gets("<message/>").findtext(f"{{{CLIENT}}}body") == "mine"
    romeo.close()


def test_what_waits_for_a_server_that_comes_back_follows_its_new_stream_header(both_ways):
    """Sent between <success/> and our header it was lost, though acknowledged: the other side awaits a header there."""
    romeo = both_ways.login()
    romeo.send("<enable xmlns='urn:xmpp:sm:3'/>")
    for body in "123":
        romeo.send(f"<message to='m@nobody.example'><body>{body}</body></message>")
    romeo.send("<r xmlns='urn:xmpp:sm:3'/>")
    romeo.gets("<a xmlns='urn:xmpp:sm:3' h='3'/>", 20)
    raw = both_ways.raw(
        "nobody.example", certificate=both_ways.ca.server_certificate("nobody.example")
    ).connect()
    raw.send(BIDI + f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>=</auth>")
    raw.gets(f"<success xmlns='{SASL}'/>")
    raw.open()
    said = bytes(raw.received).rpartition(b"</success>")[2].rpartition(b"-sasl'/>")[2]
    assert said.startswith(b"<?xml")
    raw.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
    raw.gets("<enabled xmlns='urn:xmpp:sm:3'/>")
    for body in "123":
        assert raw.gets("<message from='...'/>").findtext(f"{{{CLIENT}}}body") == body
    raw.gets("<r xmlns='urn:xmpp:sm:3'/>")
    raw.close()
    romeo.close()


def test_who_asks_for_both_directions_by_the_name_of_the_feature_gets_one(both_ways):
    """ejabberd 24.10 does."""
    romeo = both_ways.login()
    raw = both_ways.raw("evil.example").connect()
    raw.send("<bidi xmlns='urn:xmpp:features:bidi'/>")
    raw.show_key()
    assert raw.verdict() == ("valid", "")
    raw.send(message("on", "m@evil.example"))
    romeo.gets("<message><body>on</body></message>")
    raw.close()
    romeo.close()


def test_who_opens_a_stream_and_says_nothing_is_sent_what_waits(both_ways):
    romeo = both_ways.login()
    romeo.send("<enable xmlns='urn:xmpp:sm:3'/><message to='m@nobody.example'><body>silence</body></message>")
    romeo.send("<r xmlns='urn:xmpp:sm:3'/>")
    romeo.gets("<a xmlns='urn:xmpp:sm:3' h='1'/>", 20)
    raw = both_ways.raw(
        "nobody.example", certificate=both_ways.ca.server_certificate("nobody.example")
    ).connect()
    raw.send(BIDI + f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>=</auth>")
    raw.gets(f"<success xmlns='{SASL}'/>")
    raw.open()
    raw.gets("<message><body>silence</body></message>")
    raw.close()
    romeo.close()


def test_both_directions_asked_for_before_tls_are_forgotten(both_ways):
    """Anybody on the way could have put that in (RFC 6120, 5.4.3.3)."""
    romeo = both_ways.login()
    raw = both_ways.raw("evil.example", tls="none")
    raw.open_socket()
    raw.open()
    assert raw.features.find("{urn:xmpp:features:bidi}bidi") is None
    raw.send(BIDI + "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    raw.gets("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    raw.start_tls()
    raw.open()
    raw.show_key()
    assert raw.verdict() == ("valid", "")
    romeo.send("<message to='m@evil.example'><body>one way</body></message>")
    both_ways.authority.message("one way", 20)
    assert b"one way" not in raw.received
    raw.close()
    romeo.close()


def managed(house, sender="bank.example"):
    raw = house.raw(sender).connect()
    raw.send(BIDI)
    raw.show_key()
    assert raw.verdict() == ("valid", "")
    return raw


def test_a_false_count_in_resume_loses_nothing(both_ways):
    romeo = both_ways.login()
    sm = "urn:xmpp:sm:3"
    raw = managed(both_ways)
    raw.send(f"<enable xmlns='{sm}' resume='true'/>")
    token = raw.gets(f"<enabled xmlns='{sm}'/>").get("id")
    romeo.send("<message to='m@bank.example'><body>kept</body></message>")
    raw.gets("<message><body>kept</body></message>", 20)
    raw.abort()
    for h in ("x", "7"):
        raw = managed(both_ways)
        raw.send(f"<resume xmlns='{sm}' previd='{token}' h='{h}'/>")
        refused(raw, "undefined-condition")
    raw = managed(both_ways)
    raw.send(f"<resume xmlns='{sm}' previd='{token}' h='0'/>")
    raw.gets(f"<resumed xmlns='{sm}'/>")
    raw.gets("<message><body>kept</body></message>")
    raw.close()
    romeo.close()


def test_where_there_is_no_room_for_both_directions_one_remains(tmp_path, databases):
    made = house(tmp_path, databases, {"bidi": True, "links": 1})
    romeo = made.login()
    romeo.send("<message to='m@other.example'><body>fills it</body></message>")
    made.authority.message("fills it", 20)
    for sasl in (True, False):
        raw = made.raw(certificate=made.ca.server_certificate("good.example")).connect()
        raw.send(BIDI)
        if sasl:
            raw.send(f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>=</auth>")
            raw.gets(f"<success xmlns='{SASL}'/>")
            raw.open()
        else:
            raw.show_key()
            assert raw.verdict() == ("valid", "")
        raw.send(message("in"))
        romeo.gets("<message from='juliet@good.example/b'><body>in</body></message>")
        raw.close()
    romeo.close()
    made.server.stop()
    made.authority.stop()


def test_strangers_are_not_told_how_a_server_cannot_be_reached(dialback):
    """Else they could have us look into networks that they cannot see."""
    raw = dialback.raw().connect()
    raw.show_key(sender="nobody.example")
    assert raw.verdict(30)[0] == "error"
    assert b"127.0.0.1" not in raw.received
    assert b"refused" not in raw.received
    raw.close()


# -- certificates (XEP-0178) ------------------------------------------------------------------------------------------

GOOD = {
    "dNSName": {"domains": ["good.example"], "xmpp_addr": (), "srv": ()},
    "xmppAddr": {"domains": [], "xmpp_addr": ["good.example"], "srv": ()},
    "SRVName": {"domains": [], "xmpp_addr": (), "srv": ["_xmpp-server.good.example"]},
    "all of them": {"domains": ["bank.example", "good.example"]},
    "capitals": {"domains": ["GOOD.Example"], "xmpp_addr": (), "srv": ()},
}
BAD = {
    "another domain": {"domains": ["evil.example"]},
    "a domain below": {"domains": ["x.good.example"]},
    "a wildcard below": {"domains": ["*.good.example"]},
    "a wildcard in a label": {"domains": ["g*d.example"], "xmpp_addr": (), "srv": ()},
    "another service": {"domains": [], "xmpp_addr": (), "srv": ["_xmpp-client.good.example"]},
    "self-signed": {"domains": ["good.example"], "self_signed": True},
    "expired": {"domains": ["good.example"], "expired": True},
    "not yet valid": {"domains": ["good.example"], "future": True},
}


def issue(ca, domains, **options):
    return ca.server_certificate(*domains, **options)


def external(raw, authzid="="):
    raw.send(f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>{authzid}</auth>")
    return raw.gets(f"<failure xmlns='{SASL}'/>")[0].tag.rpartition("}")[2]


def offers_external(raw):
    return "EXTERNAL" in [element.text for element in raw.features.iter(f"{{{SASL}}}mechanism")]


@pytest.mark.parametrize("name", GOOD)
def test_a_good_certificate_is_proof(name, required):
    romeo = required.login()
    raw = required.raw(certificate=issue(required.ca, **GOOD[name])).connect()
    assert offers_external(raw)
    raw.send(f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>=</auth>")
    raw.gets(f"<success xmlns='{SASL}'/>")
    raw.open()
    raw.send(message("proven"))
    romeo.gets("<message from='juliet@good.example/b'><body>proven</body></message>")
    raw.close()
    romeo.close()


def test_a_good_certificate_makes_calling_back_superfluous(required):
    raw = required.raw(certificate=required.ca.server_certificate("good.example")).connect()
    raw.show_key()
    assert raw.verdict() == ("valid", "")
    raw.close()


@pytest.mark.parametrize("name", [*BAD, "another authority", "none"])
def test_a_bad_certificate_is_none(name, required, tmp_path):
    """No EXTERNAL is offered; who tries it all the same, or dialback, is refused; and the message with it."""
    certificate = None
    if name == "another authority":
        certificate = CA(tmp_path, "Mantua CA").server_certificate("good.example")
    elif name != "none":
        certificate = issue(required.ca, **BAD[name])
    raw = required.raw(certificate=certificate).connect()
    assert not offers_external(raw)
    assert external(raw) == "not-authorized"
    raw.show_key()
    assert raw.verdict() == ("error", "not-authorized")
    raw.send(message("x"))
    refused(raw, "not-authorized")


def test_a_certificate_speaks_for_nobody_else(required):
    raw = required.raw(certificate=required.ca.server_certificate("good.example")).connect()
    assert external(raw, "YmFuay5leGFtcGxl") in ("invalid-authzid", "not-authorized")  # bank.example
    raw.close()


@pytest.mark.parametrize("name", BAD)
def test_a_server_with_a_bad_certificate_is_sent_nothing(name, required):
    """We are the initiating server, and the other one is not who it should be."""
    romeo = required.login()
    liar = RawServer(issue(required.ca, **BAD[name]))
    context, required.authority.context = required.authority.context, liar.context
    try:
        romeo.send("<message to='juliet@good.example' id='m'><body>secret</body></message>")
        error = romeo.gets("<message type='error' id='m' from='juliet@good.example'/>", 30)
        conditions = {element.tag.rpartition("}")[2] for element in error.iter()}
        assert conditions & {"remote-server-not-found", "remote-server-timeout"}, conditions
        assert not [e for e in required.authority.got if e.findtext(f"{{{CLIENT}}}body") == "secret"]
    finally:
        required.authority.context = context
        liar.stop()
        romeo.close()


# -- many, and slow ----------------------------------------------------------------------------------------------------


def test_the_log_is_not_for_strangers_to_fill(dialback):
    raw = dialback.raw().connect()
    for _ in range(150):
        raw.send(f"<db:verify from='good.example' to='{US}' id='flood'>0</db:verify>")
    for _ in range(150):
        raw.gets(f"<verify xmlns='{DIALBACK}' type='invalid'/>", 20)
    assert dialback.server.log.read_text().count("a dialback key that is not ours") < 60
    raw.close()


@pytest.mark.parametrize("data", ["", HEADER, HEADER[:40]])
def test_who_proves_nothing_is_sent_away(data, strict):
    raw = strict.raw(tls="none")
    raw.open_socket()
    raw.send(data)
    assert raw.stream_error() == "connection-timeout"
    raw.closed()
    raw.close()


def test_who_begins_no_tls_is_sent_away(strict):
    raw = strict.raw(tls="none")
    raw.open_socket()
    raw.open()
    raw.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    raw.gets("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    raw.closed()
    raw.close()


def test_1000_connections_that_prove_nothing(strict):
    """They come from another address, are few at a time, cost little, and a good server is served meanwhile."""
    romeo = strict.login()
    before = strict.server.pss()
    opened = []
    for _ in range(1000):
        sock = socket.create_connection(strict.server.address("s2s"), 5, ("127.0.0.2", 0))
        with contextlib.suppress(OSError):
            sock.sendall(HEADER.encode())
        opened.append(sock)
    raw = strict.raw().prove()
    raw.send(message("meanwhile"))
    romeo.gets("<message><body>meanwhile</body></message>")
    grown = strict.server.pss() - before
    print(f"1,000 connections that prove nothing: grown by {grown // 1024} KB")
    assert grown < 16 * 1024 * 1024
    for sock in opened:
        sock.close()
    raw.close()
    romeo.close()
