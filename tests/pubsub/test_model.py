"""Four users do at random what they like with a node; what each is told is what a model says.

`pytest tests/pubsub/test_model.py --hypothesis-profile=many --timeout=0` for a long night.
"""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.pubsub.test_subscriptions import options, values
from tests.pubsub.words import EVENT, NS, OWNER, condition, configure, form, ids, items, publish, pubsub

pytestmark = pytest.mark.topology("one host", "two hosts", "two servers")
READERS, WRITERS = {"owner", "publisher", "member"}, {"owner", "publisher", "publish-only"}
AFFILIATIONS = ["none", "member", "publisher", "publish-only", "outcast"]
MODELS = ["open", "whitelist", "authorize"]
MOST = 3
EXAMPLES = 8
"""Of one topology in CI; a profile for a long run says more."""

users, guests = st.integers(0, 3), st.integers(1, 3)
names = st.sampled_from("abcde")
steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), users, names),
        st.tuples(st.just("publish"), st.just(0), names),
        st.tuples(st.just("retract"), users, names),
        st.tuples(st.just("subscribe"), users, st.booleans()),
        st.tuples(st.just("subscribe"), guests, st.just(False)),
        st.tuples(st.just("unsubscribe"), users, st.none()),
        st.tuples(st.just("affiliate"), guests, st.sampled_from(AFFILIATIONS)),
        st.tuples(st.just("configure"), st.just(0), st.sampled_from(MODELS)),
        st.tuples(st.just("answer"), st.just(0), st.booleans()),
        st.tuples(st.just("purge"), users, st.none()),
        st.tuples(st.just("show"), guests, st.sampled_from(["online", "away"])),
        st.tuples(st.just("come_again"), guests, st.none()),
        st.tuples(st.just("block"), guests, st.booleans()),
    ),
    min_size=5,
    max_size=25,
)


