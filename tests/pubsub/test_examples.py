"""The examples of XEP-0060 that a service answers, by their numbers, counted from the beginning of version 1.30.
What is not here has its reason in test_numbers.py.

Each row: (number, who, type and namespace of the request, what it says, what comes back). A request and its answer may have a
number each. An answer is a template of what is in the result, "" for an empty one, or the error: (type, condition, pubsub's own
condition, if there is one).
"""

import pytest

from tests.match import matches, show
from tests.pubsub.test_subscriptions import options
from tests.pubsub.words import ERRORS, EVENT, INFO, ITEMS, NS, OWNER, STANZAS, form, pubsub, tune

pytestmark = pytest.mark.topology("one host", "two servers")
BEFORE = ("get", NS), ("set", NS), ("get", OWNER), ("set", OWNER)
GET, SET, OWNER_GET, OWNER_SET = BEFORE
FORBIDDEN = ("auth", "forbidden")
MISSING = ("cancel", "item-not-found")


class Play:
    """``romeo`` owns the node ``princely_musings``, ``juliet`` is anybody else."""

    def __init__(self, romeo, juliet):
        self.romeo, self.juliet = romeo, juliet
        self.service, self.node = f"pubsub.{romeo.domain}", f"princely_musings-{romeo.user}"
        self.names = {"node": self.node, "romeo": romeo.bare, "juliet": juliet.bare, "service": self.service}

    def run(self, *rows):
        for number, who, (kind, ns), inner, wanted in rows:
            answer = getattr(self, who).iq(kind, pubsub(self.fill(inner), ns), to=self.service)
            self.check(number, answer, wanted, ns)

    def check(self, number, answer, wanted, ns=NS):
        if isinstance(wanted, str):
            inner = f"<pubsub xmlns='{ns}'>{self.fill(wanted)}</pubsub>" if wanted else ""
            lacks = matches(f"<iq type='result'>{inner}</iq>", answer)
            assert not lacks, (f"example {number}", lacks, show(answer))
            return
        type, condition, *specific = wanted
        more = "".join(f"<{each} xmlns='{ERRORS}'/>" for each in specific)
        template = (
            f"<iq type='error'><error type='{type}'><{condition} xmlns='{STANZAS}'/>{more}</error></iq>"
        )
        assert not matches(template, answer), (f"example {number}", show(answer))

    def fill(self, text):
        for name, value in self.names.items():
            text = text.replace("{" + name + "}", value)
        return text

    def configure(self, **fields):
        self.run(
            (
                "-",
                "romeo",
                OWNER_SET,
                "<configure node='{node}'>" + form("node_config", **fields) + "</configure>",
                "",
            )
        )

    def hears(self, who, inner, more=""):
        sender = f"from='{self.service}' id='...'"
        xml = self.fill(f"<message {sender}><event xmlns='{EVENT}'>{inner}</event>{more}</message>")
        return getattr(self, who).gets(xml, 10)


@pytest.fixture
def play(romeo, juliet):
    play = Play(romeo, juliet)
    play.run((126, "romeo", SET, "<create node='{node}'/>", "<create node='{node}'/>"))
    return play


def entry(text="Soliloquy"):
    return tune(text)


def unsupported(answer, feature):
    return not matches(
        f"<iq type='error'><error type='cancel'><feature-not-implemented xmlns='{STANZAS}'/>"
        f"<unsupported xmlns='{ERRORS}' feature='{feature}'/></error></iq>",
        answer,
    )


