"""SCRAM and PLAIN: the RFCs' exchanges, channel binding, and what a hostile client may try."""

import contextlib
import hashlib
import hmac
import secrets
import unicodedata
from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jabberd_py.xmpp import sasl
from jabberd_py.xmpp.prep import saslprep
from jabberd_py.xmpp.sasl import SaslError, Scram

SALT = b"0123456789abcdef"
KEYS = {name: sasl.derive(name, "pencil", SALT, 2) for name in ("sha1", "sha256", "sha512")}


def scram(hash_name="sha256", plus=False, bindings=None, advertised_plus=False):
    return Scram(hash_name, plus, bindings or {}, advertised_plus, lambda name: KEYS[hash_name])


def answer(hash_name, first, server_first, password="pencil", data=b"", nonce=None):
    """What an honest client sends; `first` is its client-first-message."""
    flag, authzid, bare = first.split(",", 2)
    fields = dict(part.split("=", 1) for part in server_first.decode().split(","))
    binding = b64encode(f"{flag},{authzid},".encode() + data).decode()
    without_proof = f"c={binding},r={nonce or fields['r']}"
    said = f"{bare},{server_first.decode()},{without_proof}".encode()
    salted = hashlib.pbkdf2_hmac(hash_name, password.encode(), b64decode(fields["s"]), int(fields["i"]))
    key = hmac.digest(salted, b"Client Key", hash_name)
    signature = hmac.digest(hashlib.new(hash_name, key).digest(), said, hash_name)
    verifier = hmac.digest(hmac.digest(salted, b"Server Key", hash_name), said, hash_name)
    proof = b64encode(bytes(a ^ b for a, b in zip(key, signature, strict=True))).decode()
    return f"{without_proof},p={proof}".encode(), b"v=" + b64encode(verifier)


@pytest.mark.parametrize(
    ("hash_name", "salt", "client_first", "server_nonce", "server_first", "client_final", "server_final"),
    [
        pytest.param(
            "sha1",
            "QSXCR+Q6sek8bf92",
            b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
            "3rfcNHYJY1ZVvWVs7j",
            b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
            b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
            id="RFC 5802 section 5",
        ),
        pytest.param(
            "sha256",
            "W22ZaJ0SNY7soEsUEjb6gQ==",
            b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
            b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
            b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            id="RFC 7677 section 3",
        ),
    ],
)
def test_the_exchange_of_the_rfc(
    monkeypatch, hash_name, salt, client_first, server_nonce, server_first, client_final, server_final
):
    monkeypatch.setattr(secrets, "token_urlsafe", lambda size: server_nonce)
    keys = sasl.derive(hash_name, "pencil", b64decode(salt), 4096)
    exchange = Scram(hash_name, False, {}, False, {"user": keys}.__getitem__)
    assert exchange.first(client_first) == server_first
    assert exchange.final(client_final) == server_final
    assert (exchange.username, exchange.authzid) == ("user", None)


@pytest.mark.parametrize("hash_name", KEYS)
@pytest.mark.parametrize(
    ("flag", "plus", "data"), [("n", False, b""), ("y", False, b""), ("p=tls-exporter", True, b"\0\xff")]
)
def test_client_and_server_convince_each_other(hash_name, flag, plus, data):
    exchange = scram(hash_name, plus, {"tls-exporter": b"\0\xff", "tls-server-end-point": b"other"}, plus)
    first = f"{flag},a=boss@example.net,n=a=2Cb=3D2C,r=abc,x=ext"
    final, verifier = answer(hash_name, first, exchange.first(first.encode()), data=data)
    assert exchange.final(final) == verifier
    assert (exchange.username, exchange.authzid) == ("a,b=2C", "boss@example.net")


def test_every_exchange_has_its_own_nonce():
    assert scram().first(b"n,,n=u,r=abc") != scram().first(b"n,,n=u,r=abc")


@pytest.mark.parametrize(
    ("flag", "plus", "advertised", "condition"),
    [
        ("y", False, True, "not-authorized"),  # a downgrade
        ("n", True, True, "malformed-request"),
        ("y", True, True, "malformed-request"),
        ("p=tls-exporter", False, True, "malformed-request"),
        ("p=tls-unique", True, True, "malformed-request"),
    ],
)
def test_channel_binding_flags_that_do_not_fit(flag, plus, advertised, condition):
    with pytest.raises(SaslError) as error:
        scram("sha256", plus, {"tls-exporter": b"x"}, advertised).first(f"{flag},,n=u,r=abc".encode())
    assert error.value.condition == condition


