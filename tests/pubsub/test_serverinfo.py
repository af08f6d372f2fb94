"""XEP-0485: what a host publishes of itself, and of whom else."""

import gevent

from tests.conftest import CONFIG, Account, Place
from tests.dns import DNSServer
from tests.pubsub.words import INFO, ITEMS, NS, condition, items, pubsub

INFORMATION = "urn:xmpp:serverinfo:0"
ON = {"modules": {"serverinfo": True}}


def named(answer):
    """(domain, the other servers that are named, how many are not) of a notification, or of an answer with the item."""
    domain = answer.find(f".//{{{INFORMATION}}}domain")
    remotes = [each.get("name") for each in answer.iter(f"{{{INFORMATION}}}remote-domain")]
    return domain.get("name"), sorted(filter(None, remotes)), remotes.count(None)


def features(client, to):
    answer = client.iq("get", f"<query xmlns='{INFO}'/>", to=to)
    return {each.get("var") for each in answer.iter(f"{{{INFO}}}feature")}, answer


def test_servers_that_agree_name_each_other_and_all_others_are_counted(start_server, make_client):
    """Examples 2, 4, 6, 7 and 8."""
    with DNSServer() as names:

        def start(name, hosts):
            dns = {"nameservers": [names.address]}
            server = start_server({**CONFIG, "hosts": hosts, "s2s": {}, "dns": dns}, name)
            for host in hosts:
                for each in (host, f"pubsub.{host}"):
                    names.publish(each, *server.address("s2s"))
                server.ctl("accounts", "add", f"me@{host}", "--password", "secret")
            return server

        here = start("here", {"verona.example": ON})
        there = start("there", {"mantua.example": ON, "venice.example": {}})
        romeo = make_client(Account("me", "secret", Place(here, "verona.example")))
        others = [
            make_client(Account("me", "secret", Place(there, each)))
            for each in ("mantua.example", "venice.example")
        ]
        service = "pubsub.verona.example"
        with gevent.Timeout(20):
            while condition(items(romeo, "serverinfo", service)) != (
                "result",
            ):  # it is made just after the start
                gevent.sleep(0.05)
        has, answer = features(romeo, "verona.example")
        assert INFORMATION in has
        forms = answer.findall(".//{jabber:x:data}x")
        assert len(forms) == 1
        assert "xmpp:pubsub.verona.example?;node=serverinfo" in [
            each.text for each in forms[0].iter("{jabber:x:data}value")
        ]
        assert INFORMATION not in features(others[1], "venice.example")[0]
        leaf = romeo.iq("get", f"<query xmlns='{INFO}' node='serverinfo'/>", to=service)
        assert [(each.get("category"), each.get("type")) for each in leaf.iter(f"{{{INFO}}}identity")] == [
            ("pubsub", "leaf")
        ]
        assert named(items(romeo, "serverinfo", service)) == ("verona.example", [], 0)
        answer = romeo.iq("set", pubsub(f"<subscribe node='serverinfo' jid='{romeo.bare}'/>"), to=service)
        assert condition(answer) == ("result",)
        romeo.gets(
            "<message><event xmlns='http://jabber.org/protocol/pubsub#event'/></message>", 10
        )  # the last item
        for other in others:
            romeo.send(f"<message to='{other.bare}'><body>hello</body></message>")
            other.gets("<message><body>hello</body></message>", 20)
        here.ctl("reload")
        event = romeo.gets("<message><event xmlns='http://jabber.org/protocol/pubsub#event'/></message>", 30)
        assert named(event) == ("verona.example", ["mantua.example"], 1)
        directions = {each.get("type") for each in event.iter(f"{{{INFORMATION}}}connection")}
        assert directions and directions <= {"incoming", "outgoing", "bidi"}
        assert event.findtext(".//{jabber:iq:version}name") == "jabberd_py"
        read = pubsub("<items node='serverinfo'/>")
        for other in others:  # a stranger reads it, and nobody but the server writes it
            assert named(other.iq("get", read, to=service, timeout=20))[0] == "verona.example"
        forged = pubsub(
            f"<publish node='serverinfo'><item id='current'><serverinfo xmlns='{INFORMATION}'/></item></publish>"
        )
        assert condition(romeo.iq("set", forged, to=service)) == ("forbidden",)
        assert condition(romeo.iq("set", pubsub("<create node='serverinfo'/>"), to=service)) == ("conflict",)
        nodes = romeo.iq("get", f"<query xmlns='{ITEMS}'/>", to=service)
        assert [each.get("node") for each in nodes.iter(f"{{{ITEMS}}}item")] == ["serverinfo"]
        assert NS in features(romeo, service)[0]


def test_nothing_is_announced_that_nobody_has_switched_on(romeo):
    has, _ = features(romeo, romeo.domain)
    assert INFORMATION not in has


def test_a_strangers_node_is_not_announced_as_the_servers_own(start_server, account, make_client):
    server = start_server(CONFIG, "serverinfo")
    romeo = account("romeo", Place(server, "localhost"))
    made = make_client(romeo).iq("set", pubsub("<create node='serverinfo'/>"), to="pubsub.localhost")
    assert condition(made) == ("result",)
    server.stop()
    server = start_server({**CONFIG, "modules": {**CONFIG["modules"], "serverinfo": True}}, "serverinfo")
    with gevent.Timeout(20):
        while "information is somebody else's" not in server.log.read_text():
            gevent.sleep(0.05)
    has, answer = features(
        make_client(Account(romeo.user, romeo.password, Place(server, "localhost"))), "localhost"
    )
    assert INFORMATION not in has
    assert "node=serverinfo" not in "".join(answer.itertext())