def test_examples_7_to_15_discovery(play):
    # 7, 8: the service; 9, 10: its nodes; 11 to 14: 11, 12, 13, 14, one of them; 15: its items
    info = play.romeo.iq("get", f"<query xmlns='{INFO}'/>", to=play.service)
    assert not matches(
        f"<iq type='result'><query xmlns='{INFO}'><identity category='pubsub' type='service'/>"
        f"<feature var='{NS}'/></query></iq>", info)  # fmt: skip
    found = play.romeo.iq("get", f"<query xmlns='{ITEMS}'/>", to=play.service)
    row = f"<item jid='{play.service}' node='{play.node}'/>"
    assert not matches(f"<iq type='result'><query xmlns='{ITEMS}'>{row}</query></iq>", found)
    play.configure(
        title="Princely Musings", description="Weblog", language="en", contact=play.juliet.bare, type="urn:a"
    )
    about = play.juliet.iq("get", f"<query xmlns='{INFO}' node='{play.node}'/>", to=play.service)
    says = {"FORM_TYPE": f"{NS}#meta-data", "pubsub#type": "urn:a", "pubsub#creator": play.romeo.bare,
            "pubsub#creation_date": "...", "pubsub#title": "Princely Musings", "pubsub#description": "Weblog",
            "pubsub#language": "en", "pubsub#contact": play.juliet.bare, "pubsub#access_model": "open",
            "pubsub#publish_model": "publishers", "pubsub#max_items": "max", "pubsub#owner": play.romeo.bare,
            "pubsub#num_subscribers": "0"}  # fmt: skip
    fields = "".join(f"<field var='{var}'><value>{value}</value></field>" for var, value in says.items())
    template = f"<query xmlns='{INFO}' node='{play.node}'><identity category='pubsub' type='leaf'/><feature var='{NS}'/>"
    lacks = matches(
        f"<iq type='result'>{template}<x xmlns='jabber:x:data' type='result'>{fields}</x></query></iq>", about
    )
    assert not lacks
    play.run(("-", "romeo", SET, f"<publish node='{{node}}'><item id='a'>{entry()}</item></publish>", ""))
    inside = play.juliet.iq("get", f"<query xmlns='{ITEMS}' node='{play.node}'/>", to=play.service)
    row = f"<item jid='{play.service}' name='a' node='!absent'/>"
    assert not matches(
        f"<iq type='result'><query xmlns='{ITEMS}' node='{play.node}'>{row}</query></iq>", inside
    )


def test_examples_16_to_27_own_subscriptions_and_affiliations(play):
    me = "<subscription node='{node}' jid='{juliet}' subscription='subscribed' subid='...'/>"
    # 17, 21, 23, 27: what comes back
    play.run(
        (18, "juliet", GET, "<subscriptions/>", "<subscriptions/>"),
        ("-", "juliet", SET, "<subscribe node='{node}' jid='{juliet}'/>", me),
        (16, "juliet", GET, "<subscriptions/>", f"<subscriptions>{me}</subscriptions>"),
        ("-", "juliet", SET, "<subscribe node='{node}' jid='{juliet}'/>", me),
        (20, "juliet", GET, "<subscriptions node='{node}'/>", f"<subscriptions node='{{node}}'>{me}{me}</subscriptions>"),
        (24, "juliet", GET, "<affiliations/>", "<affiliations/>"),
        (22, "romeo", GET, "<affiliations/>",
         "<affiliations><affiliation node='{node}' affiliation='owner'/></affiliations>"),
        (26, "romeo", GET, "<affiliations node='{node}'/>",
         "<affiliations><affiliation node='{node}' affiliation='owner'/></affiliations>"),
    )  # fmt: skip


