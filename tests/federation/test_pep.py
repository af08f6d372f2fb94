"""PEP with people of two servers, one of them somebody else's: what is published here is told there, and the other way round,
to clients whose capabilities say that they want to know."""

import gevent
import pytest

from tests.conftest import Place
from tests.federation import dialogue
from tests.federation.conftest import our_domain
from tests.federation.peers import EXTERNAL
from tests.pubsub.words import INFO, event, ids, items, publish, show_caps

NODE, OTHER = "http://jabber.org/protocol/mood", "http://jabber.org/protocol/activity"
MOOD = "<mood xmlns='http://jabber.org/protocol/mood'><happy/></mood>"


def answering(client):
    """The client answers whoever asks what it can do: its own server, the other one, or both."""
    ver, features = client.caps
    told = "".join(f"<feature var='{each}'/>" for each in features)
    node = f"https://test.example#{ver}"

    def answer():
        while True:
            asked = client.gets(f"<iq type='get'><query xmlns='{INFO}' node='{node}'/></iq>", 120)
            client.send(
                f"<iq type='result' id='{asked.get('id')}' to='{asked.get('from')}'>"
                f"<query xmlns='{INFO}' node='{node}'>"
                f"<identity category='client' type='pc' name='test'/>{told}</query></iq>"
            )

    return gevent.spawn(answer)


@pytest.mark.parametrize("name", ["prosody", "ejabberd"])
def test_what_is_published_is_told_on_the_other_server(name, bed, person, request):
    server, peer = bed.us(EXTERNAL), bed.peer(name)
    request.node.its_server = (server, server.log.stat().st_size)
    romeo = person("romeo", Place(server, our_domain(EXTERNAL, name, "pep")))
    juliet = person("juliet", Place(peer, peer.domain(EXTERNAL)))
    dialogue.meet(romeo, juliet)
    greenlets = []
    try:
        for each in (romeo, juliet):
            show_caps(each, NODE)
            greenlets.append(answering(each))
        for one, other in ((romeo, juliet), (juliet, romeo)):
            other.gets(
                f"<presence from='{one.jid}'><c xmlns='http://jabber.org/protocol/caps'/></presence>", 20
            )
        for one, other in ((romeo, juliet), (juliet, romeo)):
            publish(one, OTHER, "unwanted", "<activity xmlns='http://jabber.org/protocol/activity'/>")
            for number in range(20):  # the other server may still be asking
                publish(one, NODE, f"m{number}", MOOD)
                try:
                    heard = other.gets(event(NODE, f"<item id='m{number}'/>", one.bare), 2)
                    break
                except AssertionError:
                    continue
            assert heard.find(".//{http://jabber.org/protocol/mood}happy") is not None
            assert ids(items(other, NODE, one.bare)) == [f"m{number}"]
            assert OTHER not in str(
                [
                    each.get("node")
                    for m in other.inbox
                    for each in m.iter("{http://jabber.org/protocol/pubsub#event}items")
                ]
            )
        for one, other in ((romeo, juliet), (juliet, romeo)):  # who comes gets the last item
            other.inbox.clear()
            other.send("<presence type='unavailable'/>")
            one.gets(f"<presence from='{other.jid}' type='unavailable'/>", 20)
            show_caps(other, NODE)
            other.gets(f"<message from='{one.bare}'/>", 20)
    finally:
        gevent.killall(greenlets)
