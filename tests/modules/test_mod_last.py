"""XEP-0012: how long ago somebody left."""

from tests.client import subscribe_both

NS = "jabber:iq:last"
QUERY = f"<query xmlns='{NS}'/>"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"


def test_the_server_tells_its_uptime(romeo):
    answer = romeo.iq("get", QUERY, romeo.domain)
    assert 0 <= int(answer[0].get("seconds")) < 3600


def test_an_online_user_left_no_time_ago(romeo, juliet):
    subscribe_both(romeo, juliet)
    romeo.send(f"<iq type='get' id='l' to='{juliet.bare}'>{QUERY}</iq>")
    romeo.gets(f"<iq type='result' id='l' from='{juliet.bare}'><query xmlns='{NS}' seconds='0'/></iq>")
    romeo.send(f"<iq type='get' id='me' to='{romeo.bare}'>{QUERY}</iq>")
    romeo.gets(f"<iq type='result' id='me'><query xmlns='{NS}' seconds='0'/></iq>")


def test_a_contact_hears_the_last_words(romeo, juliet):
    subscribe_both(romeo, juliet)
    juliet.send("<presence type='unavailable'><status>Heading Home</status></presence>")
    juliet.close()
    romeo.gets(f"<presence type='unavailable' from='{juliet.jid}'/>")
    romeo.send(f"<iq type='get' id='l' to='{juliet.bare}'>{QUERY}</iq>")
    answer = romeo.gets(
        f"<iq type='result' id='l'><query xmlns='{NS}' seconds='...'>Heading Home</query></iq>"
    )
    assert 0 <= int(answer[0].get("seconds")) < 60


def test_words_before_coming_back_are_not_the_last(romeo, juliet):
    subscribe_both(romeo, juliet)
    juliet.send("<presence type='unavailable'><status>Heading Home</status></presence>")
    juliet.available()
    juliet.close()
    romeo.gets(f"<presence type='unavailable' from='{juliet.jid}'/>")
    romeo.gets(f"<presence type='unavailable' from='{juliet.jid}'/>")
    answer = romeo.iq("get", QUERY, juliet.bare)
    assert answer.get("type") == "result" and not answer[0].text


def test_a_stranger_is_forbidden_to_ask_account_or_client(romeo, juliet):
    nobody = f"nobody@{juliet.domain}"
    for number, to in enumerate((juliet.bare, juliet.jid, nobody, f"{nobody}/here")):
        romeo.send(f"<iq type='get' id='l{number}' to='{to}'>{QUERY}</iq>")
        romeo.gets(
            f"<iq type='error' id='l{number}' from='{to}'><error type='auth'>"
            f"<forbidden xmlns='{STANZAS}'/></error></iq>"
        )
    juliet.nothing(f"<iq type='get'>{QUERY}</iq>")


def test_a_contact_may_ask_the_client(romeo, juliet):
    subscribe_both(romeo, juliet)
    romeo.send(f"<iq type='get' id='l' to='{juliet.jid}'>{QUERY}</iq>")
    juliet.gets(f"<iq type='get' id='l' from='{romeo.jid}'>{QUERY}</iq>")
    juliet.send(f"<iq type='result' id='l' to='{romeo.jid}'><query xmlns='{NS}' seconds='123'/></iq>")
    romeo.gets(f"<iq type='result' id='l'><query xmlns='{NS}' seconds='123'/></iq>")