def test_examples_28_to_46_subscribing(play):
    subscribe = "<subscribe node='{node}' jid='{juliet}'/>"
    done = "<subscription node='{node}' jid='{juliet}' subid='...' subscription='subscribed'/>"
    outcast = "<affiliations node='{node}'><affiliation jid='{juliet}' affiliation='outcast'/></affiliations>"
    nobody = outcast.replace("outcast", "none")
    play.run(
        (
            30,
            "juliet",
            SET,
            "<subscribe node='{node}' jid='{romeo}'/>",
            ("modify", "bad-request", "invalid-jid"),
        ),
        ("-", "juliet", SET, "<subscribe node='{node}' jid='@@'/>", ("modify", "bad-request", "invalid-jid")),
        (41, "juliet", SET, "<subscribe node='none' jid='{juliet}'/>", MISSING),
        ("-", "romeo", OWNER_SET, outcast, ""),
        (37, "juliet", SET, subscribe, FORBIDDEN),
        ("-", "romeo", OWNER_SET, nobody, ""),
    )
    play.configure(subscribe="0")
    answer = play.juliet.iq("set", pubsub(play.fill(subscribe)), to=play.service)
    assert unsupported(answer, "subscribe")  # 39
    for number, model, wanted in (
        (33, "whitelist", ("cancel", "not-allowed", "closed-node")),
        (31, "presence", ("auth", "not-authorized", "presence-subscription-required")),
        ("-", "roster", ("auth", "not-authorized", "presence-subscription-required")),
    ):
        play.configure(access_model=model, subscribe="1")
        play.run((number, "juliet", SET, subscribe, wanted))
    play.configure(access_model="authorize")
    play.run(
        (42, "juliet", SET, subscribe, "<subscription node='{node}' jid='{juliet}' subscription='pending'/>"),
        (36, "juliet", SET, subscribe, ("auth", "not-authorized", "pending-subscription")),
    )
    play.configure(access_model="open")
    play.hears("juliet", "<subscription node='{node}' jid='{juliet}' subscription='subscribed'/>")
    play.run(
        (
            "-",
            "juliet",
            SET,
            "<unsubscribe node='{node}' jid='{juliet}'/>",
            "<subscription subscription='none'/>",
        ),
        ("-", "romeo", SET, f"<publish node='{{node}}'><item id='a'>{entry()}</item></publish>", ""),
        ("28 29", "juliet", SET, subscribe, done),
    )
    # 46
    play.hears("juliet", f"<items node='{{node}}'><item id='a'>{entry()}</item></items>",
               "<delay xmlns='urn:xmpp:delay' stamp='...'/>")  # fmt: skip


def test_examples_47_to_53_unsubscribing(play):
    subscribe, unsubscribe = (
        "<subscribe node='{node}' jid='{juliet}'/>",
        "<unsubscribe node='{node}' jid='{juliet}'/>",
    )
    play.run(
        (50, "juliet", SET, unsubscribe, ("cancel", "unexpected-request", "not-subscribed")),
        (51, "juliet", SET, "<unsubscribe node='{node}' jid='{romeo}'/>", FORBIDDEN),
        (52, "juliet", SET, "<unsubscribe node='none' jid='{juliet}'/>", MISSING),
        ("-", "juliet", SET, subscribe, "<subscription/>"),
        (53, "juliet", SET, "<unsubscribe node='{node}' jid='{juliet}' subid='x'/>",
         ("modify", "not-acceptable", "invalid-subid")),
        ("-", "juliet", SET, subscribe, "<subscription/>"),
        (49, "juliet", SET, unsubscribe, ("modify", "bad-request", "subid-required")),
    )  # fmt: skip
    mine = play.juliet.iq("get", pubsub("<subscriptions/>"), to=play.service)
    for each in list(mine.iter(f"{{{NS}}}subscription")):
        id = each.get("subid")
        play.run(("47 48", "juliet", SET, f"<unsubscribe node='{{node}}' jid='{{juliet}}' subid='{id}'/>",
                  f"<subscription node='{{node}}' jid='{{juliet}}' subscription='none' subid='{id}'/>"))  # fmt: skip