def fails(exchange, final, condition="not-authorized"):
    with pytest.raises(SaslError) as error:
        exchange.final(final)
    assert error.value.condition == condition


def test_a_man_in_the_middle_has_other_channel_binding_data():
    exchange = scram(plus=True, bindings={"tls-exporter": b"ours"}, advertised_plus=True)
    first = "p=tls-exporter,,n=u,r=abc"
    fails(exchange, answer("sha256", first, exchange.first(first.encode()), data=b"theirs")[0])


def test_a_changed_gs2_header_is_noticed():
    exchange = scram()
    server_first = exchange.first(b"n,,n=u,r=abc")
    fails(exchange, answer("sha256", "y,,n=u,r=abc", server_first)[0])


def test_a_wrong_password_a_wrong_nonce_and_a_wrong_proof():
    first = "n,,n=u,r=abc"
    exchange = scram()
    fails(exchange, answer("sha256", first, exchange.first(first.encode()), "pen")[0])
    exchange = scram()
    fails(exchange, answer("sha256", first, exchange.first(first.encode()), nonce="abc")[0])
    exchange = scram()
    final = bytearray(answer("sha256", first, exchange.first(first.encode()))[0])
    final[-10] = ord("A") if final[-10] != ord("A") else ord("B")
    fails(exchange, bytes(final))


def test_one_try_only_and_in_order():
    first = "n,,n=u,r=abc"
    exchange = scram()
    fails(exchange, b"c=biws,r=abc,p=AAAA", "malformed-request")
    final, _ = answer("sha256", first, exchange.first(first.encode()))
    exchange.final(final)
    fails(exchange, final, "malformed-request")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n",
        b"n,,",
        b"n,,n=u",
        b"n,,n=,r=abc",
        b"n,,n=u,r=",
        b"n,,r=abc,n=u",
        b"n,,m=x,n=u,r=abc",
        b"n,,n=u,r=a\x7fb",
        b"n,,n=u,r=a b",
        b"n,,n=u=,r=abc",
        b"n,,n=u=2c,r=abc",
        b"n,,n=u\0,r=abc",
        b"n,u,n=u,r=abc",
        b"n,a=,n=u,r=abc",
        b"n,,n=u,r=abc,",
        b"n,,n=u,r=abc,junk",
        b"x,,n=u,r=abc",
        b"p=,,n=u,r=abc",
        b"n,,n=\xff,r=abc",
        b"n,,n=u,r=" + b"x" * 300,
        b"n,,n=" + b"x" * 1024 + b",r=abc",
        b"n,,n=u,r=abc,x=" + b"x" * 5000,
    ],
)
def test_malformed_first_messages(message):
    with pytest.raises(SaslError) as error:
        scram().first(message)
    assert error.value.condition == "malformed-request"


@pytest.mark.parametrize(
    "final", [b"", b"p=AAAA", b"c=biws,p=AAAA", b"c=biws,r=N", b"c=biws,r=N,p=", b"c=biws,r=N,p=!!"]
    + [b"c=b,r=N,p=AAAA", b"c=biws,r=N,p=AAAA", b"r=N,c=biws,p=AAAA", b"c=biws,r=N,junk,p=AAAA"]
    + [b"c=biws,r=N,p=AAA\xff"],
)  # fmt: skip
def test_malformed_final_messages(final):
    exchange = scram()
    nonce = exchange.first(b"n,,n=u,r=abc").split(b",")[0][2:]
    fails(exchange, final.replace(b"N", nonce), "malformed-request")


def test_a_stranger_looks_like_a_user_with_another_password():
    fake = sasl.fake_keys(b"secret", "nobody", "sha256", 4096)
    assert fake == sasl.fake_keys(b"secret", "nobody", "sha256", 4096)
    assert len(fake.salt) == sasl.SALT_BYTES and len(fake.stored_key) == len(KEYS["sha256"].stored_key)
    others = [("other", "nobody", "sha256"), ("secret", "somebody", "sha256"), ("secret", "nobody", "sha512")]
    assert fake.salt not in {sasl.fake_keys(s.encode(), name, h, 4096).salt for s, name, h in others}
    assert not sasl.verify_plain(fake, "sha256", "")
    assert not sasl.verify_plain(fake, "sha256", "pencil")


