"""A block list that a Prosody publishes, as xmppbl.org does."""

import hashlib

import gevent

from tests.client import Client
from tests.conftest import Place
from tests.federation.conftest import log_in, our_domain
from tests.federation.peers import EXTERNAL
from tests.pubsub.words import condition, publish, pubsub

NODE = "muc_bans_sha256"
REPORT = "<report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'/>"


def test_who_is_on_the_list_reaches_nobody(bed, person, request):
    server, peer = bed.us(EXTERNAL), bed.peer("prosody")
    request.node.its_server = (server, server.log.stat().st_size)
    domain = peer.domain(EXTERNAL)
    service, address = f"pubsub.{domain}", peer.address("c2s")
    Client(address, domain).connect().register("keeper", "secret").close()
    keeper = log_in(address, domain, "keeper")
    romeo = person("romeo", Place(server, our_domain(EXTERNAL, "prosody", "lists")))
    mallory, paris = (person(name, Place(peer, domain)) for name in ("mallory", "paris"))

    def until(who, *wanted):
        with gevent.Timeout(20, AssertionError(f"{who.bare} never got {wanted}")):
            while (
                condition(who.iq("get", "<vCard xmlns='vcard-temp'/>", to=romeo.bare, timeout=20))
                not in wanted
            ):
                gevent.sleep(0.05)

    def listed(who):
        return hashlib.sha256(who.bare.encode()).hexdigest()

    free, refused = (("result",), ("item-not-found",), ("service-unavailable",)), ("forbidden",)
    try:
        assert condition(keeper.iq("set", pubsub(f"<create node='{NODE}'/>"), to=service)) == ("result",)
        assert condition(publish(keeper, NODE, listed(mallory), REPORT, to=service)) == ("result",)
        until(mallory, *free)
        server.ctl("reload")  # the list was not there when the server started
        until(mallory, refused)
        until(paris, *free)
        publish(keeper, NODE, listed(paris), REPORT, to=service)
        until(paris, refused)
        inner = f"<retract node='{NODE}' notify='true'><item id='{listed(mallory)}'/></retract>"
        assert condition(keeper.iq("set", pubsub(inner), to=service)) == ("result",)
        until(mallory, *free)
        until(paris, refused)
    finally:
        keeper.close()
