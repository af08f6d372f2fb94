"""What hostile clients send, and the stream error of RFC 6120 that each must get."""

import contextlib
from typing import NamedTuple

from tests.client import Client
from tests.match import CLIENT, STREAM

HEADER = f"<stream:stream to='localhost' version='1.0' xmlns='{CLIENT}' xmlns:stream='{STREAM}'>"
BOMB = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))

MANY = " ".join(f"a{n}=''" for n in range(500))


class Attack(NamedTuple):
    """``data`` is sent once the stream is that far: "socket", "stream" (TLS, no login yet) or "session"."""

    stage: str
    data: str | bytes
    condition: str


ATTACKS = {
    # XML that XMPP does not have (section 11.1)
    "dtd": Attack("socket", f"<?xml version='1.0'?><!DOCTYPE x>{HEADER}", "restricted-xml"),
    "billion laughs": Attack(
        "socket", f'<!DOCTYPE x [<!ENTITY l0 "ha">{BOMB}]>{HEADER}<x>&l9;</x>', "restricted-xml"
    ),
    "external entity": Attack(
        "socket",
        f'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>{HEADER}<x>&e;</x>',
        "restricted-xml",
    ),
    "dtd in the stream": Attack("stream", "<!DOCTYPE x>", "restricted-xml"),
    "dtd in a stanza": Attack("session", "<message><!DOCTYPE x></message>", "restricted-xml"),
    "entity": Attack("session", "<message><body>&nbsp;</body></message>", "restricted-xml"),
    "processing instruction": Attack("stream", "<?php evil() ?>", "restricted-xml"),
    "stylesheet": Attack("socket", f"<?xml-stylesheet href='x'?>{HEADER}", "restricted-xml"),
    "comment": Attack("session", "<!-- hi --><presence/>", "restricted-xml"),
    "comment in a stanza": Attack("session", "<message><!-- hi --></message>", "restricted-xml"),
    # not well-formed
    "wrong end tag": Attack("session", "<message><body></message>", "not-well-formed"),
    "attribute twice": Attack("stream", "<auth a='1' a='2'/>", "not-well-formed"),
    "unbound prefix": Attack("session", "<message><x:y/></message>", "not-well-formed"),
    "xml rebound": Attack("session", "<message xmlns:xml='urn:x'/>", "not-well-formed"),
    "xmlns bound": Attack("session", "<message xmlns:xmlns='urn:x'/>", "not-well-formed"),
    "prefix unbound": Attack("session", "<message xmlns:a=''/>", "not-well-formed"),
    "end of CDATA in text": Attack("session", "<message>]]></message>", "not-well-formed"),
    "less-than in a value": Attack("session", "<message to='<'/>", "not-well-formed"),
    "control character": Attack("session", "<message>\x01</message>", "not-well-formed"),
    "character reference 0": Attack("session", "<message>&#0;</message>", "not-well-formed"),
    "surrogate reference": Attack("session", "<message>&#xD800;</message>", "not-well-formed"),
    "not XML": Attack("socket", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "not-well-formed"),
    "TLS on the plain port": Attack(
        "socket", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "not-well-formed"
    ),
    "second XML declaration": Attack("stream", "<?xml version='1.0'?>" + HEADER, "not-well-formed"),
    # encodings (section 11.6)
    "bad UTF-8": Attack("session", b"<message><body>\xff</body></message>", "unsupported-encoding"),
    "overlong UTF-8": Attack("session", b"<message><body>\xc0\xbc</body></message>", "unsupported-encoding"),
    "surrogate in UTF-8": Attack("session", b"<message>\xed\xa0\x80</message>", "unsupported-encoding"),
    "bad UTF-8 in a value": Attack("stream", b"<auth a='\xe4'/>", "unsupported-encoding"),
    "UTF-16": Attack("socket", HEADER.encode("utf-16"), "unsupported-encoding"),
    "UTF-16, no mark": Attack("socket", HEADER.encode("utf-16-le"), "unsupported-encoding"),
    "UTF-16, big end": Attack("socket", HEADER.encode("utf-16-be"), "unsupported-encoding"),
    "Latin-1": Attack(
        "socket", "<?xml version='1.0' encoding='iso-8859-1'?>" + HEADER, "unsupported-encoding"
    ),
    "UTF-16, said so": Attack(
        "socket", "<?xml version='1.0' encoding='utf-16'?>" + HEADER, "unsupported-encoding"
    ),
    "EBCDIC": Attack("socket", "<?xml version='1.0' encoding='cp037'?>" + HEADER, "unsupported-encoding"),
    # stream headers
    "wrong stream namespace": Attack("socket", HEADER.replace(STREAM, "urn:x"), "invalid-namespace"),
    "wrong content namespace": Attack("socket", HEADER.replace(CLIENT, "jabber:server"), "invalid-namespace"),
    "no content namespace": Attack("socket", HEADER.replace(f"xmlns='{CLIENT}'", ""), "invalid-namespace"),
    "not a stream": Attack("socket", HEADER.replace("<stream:stream", "<stream:flood"), "invalid-namespace"),
    "no prefix": Attack("socket", f"<stream xmlns='{CLIENT}'>", "invalid-namespace"),
    "no version": Attack("socket", HEADER.replace("version='1.0'", ""), "unsupported-version"),
    "version 0.9": Attack("socket", HEADER.replace("1.0", "0.9"), "unsupported-version"),
    "version 11": Attack("socket", HEADER.replace("1.0", "11.0"), "unsupported-version"),
    "unknown host": Attack("socket", HEADER.replace("localhost", "example.org"), "host-unknown"),
    "no host": Attack("socket", HEADER.replace("localhost", "a@/"), "host-unknown"),
    "missing to": Attack("socket", HEADER.replace("to='localhost'", ""), "improper-addressing"),
    "second header": Attack("stream", HEADER, "bad-format"),
    "second header in a session": Attack("session", HEADER, "bad-format"),
    # out of order
    "message before login": Attack("stream", "<message to='juliet@localhost'/>", "not-authorized"),
    "IQ before login": Attack(
        "stream", "<iq type='get' id='1' to='juliet@localhost'><x xmlns='urn:x'/></iq>", "not-authorized"
    ),
    "result before login": Attack("stream", "<iq type='result' id='1'/>", "not-authorized"),
    "SASL in a session": Attack(
        "session", "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>", "not-authorized"
    ),
    "TLS in a session": Attack(
        "session", "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "not-authorized"
    ),
    "unknown element": Attack("session", "<x xmlns='urn:x'/>", "unsupported-stanza-type"),
    "unknown stanza": Attack("session", "<foo/>", "unsupported-stanza-type"),
    "a stanza of servers": Attack("session", "<message xmlns='jabber:server'/>", "invalid-namespace"),
    "a stanza of nobody": Attack("session", "<message xmlns=''/>", "invalid-namespace"),
    "text between stanzas": Attack("session", "<presence/>hello<presence/>", "bad-format"),
    "text alone": Attack("session", "hello", "bad-format"),
    "reference between stanzas": Attack("session", "&#32;<presence/>", "bad-format"),
    "CDATA between stanzas": Attack("session", "<![CDATA[x]]><presence/>", "bad-format"),
    "forged from": Attack("session", "<message from='juliet@localhost/balcony'/>", "invalid-from"),
    "malformed from": Attack("session", "<message from='@'/>", "invalid-from"),
    "forged from, by a prefix": Attack(
        "session", "<c:message xmlns:c='jabber:client' from='juliet@localhost'/>", "invalid-from"
    ),
    # too much
    "large header": Attack("socket", HEADER[:-1] + f" a='{'x' * 20_000}'>", "policy-violation"),
    "large stanza before login": Attack("stream", f"<auth>{'x' * 20_000}</auth>", "policy-violation"),
    "large stanza": Attack("session", f"<message>{'x' * 300_000}</message>", "policy-violation"),
    "10 MB attribute": Attack("session", f"<message to='{'x' * 10_000_000}'/>", "policy-violation"),
    "10 MB attribute before login": Attack("socket", f"<stream a='{'x' * 10_000_000}'/>", "policy-violation"),
    "10 MB name": Attack("session", f"<{'x' * 10_000_000}/>", "policy-violation"),
    "10 MB comment": Attack("session", f"<!--{'x' * 10_000_000}", "policy-violation"),
    "10 MB of ends of tags": Attack("session", f"<message a='{'>' * 10_000_000}", "policy-violation"),
    "100,000 levels": Attack("session", "<message>" + "<a>" * 100_000, "policy-violation"),
    "100,000 levels before login": Attack("stream", "<a>" * 100_000, "policy-violation"),
    "attributes": Attack("session", f"<message {MANY}/>", "policy-violation"),
    "attributes inside": Attack("session", f"<message><a {MANY}/></message>", "policy-violation"),
}


def connect(address: tuple[str, int], stage: str, user: str, password: str) -> Client:
    client = Client(address)
    if stage == "socket":
        client.open_socket()
    elif stage == "stream":
        client.connect()
    else:
        client.login(user, password)
    return client


def strike(attack: Attack, address: tuple[str, int], user: str, password: str) -> tuple[str, bool]:
    """The condition of the stream error that follows, and whether the stream was closed as it should be."""
    client = connect(address, attack.stage, user, password)
    client.polite = False  # we may still be sending
    data = attack.data if isinstance(attack.data, bytes) else attack.data.encode()
    with contextlib.suppress(OSError):  # the server may have closed before it has read all
        client.raw(data)
    condition = client.stream_error()
    said_goodbye = client.closed()
    client.close()
    return condition, said_goodbye