def test_examples_54_to_71_and_84_and_85_subscription_options(play):
    info = play.romeo.iq("get", f"<query xmlns='{INFO}'/>", to=play.service)[0]
    assert f"{NS}#subscription-options" in [each.get("var") for each in info]  # 54
    where, x = "<options node='{node}' jid='{juliet}'", "<x xmlns='jabber:x:data' type='{}'>"
    hidden = f"<field var='FORM_TYPE'><value>{NS}#subscribe_options</value></field>"
    deliver = "<field var='pubsub#deliver'><value>{}</value></field>"
    shows = (
        "<field var='pubsub#show-values'><value>chat</value><value>online</value><value>away</value></field>"
    )
    wish = options(deliver="1", digest="0", include_body="false", show_values=["chat", "online", "away"])
    play.run(
        (58, "juliet", GET, f"{where}/>", ("modify", "unexpected-request", "not-subscribed")),
        ("67 68", "juliet", SET, f"<subscribe node='{{node}}' jid='{{juliet}}'/><options>{wish}</options>",
         "<subscription node='{node}' jid='{juliet}' subscription='subscribed' subid='...'/><options>"
         + x.format("result") + hidden + deliver.format(1) + shows + "</x></options>"),
        ("55 56", "juliet", GET, f"{where}/>",
         f"{where}>" + x.format("form") + hidden + deliver.format(1) + shows + "</x></options>"),
        (57, "romeo", GET, f"{where}/>", FORBIDDEN),
        (59, "juliet", GET, "<options node='{node}'/>", ("modify", "bad-request", "jid-required")),
        (61, "juliet", GET, f"{where} subid='x'/>", ("modify", "not-acceptable", "invalid-subid")),
        (63, "juliet", GET, "<options node='none' jid='{juliet}'/>", MISSING),
        ("64 65", "juliet", SET, f"{where}>{options(deliver='0')}</options>", ""),
        (66, "juliet", SET, f"{where}>{options(digest='1')}</options>", ("modify", "bad-request", "invalid-options")),
        ("-", "juliet", SET, "<subscribe node='{node}' jid='{juliet}'/>", "<subscription/>"),
        (60, "juliet", GET, f"{where}/>", ("modify", "bad-request", "subid-required")),
        (84, "juliet", GET, "<items node='{node}'/>", ("modify", "bad-request", "subid-required")),
        (85, "juliet", GET, "<items node='{node}' subid='x'/>", ("modify", "not-acceptable", "invalid-subid")),
        (69, "juliet", GET, "<default node='{node}'/>",
         "<default node='{node}'>" + x.format("result") + hidden + deliver.format(1) + "</x></default>"),
        ("70 71", "juliet", GET, "<default/>",
         "<default>" + x.format("result") + hidden + deliver.format(1) + "</x></default>"),
    )  # fmt: skip


def test_examples_74_to_95_items(play):
    publish = "<publish node='{node}'><item id='{}'>" + entry() + "</item></publish>"
    rows = [f"<item id='{id}'>{entry()}</item>" for id in "abcd"]
    play.run(
        (82, "juliet", GET, "<items node='{node}'/>", "<items node='{node}'><item>!absent</item></items>")
    )
    play.run(*(("-", "romeo", SET, publish.replace("{}", id), "") for id in "abcd"))
    rsm = "<set xmlns='http://jabber.org/protocol/rsm'>{}</set>"
    play.run(
        ("74 75", "juliet", GET, "<items node='{node}'/>", f"<items node='{{node}}'>{''.join(rows)}</items>"),
        (76, "juliet", GET, "<items node='{node}'/>" + rsm.format("<max>3</max>"),
         f"<items node='{{node}}'>{''.join(rows[:3])}</items>"
         + rsm.format("<first index='0'>a</first><last>c</last><count>4</count>")),
        (77, "juliet", GET, "<items node='{node}' max_items='1'/>", f"<items node='{{node}}'>{rows[3]}</items>"),
        ("78 79", "juliet", GET, "<items node='{node}'><item id='a'/><item id='c'/></items>",
         f"<items node='{{node}}'>{rows[0]}{rows[2]}</items>"),
        ("80 81", "juliet", GET, "<items node='{node}' max_items='2'/>", f"<items node='{{node}}'>{rows[2]}{rows[3]}</items>"),
        (83, "juliet", GET, "<items node='{node}'><item id='b'/></items>", f"<items node='{{node}}'>{rows[1]}</items>"),
        (94, "juliet", GET, "<items node='none'/>", MISSING),
        (95, "juliet", GET, "<items node='{node}'><item id='none'/></items>",
         "<items node='{node}'><item>!absent</item></items>"),
    )  # fmt: skip
    ask = "<items node='{node}'/>"
    for number, model, wanted in (
        (86, "authorize", ("auth", "not-authorized", "not-subscribed")),
        (89, "presence", ("auth", "not-authorized", "presence-subscription-required")),
        (91, "whitelist", ("cancel", "not-allowed", "closed-node")),
    ):
        play.configure(access_model=model)
        play.run((number, "juliet", GET, ask, wanted))
    outcast = "<affiliations node='{node}'><affiliation jid='{juliet}' affiliation='outcast'/></affiliations>"
    play.run(("-", "romeo", OWNER_SET, outcast, ""), (93, "juliet", GET, ask, FORBIDDEN))
    play.configure(persist_items="0")
    answer = play.romeo.iq("get", pubsub(play.fill(ask)), to=play.service)
    assert unsupported(answer, "persistent-items")  # 87