def test_passwords_are_verified_prepared_and_bounded():
    assert sasl.verify_plain(KEYS["sha1"], "sha1", "pencil")
    assert not sasl.verify_plain(KEYS["sha1"], "sha1", "Pencil")
    assert not sasl.verify_plain(KEYS["sha1"], "sha1", "x" * 10_000)
    assert sasl.verify_plain(sasl.derive("sha512", "caf\xe9", SALT, 2), "sha512", "cafe\u0301")
    for password in ("", "x" * 256):
        with pytest.raises(ValueError):
            sasl.derive("sha1", password, SALT, 2)


@pytest.mark.parametrize(("typed", "sasl_form"), [
    ("wait\u2026what", "wait...what"), ("x\xb2", "x2"), ("\uff50\uff41\uff53\uff53", "pass"), ("o\ufb03ce", "office"),
    ("soft\xadhyphen", "softhyphen"), ("no\xa0break", "no break"), ("cafe\u0301", "caf\xe9"),
    ("\u2163", "IV"), ("\u05e9\u05dc\u05d5\u05dd", "\u05e9\u05dc\u05d5\u05dd"), ("\U0001fa77 love", "\U0001fa77 love"),
])  # fmt: skip
def test_every_form_that_clients_make_of_a_password_fits(typed, sasl_form):
    """SASLprep (RFC 4013), OpaqueString (RFC 8265) and nothing at all."""
    keys = sasl.derive("sha256", typed, SALT, 2)
    for form in {typed, sasl_form, unicodedata.normalize("NFC", typed.replace("\xa0", " "))}:
        exchange = Scram("sha256", False, {}, False, lambda name: keys)
        final, verifier = answer("sha256", "n,,n=u,r=abc", exchange.first(b"n,,n=u,r=abc"), form)
        assert exchange.final(final) == verifier
        assert sasl.verify_plain(keys, "sha256", form)
    assert not sasl.verify_plain(keys, "sha256", typed + "x")
    exchange = Scram("sha256", False, {}, False, lambda name: keys)
    fails(exchange, answer("sha256", "n,,n=u,r=abc", exchange.first(b"n,,n=u,r=abc"), sasl_form + "x")[0])


def test_a_long_password_is_still_one_when_it_has_been_prepared():
    typed = "\ufdfa" * 85
    keys = sasl.derive("sha256", typed, SALT, 2)
    assert sasl.verify_plain(keys, "sha256", sasl.plain(b"\0u\0" + saslprep(typed).encode())[2])


def test_ascii_has_one_form():
    assert sasl.derive("sha1", "pencil", SALT, 2).others == ()


def test_plain():
    assert sasl.plain(b"\0tim\0tanstaaftanstaaf") == ("", "tim", "tanstaaftanstaaf")
    assert sasl.plain("Ursel\0Kurt\0xipj3plmq\xe9".encode()) == ("Ursel", "Kurt", "xipj3plmq\xe9")


@pytest.mark.parametrize(
    "message", [b"", b"\0\0", b"tim\0pw", b"\0tim\0", b"\0\0pw", b"\0tim\0p\0w", b"\0t\xff\0pw"]
    + [b"\0" + b"x" * 1024 + b"\0pw", b"x" * 1024 + b"\0u\0pw", b"\0u\0" + b"x" * 5000, b"\0" * 100_000],
)  # fmt: skip
def test_malformed_plain(message):
    with pytest.raises(SaslError) as error:
        sasl.plain(message)
    assert error.value.condition == "malformed-request"


messages = st.one_of(st.binary(), st.text(alphabet="nypamrc=,2C3D\0 x/+", max_size=60).map(str.encode))


@given(messages, messages)
def test_nothing_but_a_sasl_error_comes_of_junk(first, final):
    exchange = scram()
    for step, message in ((exchange.first, first), (exchange.final, final), (sasl.plain, first)):
        with contextlib.suppress(SaslError):
            step(message)
    exchange = scram()
    nonce = exchange.first(b"n,,n=u,r=abc").split(b",")[0]
    with pytest.raises(SaslError):
        exchange.final(b"c=biws," + nonce + b",p=" + b64encode(final))
