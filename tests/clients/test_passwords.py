"""Passwords outside ASCII: older clients prepare them by SASLprep (slixmpp, unmodified), newer ones by OpaqueString."""

import sys
from unicodedata import normalize

import pytest

from tests.clients.conftest import HERE, Guest
from tests.conftest import Account, Place

pytestmark = pytest.mark.timeout(120)

PASSWORDS = {
    "an ellipsis": "wait\u2026what",
    "a superscript": "x\xb2 + y\xb2",
    "full-width": "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44",
    "ligatures": "o\ufb03ce \ufb01sh",
    "a soft hyphen": "soft\xadhyphen",
    "decomposed": "cafe\u0301 au lait",
    "another space": "no\xa0break",
    "a new emoji": "\U0001fa77 love",
}


def opaque(password):
    """What RFC 8265 makes of these; it has no form for a soft hyphen, which clients then send as it is."""
    return normalize("NFC", password.replace("\xa0", " "))


def both_get_in(user, server, make_client, password):
    who = Account(user, password, Place(server, "localhost"))
    for form in (opaque(password), password):
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512-PLUS", "PLAIN"):
            client = make_client(who, login=False)
            client.auth(user, form, mechanism, binding="tls-server-end-point").bind()
    guest = Guest([sys.executable, str(HERE / "slix.py")], who)
    try:
        guest.leave()
    finally:
        guest.kill()


@pytest.mark.parametrize("password", PASSWORDS.values(), ids=PASSWORDS)
def test_old_and_new_clients_log_in_with_it(server, make_client, account, password):
    user = account().user
    server.ctl("accounts", "passwd", f"{user}@localhost", "--password", password)
    both_get_in(user, server, make_client, password)


@pytest.mark.parametrize("way", ["register", "change", "accounts add"])
def test_wherever_it_was_set(server, make_client, account, way):
    password = PASSWORDS["a superscript"]
    user = f"{account().user}-too"
    nobody = Account("nobody", "", Place(server, "localhost"))
    if way == "register":
        make_client(nobody, login=False).register(user, password)
    elif way == "change":
        make_client(nobody, login=False).register(user, "secret").auth(user, "secret").bind().iq(
            "set",
            f"<query xmlns='jabber:iq:register'><username>{user}</username><password>{password}</password></query>",
        )
    else:
        server.ctl("accounts", "add", f"{user}@localhost", "--password", password)
    both_get_in(user, server, make_client, password)
