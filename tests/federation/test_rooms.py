"""Rooms with people of two servers, one of them somebody else's: theirs in our room, ours in theirs."""

import pytest

from tests.conftest import Place
from tests.federation.conftest import log_in, our_domain
from tests.federation.dialogue import FIRST
from tests.federation.peers import MODES
from tests.muc.conftest import USER, Room, condition

SLOW = 20.0
WITH = [pytest.param(mode, name, id=f"{mode}-{name}") for mode in MODES for name in ("prosody", "ejabberd")]


@pytest.fixture
def two(bed, person, request):
    """`two(mode, peer)`: the peer, romeo of ours and juliet of theirs; our log is shown if the test fails."""

    def both(mode, name):
        server, peer = bed.us(mode), bed.peer(name)
        request.node.its_server = (server, server.log.stat().st_size)
        ours = person("romeo", Place(server, our_domain(mode, name, "rooms")))
        return peer, ours, person("juliet", Place(peer, peer.domain(mode)))

    return both


def enter(room, client, nick):
    """Up to the subject."""
    room.ask(client, nick)
    client.gets(
        f"<presence from='{room}/{nick}' type='!absent'><x xmlns='{USER}'><status code='110'/></x></presence>",
        FIRST,
    )
    client.gets(f"<message type='groupchat' from='{room}...'><subject>...</subject></message>", SLOW)


def opened(owner, **fields):
    room = Room(f"conference.{owner.domain}")
    enter(room, owner, "native")
    room.setup(owner, **fields)
    return room


def talk(room, owner, guest):
    """Both ways, in order, to both."""
    for speaker, nick in ((owner, "native"), (guest, "stranger")):
        for number in range(10):
            room.say(speaker, f"{nick} {number}", "<active xmlns='http://jabber.org/protocol/chatstates'/>")
        for reader in (owner, guest):
            heard = [
                reader.gets(
                    f"<message from='{room}/{nick}' type='groupchat'><body>{nick}...</body></message>", SLOW
                )
                for _ in range(10)
            ]
            assert [each.findtext("{jabber:client}body") for each in heard] == [
                f"{nick} {n}" for n in range(10)
            ]


def whole(owner, guest):
    """Join, talk, subject, private message, another nick, invitation, kick, ban."""
    room = opened(owner, persistentroom=True, whois="anyone")
    invite = f"<x xmlns='{USER}'><invite to='{guest.bare}'><reason>come</reason></invite></x>"
    owner.send(f"<message to='{room}'>{invite}</message>")
    guest.gets(f"<message from='{room}'><x xmlns='{USER}'><invite/></x></message>", FIRST)
    enter(room, guest, "stranger")
    owner.gets(
        f"<presence from='{room}/stranger'><x xmlns='{USER}'><item jid='{guest.jid}' role='participant'/></x></presence>",
        SLOW,
    )
    talk(room, owner, guest)
    owner.send(f"<message to='{room}' type='groupchat'><subject>roses</subject></message>")
    for each in (owner, guest):
        each.gets(f"<message from='{room}/native' type='groupchat'><subject>roses</subject></message>", SLOW)
    for one, nick, other in ((owner, "stranger", guest), (guest, "native", owner)):
        one.send(f"<message to='{room}/{nick}' type='chat'><body>psst</body><x xmlns='{USER}'/></message>")
        other.gets(f"<message from='{room}/...' type='chat'><body>psst</body></message>", SLOW)
    guest.send(f"<presence to='{room}/other'/>")
    for each in (owner, guest):
        each.gets(
            f"<presence from='{room}/stranger' type='unavailable'><x xmlns='{USER}'><status code='303'/></x></presence>",
            SLOW,
        )
        each.gets(f"<presence from='{room}/other' type='!absent'/>", SLOW)
    answer = guest.iq("get", "<ping xmlns='urn:xmpp:ping'/>", f"{room}/other", SLOW)
    assert answer.get("type") == "result" or condition(answer) in (
        "service-unavailable",
        "feature-not-implemented",
    )
    assert room.admin(owner, "nick='other' role='none'|out").get("type") == "result"
    for each in (owner, guest):
        each.gets(
            f"<presence from='{room}/other' type='unavailable'><x xmlns='{USER}'><status code='307'/></x></presence>",
            SLOW,
        )
    enter(room, guest, "stranger")
    assert room.admin(owner, f"jid='{guest.bare}' affiliation='outcast'").get("type") == "result"
    for each in (owner, guest):
        each.gets(
            f"<presence from='{room}/stranger' type='unavailable'><x xmlns='{USER}'><status code='301'/></x></presence>",
            SLOW,
        )
    room.ask(guest, "stranger")
    assert condition(guest.gets(f"<presence type='error' from='{room}...'/>", SLOW)) == "forbidden"


@pytest.mark.parametrize("whose", ["our room", "their room"])
@pytest.mark.parametrize(("mode", "name"), WITH)
def test_people_of_two_servers_in_one_room(mode, name, whose, two):
    _, ours, theirs = two(mode, name)
    if whose == "our room":
        whole(ours, theirs)
    else:
        whole(theirs, ours)


@pytest.mark.parametrize(("mode", "name"), [("external", "prosody"), ("dialback", "ejabberd")])
def test_their_server_is_restarted(mode, name, two):
    """Their user is out of our room as soon as something is said, and may come back; ours comes back to their room."""
    peer, ours, theirs = two(mode, name)
    room, user, domain = opened(ours, persistentroom=True), theirs.user, theirs.domain
    enter(room, theirs, "stranger")
    ours.gets(f"<presence from='{room}/stranger'/>", SLOW)
    peer.stop()
    peer.start()
    theirs = log_in(peer.address(), domain, user)  # binds the same resource, and knows nothing of the room
    theirs.send("<presence type='unavailable'/>")
    theirs.iq("set", "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>")
    theirs.close()
    room.say(ours, "is anybody there?")
    ours.gets(f"<presence from='{room}/stranger' type='unavailable'/>", 60)
    theirs = log_in(peer.address(), domain, user)
    enter(room, theirs, "stranger")
    talk(room, ours, theirs)
    back = opened(theirs)
    enter(back, ours, "stranger")
    talk(back, theirs, ours)
    theirs.close()


@pytest.mark.parametrize(("mode", "name"), [("external", "prosody"), ("dialback", "ejabberd")])
def test_our_server_is_restarted(mode, name, two, bed):
    """Their user is in our room as before; ours is gone from it, and comes back."""
    _, ours, theirs = two(mode, name)
    server, user = bed.us(mode), ours.user
    room = opened(ours, persistentroom=True)
    enter(room, theirs, "stranger")
    talk(room, ours, theirs)
    server.restart()
    theirs.gets(f"<presence from='{room}/native' type='unavailable'/>", 60)
    ours = log_in(server.address(), ours.domain, user)
    enter(room, ours, "native")
    talk(room, ours, theirs)
    theirs.send(f"<presence to='{room}/stranger' type='unavailable'/>")
    ours.gets(f"<presence from='{room}/stranger' type='unavailable'/>", SLOW)
    ours.close()