def test_examples_96_to_114_publishing(play):
    play.run(
        ("-", "juliet", SET, "<subscribe node='{node}' jid='{juliet}'/>", "<subscription/>"),
        (
            "96 98",
            "romeo",
            SET,
            f"<publish node='{{node}}'><item id='b'>{entry()}</item></publish>",
            "<publish node='{node}'/>",
        ),
    )
    # 100
    play.hears("juliet", f"<items node='{{node}}'><item id='b' publisher='!absent'>{entry()}</item></items>")
    play.run(("97 99", "romeo", SET, f"<publish node='{{node}}'><item>{entry()}</item></publish>",
              "<publish node='{node}'><item id='...'/></publish>"))  # fmt: skip
    play.hears("juliet", "<items node='{node}'><item id='...'/></items>")
    play.configure(deliver_payloads="0", itemreply="publisher")
    play.run(("-", "romeo", SET, f"<publish node='{{node}}'><item id='c'>{entry()}</item></publish>", ""))
    told = play.hears(
        "juliet", "<items node='{node}'><item id='c' publisher='{romeo}'/></items>"
    )  # 101, 102, 220
    assert len(told.find(f".//{{{EVENT}}}item")) == 0
    play.run(
        (103, "juliet", GET, "<items node='{node}'><item id='c'/></items>",
         f"<items node='{{node}}'><item id='c' publisher='{{romeo}}'>{entry()}</item></items>"),
        (105, "juliet", SET, f"<publish node='{{node}}'><item>{entry()}</item></publish>", FORBIDDEN),
        (107, "romeo", SET, f"<publish node='none'><item>{entry()}</item></publish>", MISSING),
        (110, "romeo", SET, f"<publish node='{{node}}'><item>{entry() * 2}</item></publish>",
         ("modify", "bad-request", "invalid-payload")),
        (111, "romeo", SET, "<publish node='{node}'/>", ("modify", "bad-request", "item-required")),
        ("-", "romeo", SET, "<publish node='{node}'><item id='empty'/></publish>", ""),
    )  # fmt: skip
    play.configure(deliver_payloads="1", max_payload_size="20", max_items="4", publish_node_full="reject")
    play.run(
        (112, "romeo", SET, "<publish node='{node}'><item/></publish>", ("modify", "bad-request", "payload-required")),
        (109, "romeo", SET, f"<publish node='{{node}}'><item>{entry()}</item></publish>",
         ("modify", "not-acceptable", "payload-too-big")),
    )  # fmt: skip
    play.configure(max_payload_size="max")
    play.run(
        (108, "romeo", SET, f"<publish node='{{node}}'><item>{entry()}</item></publish>", ("cancel", "conflict", "node-full")),
        ("-", "romeo", SET, f"<publish node='{{node}}'><item id='c'>{entry()}</item></publish>", ""),
        ("batch", "romeo", SET, "<publish node='{node}'>" + f"<item>{entry()}</item>" * 5 + "</publish>",
         ("cancel", "not-allowed", "max-items-exceeded")),
    )  # fmt: skip
    play.configure(persist_items="0", deliver_payloads="0")
    play.run(
        (
            113,
            "romeo",
            SET,
            "<publish node='{node}'><item/></publish>",
            ("modify", "bad-request", "item-forbidden"),
        ),
        ("-", "romeo", SET, "<publish node='{node}'/>", "<publish node='{node}'/>"),
    )
    play.hears("juliet", "<items node='{node}'><item>!absent</item></items>")
    wish = "<publish-options>" + form("publish-options", access_model="presence") + "</publish-options>"
    play.run(
        (
            114,
            "romeo",
            SET,
            f"<publish node='{{node}}'/>{wish}",
            ("cancel", "conflict", "precondition-not-met"),
        )
    )


def test_a_full_node_retracts_the_oldest(play):
    play.configure(max_items="1")
    publish = f"<publish node='{{node}}'><item id='%s'>{entry()}</item></publish>"
    play.run(
        ("-", "romeo", SET, publish % "a", ""),
        ("-", "juliet", SET, "<subscribe node='{node}' jid='{juliet}'/>", "<subscription/>"),
    )
    play.run(("-", "romeo", SET, publish % "b", ""))
    play.hears("juliet", "<items node='{node}'><retract id='a'/></items>")
    play.hears("juliet", "<items node='{node}'><item id='b'/></items>")


