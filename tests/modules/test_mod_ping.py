"""XEP-0199: pings."""

from tests.client import subscribe_both

PING = "<ping xmlns='urn:xmpp:ping'/>"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"


def test_the_server_and_the_own_account_answer(romeo):
    for number, to in enumerate((f" to='{romeo.domain}'", f" to='{romeo.bare}'", "")):
        romeo.send(f"<iq type='get' id='p{number}'{to}>{PING}</iq>")
        romeo.gets(f"<iq type='result' id='p{number}' to='{romeo.jid}'/>")


def test_a_stranger_cannot_tell_who_exists(romeo, juliet):
    for number, to in enumerate((juliet.bare, f"nobody@{juliet.domain}")):
        romeo.send(f"<iq type='get' id='p{number}' to='{to}'>{PING}</iq>")
        romeo.gets(
            f"<iq type='error' id='p{number}' from='{to}'><error type='cancel'>"
            f"<service-unavailable xmlns='{STANZAS}'/></error></iq>"
        )


def test_a_contact_is_told(romeo, juliet):
    subscribe_both(romeo, juliet)
    romeo.send(f"<iq type='get' id='p' to='{juliet.bare}'>{PING}</iq>")
    romeo.gets(f"<iq type='result' id='p' from='{juliet.bare}'/>")


def test_a_resource_answers_for_itself(romeo, juliet):
    romeo.send(f"<iq type='get' id='p' to='{juliet.jid}'>{PING}</iq>")
    juliet.gets(f"<iq type='get' id='p' from='{romeo.jid}'>{PING}</iq>")
    juliet.send(f"<iq type='result' id='p' to='{romeo.jid}'/>")
    romeo.gets(f"<iq type='result' id='p' from='{juliet.jid}'/>")
