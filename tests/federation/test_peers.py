"""Federation with other people's servers, in both modes, in both directions."""

import itertools
import json

import gevent
import pytest

from tests.conftest import Place
from tests.federation import dialogue
from tests.federation.conftest import BEGINNERS, log_in, our_domain
from tests.federation.peers import MODES, PEERS

PAIRS = [
    pytest.param(mode, one, other, id=f"{mode}-{one}-{other}")
    for mode in MODES
    for one, other in itertools.combinations(PEERS, 2)
    if all(mode in PEERS[name].modes for name in (one, other))
]


@pytest.mark.parametrize(("mode", "one", "other"), PAIRS)
def test_they_understand_each_other(mode, one, other, bed, person):
    """The bed itself: what fails here is no fault of ours."""
    peers = bed.peer(one), bed.peer(other)
    a, b = (person(name, Place(peer, peer.domain(mode))) for name, peer in zip("ab", peers, strict=True))
    dialogue.whole(a, b, (peers[0].rooms, peers[1].rooms))


WITH_US = [
    pytest.param(mode, name, id=f"{mode}-{name}")
    for mode in MODES
    for name in PEERS
    if mode in PEERS[name].modes
]


@pytest.fixture
def we(bed, request):
    """`we(mode, peer, beginner)`: our end of that test; its log is shown if the test fails."""

    def place(mode, peer, beginner):
        server = bed.us(mode)
        request.node.its_server = (server, server.log.stat().st_size)
        return Place(server, our_domain(mode, peer, beginner))

    return place


@pytest.mark.parametrize("beginner", BEGINNERS)
@pytest.mark.parametrize(("mode", "name"), WITH_US)
def test_we_understand_each_other(mode, name, beginner, bed, person, we):
    peer = bed.peer(name)
    ours, theirs = person("romeo", we(mode, name, beginner)), person("juliet", Place(peer, peer.domain(mode)))
    if beginner == "we begin":
        dialogue.whole(ours, theirs, (False, peer.rooms))
    else:
        dialogue.whole(theirs, ours, (peer.rooms, False))


# -- restarts: what was acknowledged arrives, or comes back -------------------------------------------------------

SM = "urn:xmpp:sm:3"


def acknowledged(sender, to, start, count):
    """Sends numbered messages; when this returns, the server has acknowledged them (XEP-0198)."""
    for number in range(start, start + count):
        sender.send(f"<message to='{to}' type='chat' id='n{number}'><body>n{number}</body></message>")
    sender.send(f"<r xmlns='{SM}'/>")
    sender.gets(f"<a xmlns='{SM}'/>", 20)


def fate(numbers, sender, receiver, timeout=90.0):
    """Waits until every message has arrived, or has come back as an error; those that came back."""
    missing, back = {f"n{number}" for number in numbers}, set()
    with gevent.Timeout(timeout, False):
        while missing:
            for client, kind in ((receiver, "chat"), (sender, "error")):
                for element in client.inbox:
                    if element.tag.endswith("}message") and element.get("type") == kind:
                        if kind == "error" and element.get("id") in missing:
                            back.add(element.get("id"))
                        missing.discard(element.get("id"))
            gevent.sleep(0.1)  # two inboxes to wait for
    assert not missing, f"lost without a word: {sorted(missing)}"
    return back


def handed_over(server, domain, timeout=60.0):
    """Waits until our server has sent all that waited for this domain. Who logs in while ejabberd still takes the first
    message may miss that one until his next login: ejabberd looks for his session, then stores."""
    with gevent.Timeout(timeout):
        while any(
            domain in each["remote"] and each["waiting"] for each in json.loads(server.ctl("--json", "s2s"))
        ):
            gevent.sleep(0.3)


@pytest.mark.parametrize("who", ["peer", "us"])
@pytest.mark.parametrize(("mode", "name"), [("external", "prosody"), ("dialback", "ejabberd")])
def test_a_restart_loses_nothing_that_we_acknowledged(mode, name, who, bed, person, we):
    """Messages sent before, and while the peer is away; afterwards nobody is missing one without knowing."""
    peer, place = bed.peer(name), we(mode, name, "restart")
    romeo, juliet = person("romeo", place), person("juliet", Place(peer, peer.domain(mode)))
    dialogue.meet(romeo, juliet)
    romeo.send(f"<enable xmlns='{SM}'/>")
    romeo.gets(f"<enabled xmlns='{SM}'/>")
    acknowledged(romeo, juliet.bare, 0, 20)
    user, theirs = juliet.user, peer.domain(mode)
    fate(range(20), romeo, juliet)
    peer.stop()
    try:
        acknowledged(romeo, juliet.bare, 20, 20)
        if who == "us":
            name = romeo.user
            place.server.restart()
            romeo = log_in(place.server.address(), place.domain, name)
    finally:
        peer.start()
    handed_over(place.server, theirs)
    juliet = log_in(peer.address(), theirs, user)
    back = fate(range(20, 40), romeo, juliet)
    print(f"{20 - len(back)} of 20 arrived, {len(back)} came back")
    romeo.close()
    juliet.close()


@pytest.mark.parametrize("mode", ["external", "dialback"])
def test_what_waits_for_prosody_arrives_on_the_stream_that_it_opens_when_it_is_back(mode, bed, person, we):
    """With s2s_bidi that stream serves both directions; what we said too early on it was lost, though acknowledged."""
    peer, place = bed.peer("prosody"), we(mode, "prosody", "back")
    romeo, juliet = person("romeo", place), person("juliet", Place(peer, peer.domain(mode)))
    dialogue.meet(romeo, juliet)
    romeo.send(f"<enable xmlns='{SM}'/>")
    romeo.gets(f"<enabled xmlns='{SM}'/>")
    user, theirs = juliet.user, peer.domain(mode)
    peer.stop()
    try:
        acknowledged(romeo, juliet.bare, 0, 3)
    finally:
        peer.start()
    juliet = log_in(peer.address(), theirs, user)
    juliet.send(f"<message to='{romeo.jid}' type='chat' id='back'><body>I am back</body></message>")
    romeo.gets("<message id='back' type='chat'/>", 60)
    assert not fate(range(3), romeo, juliet)
    streams = json.loads(place.server.ctl("--json", "s2s"))
    assert any(each["bidi"] and each["remote"] == theirs for each in streams), streams
    romeo.close()
    juliet.close()
