"""A large message over WebSocket or BOSH lets others have their turns while it is read."""

import gevent
import pytest

from jabberd_py.http import slices
from jabberd_py.http.bosh_body import read
from jabberd_py.http.websocket import header
from jabberd_py.net.turns import pause
from jabberd_py.xmpp.parser import Limits, Parser

LIMITS = Limits(bytes=1 << 20, elements=100_000)
MANY = b"<message xmlns='jabber:client' to='a@b'>%b</message>" % (b"<a b='\xc3\xa9'/>" * 20_000)


def parser():
    made = Parser(LIMITS)
    made.feed(header({}))
    return made


@pytest.mark.parametrize("parse", [
    lambda: slices.feed(parser(), MANY)[0],
    lambda: read(b"<body rid='1' sid='x' xmlns='http://jabber.org/protocol/httpbind'>%b</body>" % MANY, LIMITS)[1],
])  # fmt: skip
def test_others_have_their_turns(parse):
    turns = 0

    def other():
        nonlocal turns
        while True:
            pause()
            turns += 1

    greenlet = gevent.spawn(other)
    (stanza,) = parse()
    greenlet.kill()
    assert turns > 1 and stanza.name == "message" and stanza.attrs["to"] == "a@b"


@pytest.mark.parametrize("size", [slices.BYTES, slices.BYTES + 1, 3 * slices.BYTES])
def test_slices_are_read_like_the_whole(size):
    filling = ("é" * size)[: (size - 60) // 2]
    for text in (f"<iq id='{filling}'><a/></iq>", f"<iq><a>{filling}</a></iq>", f"<iq>{filling}</iq><iq/>",
                 f"<iq>{filling}</a>", f"<iq>{filling}", f"<!-- {filling} -->"):  # fmt: skip
        (whole, fault), (items, other) = parser().feed(text.encode()), slices.feed(parser(), text.encode())
        assert [each.to_bytes() for each in whole] == [each.to_bytes() for each in items]
        assert getattr(fault, "condition", None) == getattr(other, "condition", None)