def test_examples_115_to_123_retracting(play):
    retract = "<retract node='{node}'><item id='a'/></retract>"
    play.run(
        ("-", "juliet", SET, "<subscribe node='{node}' jid='{juliet}'/>", "<subscription/>"),
        ("-", "romeo", SET, f"<publish node='{{node}}'><item id='a'>{entry()}</item></publish>", ""),
        (119, "juliet", SET, retract, FORBIDDEN),
        (120, "romeo", SET, "<retract node='{node}'><item id='none'/></retract>", MISSING),
        (120, "romeo", SET, "<retract node='none'><item id='a'/></retract>", MISSING),
        (
            121,
            "romeo",
            SET,
            "<retract><item id='a'/></retract>",
            ("modify", "bad-request", "nodeid-required"),
        ),
        (122, "romeo", SET, "<retract node='{node}'/>", ("modify", "bad-request", "item-required")),
        ("115 116", "romeo", SET, retract, ""),
    )
    # 117
    play.hears("juliet", "<items node='{node}'><retract id='a'/></items>")
    play.configure(persist_items="0")
    answer = play.romeo.iq("set", pubsub(play.fill(retract)), to=play.service)
    assert unsupported(answer, "persistent-items")  # 123


def test_examples_125_to_140_creating(play):
    # 125: `play` has done that
    fields = form("node_config", access_model="whitelist", title="Musings", max_items="5")
    play.run(
        (129, "romeo", SET, "<create node='{node}'/>", ("cancel", "conflict")),
        ("131 132", "romeo", SET, "<create/>", "<create node='...'/>"),
        (133, "romeo", SET, "<create node='{node}-2'/><configure/>", "<create node='{node}-2'/>"),
        (136, "romeo", SET, "<create/><configure>" + form("node_config", access_model="x") + "</configure>",
         ("modify", "not-acceptable", "unsupported-access-model")),
        ("134 135 137 138", "romeo", SET, f"<create node='{{node}}-3'/><configure>{fields}</configure>", ""),
        ("139 140", "romeo", OWNER_GET, "<configure node='{node}-3'/>",
         "<configure node='{node}-3'><x xmlns='jabber:x:data' type='form'>"
         "<field var='pubsub#access_model' type='list-single'><value>whitelist</value>"
         "<option><value>open</value></option></field>"
         "<field var='pubsub#title'><value>Musings</value></field><field var='pubsub#max_items'><value>5</value></field>"
         "</x></configure>"),
    )  # fmt: skip
    if play.juliet.domain != play.romeo.domain:
        play.run(
            (128, "juliet", SET, "<create/>", FORBIDDEN), (128, "juliet", OWNER_GET, "<default/>", FORBIDDEN)
        )


def test_examples_142_to_154_configuring(play):
    x = "<x xmlns='jabber:x:data' type='cancel'/>"
    fields = form("node_config", notify_config="1", title="New")
    play.run(
        (142, "juliet", OWNER_GET, "<configure node='{node}'/>", FORBIDDEN),
        (143, "romeo", OWNER_GET, "<configure/>", ("modify", "bad-request", "nodeid-required")),
        (145, "romeo", OWNER_GET, "<configure node='none'/>", MISSING),
        ("-", "juliet", SET, "<subscribe node='{node}' jid='{juliet}'/>", "<subscription/>"),
        (147, "romeo", OWNER_SET, f"<configure node='{{node}}'>{x}</configure>", ""),
        ("146 148", "romeo", OWNER_SET, f"<configure node='{{node}}'>{fields}</configure>", ""),
        (149, "romeo", OWNER_SET, "<configure node='{node}'>" + form("node_config", no_such="1") + "</configure>",
         ("modify", "not-acceptable")),
        ("152 154", "romeo", OWNER_GET, "<default/>", "<default><x xmlns='jabber:x:data' type='form'>"
         f"<field var='FORM_TYPE' type='hidden'><value>{NS}#node_config</value></field></x></default>"),
    )  # fmt: skip
    # 151
    play.hears("juliet", "<configuration node='{node}'><x xmlns='jabber:x:data' type='result'>"
               "<field var='pubsub#title'><value>New</value></field></x></configuration>")  # fmt: skip
    play.configure(deliver_payloads="0")
    # 150
    told = play.hears("juliet", "<configuration node='{node}'/>")
    assert len(told.find(f".//{{{EVENT}}}configuration")) == 0


