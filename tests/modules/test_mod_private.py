"""XEP-0049: private XML storage."""

from tests.conftest import CONFIG, Account, Place

NS = "jabber:iq:private"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
EXODUS = "<exodus xmlns='exodus:prefs'><defaultnick>Hamlet</defaultnick></exodus>"


def iq(type, id, inner, to=""):
    return f"<iq type='{type}' id='{id}'{to}><query xmlns='{NS}'>{inner}</query></iq>"


def error(id, condition, type):
    return f"<iq type='error' id='{id}'><error type='{type}'><{condition} xmlns='{STANZAS}'/></error></iq>"


def keep(client, inner):
    client.send(iq("set", "keep", inner))
    client.gets("<iq type='result' id='keep'/>")


def test_what_is_stored_comes_back(romeo):
    keep(romeo, EXODUS)
    for number, to in enumerate(("", f" to='{romeo.bare}'")):
        romeo.send(iq("get", f"g{number}", "<exodus xmlns='exodus:prefs'/>", to))
        romeo.gets(iq("result", f"g{number}", EXODUS))


def test_what_is_not_there_is_empty(romeo):
    romeo.send(iq("get", "g", "<exodus xmlns='exodus:prefs'/>"))
    answer = romeo.gets(iq("result", "g", "<exodus xmlns='exodus:prefs'/>"))
    assert len(answer[0]) == 1 and len(answer[0][0]) == 0


def test_several_elements_in_one_set(romeo):
    keep(romeo, f"{EXODUS}<a xmlns='x'>1</a><a xmlns='x'>2</a><b xmlns='x'/>")
    romeo.send(iq("get", "g", "<a xmlns='x'/>"))
    romeo.gets(iq("result", "g", "<a xmlns='x'>1</a><a xmlns='x'>2</a><b xmlns='x'>!absent</b>"))
    keep(romeo, "<a xmlns='x'>3</a>")
    romeo.send(iq("get", "h", "<a xmlns='x'/>"))
    assert len(romeo.gets(iq("result", "h", "<a xmlns='x'>3</a>"))[0]) == 1
    romeo.send(iq("get", "i", "<exodus xmlns='exodus:prefs'/>"))
    romeo.gets(iq("result", "i", EXODUS))


def test_a_request_names_one_element(romeo):
    romeo.send(iq("get", "none", ""))
    romeo.gets(error("none", "bad-request", "modify"))
    romeo.send(iq("get", "two", "<a xmlns='x'/><b xmlns='x'/>"))
    romeo.gets(error("two", "bad-request", "modify"))
    romeo.send(iq("set", "nothing", ""))
    romeo.gets(error("nothing", "not-acceptable", "modify"))
    romeo.send(iq("set", "bare", "<exodus/>"))
    romeo.gets(error("bare", "not-acceptable", "modify"))


def test_it_is_private(romeo, juliet):
    keep(juliet, EXODUS)
    for type in ("get", "set"):
        romeo.send(iq(type, type, EXODUS, f" to='{juliet.bare}'"))
        romeo.gets(error(type, "forbidden", "auth"))


def test_there_are_limits(start_server, account, make_client):
    private = {"max_size": 1000, "max_elements": 2}
    server = start_server({**CONFIG, "modules": {**CONFIG["modules"], "private": private}})
    client = make_client(account("romeo", Place(server, "localhost")), available=False)
    keep(client, f"<a xmlns='x'>{'.' * 800}</a>")
    client.send(iq("set", "size", f"<b xmlns='x'>{'.' * 800}</b>"))
    client.gets(error("size", "policy-violation", "modify"))
    keep(client, "<b xmlns='x'/>")
    client.send(iq("set", "count", "<c xmlns='x'/>"))
    client.gets(error("count", "policy-violation", "modify"))
    keep(client, f"<a xmlns='x'>{'!' * 800}</a>")
    client.send(iq("get", "a", "<a xmlns='x'/>"))
    client.gets(iq("result", "a", f"<a xmlns='x'>{'!' * 800}</a>"))


def test_guests_keep_nothing(start_server, make_client):
    server = start_server({**CONFIG, "hosts": {"localhost": {"anonymous": True}}})
    guest = make_client(Account("", "", Place(server, "localhost")), available=False)
    guest.send(iq("set", "s", EXODUS))
    guest.gets(error("s", "not-allowed", "cancel"))