class World:
    """The node, as a model and as the service has it. User 0 owns it.

    remote   users on another server: the service does not see their presence
    witness  owns the node, too, on that server: what it has heard of has come to all who are there
    """

    def __init__(self, clients, service, remote, witness):
        self.clients, self.service, self.remote, self.witness = clients, service, remote, witness
        made = clients[0].iq(
            "set",
            pubsub(f"<create/><configure>{form('node_config', max_items=str(MOST))}</configure>"),
            to=service,
        )
        self.node = made.find(f".//{{{NS}}}create").get("node")
        self.access, self.items = "open", {}
        self.affiliations = {0: "owner"}
        self.subscriptions: dict[int, tuple[str, bool]] = {}  # state, and only when online?
        self.shows = dict.fromkeys(range(4), "online")
        self.blocked: set[int] = set()
        self.expected: dict[int, Counter] = {number: Counter() for number in range(4)}
        if witness is not None:
            row = f"<affiliation jid='{witness.bare}' affiliation='owner'/>"
            inner = f"<affiliations node='{self.node}'>{row}</affiliations>"
            assert condition(clients[0].iq("set", pubsub(inner, OWNER), to=service)) == ("result",)
            inner = f"<subscribe node='{self.node}' jid='{witness.bare}'/>"
            assert condition(witness.iq("set", pubsub(inner), to=service)) == ("result",)

    # -- the model

    def affiliation(self, user):
        return self.affiliations.get(user, "none")

    def refused(self, user):
        """None, or the condition."""
        affiliation = self.affiliation(user)
        if affiliation in READERS:
            return None
        if affiliation in ("outcast", "publish-only"):
            return "forbidden"
        if self.access == "whitelist":
            return "not-allowed"
        if self.access == "authorize" and self.subscriptions.get(user, ("",))[0] != "subscribed":
            return "not-authorized"
        return None

    def told(self, user, *what):
        if user not in self.blocked:
            self.expected[user][what] += 1

    def event(self, *what):
        for user, (state, filtered) in self.subscriptions.items():
            if (
                state == "subscribed"
                and self.refused(user) is None
                and (not filtered or user in self.remote or self.shows[user] == "online")
            ):
                self.told(user, *what)

    def last(self, user):
        if self.items:
            self.told(user, "item", list(self.items)[-1])

    def approved(self, user):
        self.subscriptions[user] = "subscribed", self.subscriptions[user][1]
        self.told(user, "state", "subscribed")
        self.last(user)

    def recheck(self):
        for user, (state, _) in list(self.subscriptions.items()):
            refused = self.refused(user)
            if state == "pending" and refused is None:
                self.approved(user)
            elif refused is not None and not (state == "pending" and refused == "not-authorized"):
                del self.subscriptions[user]
                self.told(user, "state", "none")

    # -- the steps

    def do(self, step, user, what):
        if user in self.blocked and step != "block":
            return  # who blocks the service cannot ask it for anything
        getattr(self, step)(user, what)

    def publish(self, user, id):
        answer = condition(publish(self.clients[user], self.node, id, to=self.service))
        if self.affiliation(user) not in WRITERS:
            assert answer == ("forbidden",)
            return
        assert answer == ("result",)
        self.items.pop(id, None)
        self.items[id] = user
        if len(self.items) > MOST:
            oldest = next(iter(self.items))
            del self.items[oldest]
            self.event("retract", oldest)
        self.event("item", id)

    def take_back(self, user, id):
        inner = f"<retract node='{self.node}'><item id='{id}'/></retract>"
        return condition(self.clients[user].iq("set", pubsub(inner), to=self.service))

    def retract(self, user, id):
        answer = self.take_back(user, id)
        affiliation = self.affiliation(user)
        if affiliation not in WRITERS or affiliation != "owner" and self.items.get(id, user) != user:
            assert answer == ("forbidden",)
        elif id not in self.items:
            assert answer == ("item-not-found",)
        else:
            assert answer == ("result",)
            del self.items[id]
            self.event("retract", id)

    def subscribe(self, user, filtered):
        if user in self.subscriptions:
            return
        wish = f"<options>{options(show_values=['online'])}</options>" if filtered else ""
        client, refused = self.clients[user], self.refused(user)
        inner = f"<subscribe node='{self.node}' jid='{client.bare}'/>{wish}"
        answer = client.iq("set", pubsub(inner), to=self.service)
        if refused in ("forbidden", "not-allowed"):
            assert condition(answer)[0] == refused
            return
        state = "pending" if refused else "subscribed"
        assert answer.find(f".//{{{NS}}}subscription").get("subscription") == state
        self.subscriptions[user] = state, filtered
        if state == "subscribed":
            self.last(user)
        else:
            self.told(0, "ask", client.bare)

    def unsubscribe(self, user, _):
        client = self.clients[user]
        answer = client.iq(
            "set", pubsub(f"<unsubscribe node='{self.node}' jid='{client.bare}'/>"), to=self.service
        )
        known = self.subscriptions.pop(user, None)
        assert condition(answer) == (("result",) if known else ("unexpected-request", "not-subscribed"))

    def affiliate(self, user, affiliation):
        row = f"<affiliation jid='{self.clients[user].bare}' affiliation='{affiliation}'/>"
        inner = f"<affiliations node='{self.node}'>{row}</affiliations>"
        assert condition(self.clients[0].iq("set", pubsub(inner, OWNER), to=self.service)) == ("result",)
        self.affiliations[user] = affiliation
        self.recheck()

    def configure(self, _, model):
        assert condition(configure(self.clients[0], self.node, self.service, access_model=model)) == (
            "result",
        )
        self.access = model
        self.recheck()

    def answer(self, _, allow):
        for user, (state, _) in list(self.subscriptions.items()):
            if state == "pending":
                fields = {"FORM_TYPE": f"{NS}#subscribe_authorization", "pubsub#node": self.node,
                          "pubsub#subscriber_jid": self.clients[user].bare, "pubsub#allow": str(int(allow))}  # fmt: skip
                rows = "".join(
                    f"<field var='{var}'><value>{value}</value></field>" for var, value in fields.items()
                )
                x = f"<x xmlns='jabber:x:data' type='submit'>{rows}</x>"
                self.clients[0].send(f"<message to='{self.service}'>{x}</message>")
                self.clients[0].sync()
                if allow:
                    self.approved(user)
                else:
                    del self.subscriptions[user]
                    self.told(user, "state", "none")

    def purge(self, user, _):
        answer = condition(
            self.clients[user].iq("set", pubsub(f"<purge node='{self.node}'/>", OWNER), to=self.service)
        )
        assert answer == (("result",) if user == 0 else ("forbidden",))
        if user == 0:
            self.items.clear()
            self.event("purge")

    def show(self, user, show):
        inner = f"<show>{show}</show>" if show != "online" else ""
        self.clients[user].send(f"<presence>{inner}</presence>")
        self.clients[user].sync()
        self.shows[user] = show

    def come_again(self, user, _):
        client = self.clients[user]
        if user in self.remote:  # what is on its way must find somebody there
            self.check()
        client.send("<presence type='unavailable'/>")
        client.sync()
        client.send("<presence/>")
        client.sync()
        self.shows[user] = "online"
        if user not in self.remote and self.subscriptions.get(user, ("",))[0] == "subscribed":
            self.last(user)

    def block(self, user, on):
        client, verb = self.clients[user], "block" if on else "unblock"
        self.check()
        client.iq("set", f"<{verb} xmlns='urn:xmpp:blocking'><item jid='{self.service}'/></{verb}>")
        if on:
            self.blocked.add(user)
        else:
            self.blocked.discard(user)

    # -- what came

    def check(self):
        """What has come to each is what was expected: a message behind all others shows that all have come."""
        owner = self.clients[0]
        self.publish(0, "barrier")
        assert self.take_back(0, "barrier") == ("result",)
        del self.items["barrier"]
        self.event("retract", "barrier")
        if self.witness is not None:
            self.witness.gets(
                f"<message from='{self.service}'><event xmlns='{EVENT}'><items node='{self.node}'>"
                "<retract id='barrier'/></items></event></message>"
            )
            self.witness.inbox = []
        for user, client in enumerate(self.clients):
            wanted = self.expected[user]
            for _ in range(200):
                found = Counter(each for each in map(self.seen, client.inbox) if each is not None)
                if found == wanted or wanted.keys() == found.keys() and found > wanted:
                    break
                client.sync(self.service if user not in self.blocked else client.domain)
            assert found == wanted, (user, found - wanted, wanted - found)
            client.inbox = []
            wanted.clear()
        assert ids(items(owner, self.node, self.service)) == list(self.items)

    def seen(self, element):
        if element.tag != "{jabber:client}message":
            return None
        event = element.find(f"{{{EVENT}}}event")
        if event is None:
            said = values(element)
            return ("ask", said["subscriber_jid"][0]) if "subscriber_jid" in said else ("message",)
        what = event[0]
        name = what.tag.rpartition("}")[2]
        if name == "subscription":
            return "state", what.get("subscription")
        if name == "purge":
            return ("purge",)
        return ("retract" if what[0].tag.endswith("retract") else "item"), what[0].get("id")


def test_everybody_is_told_what_the_model_says(romeo, juliet, nurse, make_client, account, topology, service):
    tybalt = make_client(account("tybalt", topology.romeo), resource="street")
    clients = [romeo, juliet, nurse, tybalt]
    apart = topology.romeo.server is not topology.juliet.server
    remote = {1, 2} if apart else set()
    witness = make_client(account("witness", topology.juliet)) if apart else None

    @settings(
        suppress_health_check=list(HealthCheck),
        max_examples=EXAMPLES if settings.default.max_examples < 100 else settings.default.max_examples,
    )
    @given(steps)
    def run(what):
        for client in clients + [witness] * apart:
            client.send("<presence/>")
            client.sync(service)
            client.inbox = []
        world = World(clients, service, remote, witness)
        try:
            for step, user, argument in what:
                world.do(step, user, argument)
            world.check()
        finally:
            for user in list(world.blocked):
                clients[user].iq("set", "<unblock xmlns='urn:xmpp:blocking'/>")
            romeo.iq("set", pubsub(f"<delete node='{world.node}'/>", OWNER), to=service)

    run()