def test_examples_157_to_169_deleting_and_purging(play):
    uri = "xmpp:hamlet@denmark.lit?;node=blog"
    play.run(
        ("-", "romeo", SET, "<create node='{node}-2'/>", ""),
        (157, "romeo", OWNER_SET, "<delete node='{node}-2'/>", ""),
    )
    play.run(
        ("-", "juliet", SET, "<subscribe node='{node}' jid='{juliet}'/>", "<subscription/>"),
        (167, "juliet", OWNER_SET, "<purge node='{node}'/>", FORBIDDEN),
        (169, "romeo", OWNER_SET, "<purge node='none'/>", MISSING),
        ("-", "romeo", SET, f"<publish node='{{node}}'><item id='a'>{entry()}</item></publish>", ""),
        ("163 164", "romeo", OWNER_SET, "<purge node='{node}'/>", ""),
        ("-", "romeo", GET, "<items node='{node}'/>", "<items><item>!absent</item></items>"),
        (161, "juliet", OWNER_SET, "<delete node='{node}'/>", FORBIDDEN),
        (162, "romeo", OWNER_SET, "<delete node='none'/>", MISSING),
    )
    # 165
    play.hears("juliet", "<purge node='{node}'/>")
    play.configure(persist_items="0")
    answer = play.romeo.iq("set", pubsub(play.fill("<purge node='{node}'/>"), OWNER), to=play.service)
    assert unsupported(answer, "persistent-items")  # 168
    play.run(("158 159", "romeo", OWNER_SET, f"<delete node='{{node}}'><redirect uri='{uri}'/></delete>", ""))
    # 160
    play.hears("juliet", f"<delete node='{{node}}'><redirect uri='{uri}'/></delete>")
    play.run(("-", "juliet", GET, "<items node='{node}'/>", MISSING))


def test_examples_184_to_209_people(play):
    subscriptions, affiliations = "<subscriptions node='{node}'/>", "<affiliations node='{node}'/>"
    change = "<affiliations node='{node}'>{}</affiliations>"
    owner, publisher = (
        "<affiliation jid='{romeo}' affiliation='owner'/>", "<affiliation jid='{juliet}' affiliation='publisher'/>"
    )  # fmt: skip
    play.run(
        ("-", "juliet", SET, "<subscribe node='{node}' jid='{juliet}'/>", "<subscription/>"),
        ("184 185", "romeo", OWNER_GET, subscriptions,
         "<subscriptions node='{node}'><subscription jid='{juliet}' subscription='subscribed' subid='...'/></subscriptions>"),
        (187, "juliet", OWNER_GET, subscriptions, FORBIDDEN),
        (188, "romeo", OWNER_GET, "<subscriptions node='none'/>", MISSING),
        (192, "juliet", OWNER_SET, subscriptions, FORBIDDEN),
        (193, "romeo", OWNER_SET, "<subscriptions node='none'/>", MISSING),
        ("189 190", "romeo", OWNER_SET, "<subscriptions node='{node}'>"
         "<subscription jid='bard@shakespeare.lit' subscription='subscribed'/></subscriptions>", ""),
        (194, "romeo", OWNER_SET, "<subscriptions node='{node}'><subscription jid='bard@shakespeare.lit' subscription='none'/>"
         "<subscription jid='{juliet}' subscription='none'/></subscriptions>", ""),
        ("197 198", "romeo", OWNER_GET, affiliations, f"<affiliations node='{{node}}'>{owner}</affiliations>"),
        (200, "juliet", OWNER_GET, affiliations, FORBIDDEN),
        (201, "romeo", OWNER_GET, "<affiliations node='none'/>", MISSING),
        ("202 203", "romeo", OWNER_SET, change.replace("{}", publisher), ""),
        (206, "juliet", OWNER_SET, affiliations, FORBIDDEN),
        (207, "romeo", OWNER_SET, "<affiliations node='none'/>", MISSING),
        ("-", "romeo", OWNER_GET, affiliations, f"<affiliations>{owner}{publisher}</affiliations>"),
        ("-", "romeo", OWNER_SET, change.replace("{}", publisher * 2), ("modify", "bad-request")),
    )  # fmt: skip
    play.hears("juliet", "<subscription node='{node}' jid='{juliet}' subscription='none'/>")  # 196
    both = change.replace(
        "{}",
        "<affiliation jid='{romeo}' affiliation='none'/><affiliation jid='{juliet}' affiliation='member'/>",
    )
    answer = play.romeo.iq("set", pubsub(play.fill(both), OWNER), to=play.service)
    left = (
        f"<pubsub xmlns='{OWNER}'><affiliations node='{play.node}'>{play.fill(owner)}</affiliations></pubsub>"
    )
    error = f"<error type='modify'><not-acceptable xmlns='{STANZAS}'/></error>"
    assert not matches(f"<iq type='error'>{left}{error}</iq>", answer), show(answer)  # 208, 209
    play.run(
        (
            "-",
            "romeo",
            OWNER_GET,
            affiliations,
            f"<affiliations>{owner}{publisher.replace('publisher', 'member')}</affiliations>",
        )
    )


def test_what_is_not_offered_says_so(play):
    found = {each.get("var") for each in play.romeo.iq("get", f"<query xmlns='{INFO}'/>", to=play.service)[0]}
    for feature in ("auto-create", "auto-subscribe", "filtered-notifications", "presence-subscribe"):
        assert f"{NS}#{feature}" not in found


def test_xep_0413_orders_and_xep_0462_types(play):
    publish = f"<publish node='{{node}}'><item id='%s'>{entry()}</item></publish>"
    play.run(*(("-", "romeo", SET, publish % id, "") for id in "ABCDCA"))

    def read(by, desc="", more=""):
        order = f"<order xmlns='urn:xmpp:order-by:1' by='{by}'{desc}/>"
        rsm = f"<set xmlns='http://jabber.org/protocol/rsm'>{more}</set>" if more else ""
        answer = play.juliet.iq("get", pubsub(f"<items node='{play.node}'/>{order}{rsm}"), to=play.service)
        first = answer.find(".//{http://jabber.org/protocol/rsm}first")
        return [
            each.get("id") for each in answer.iter(f"{{{NS}}}item")
        ], None if first is None else first.get("index")

    desc = " desc='true'"
    assert read("creation") == (["A", "B", "C", "D"], None)
    assert read("modification") == (["B", "D", "C", "A"], None)
    assert read("creation", desc) == (["D", "C", "B", "A"], None)
    assert read("modification", more="<max>2</max>") == (["B", "D"], "0")
    assert read("modification", more="<max>2</max><after>D</after>") == (["C", "A"], "2")
    assert read("creation", desc, "<max>2</max>") == (["D", "C"], "0")
    assert read("creation", desc, "<max>2</max><after>C</after>") == (["B", "A"], "2")
    assert read("creation", desc, "<max>1</max><before/>") == (["A"], "3")
    assert read("creation", "", "<max>2</max><before>D</before>") == (["B", "C"], "1")
    assert read("colour") == ([], None)
    play.configure(type="urn:example:comments")

    def nodes(**lists):
        rows = "".join(
            f"<field var='{var.replace('_', '-')}'><value>{value}</value></field>"
            for var, value in lists.items()
        )
        head = "<field var='FORM_TYPE'><value>urn:xmpp:pubsub-filter:0</value></field>"
        x = f"<x xmlns='jabber:x:data' type='submit'>{head}{rows}</x>"
        inner = f"<query xmlns='{ITEMS}'><filter xmlns='urn:xmpp:pubsub-filter:0'>{x}</filter></query>"
        answer = play.juliet.iq("get", inner, to=play.service)
        if answer.get("type") == "error":
            return None
        return play.node in [each.get("node") for each in answer[0]]

    assert nodes(included_types="urn:example:comments") is True
    assert nodes(included_types="") is False
    assert nodes(excluded_types="urn:example:comments") is False
    assert nodes(excluded_types="") is True
    assert nodes(included_types="a", excluded_types="b") is None
