import hashlib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from jabberd_py.net import dane
from jabberd_py.net.chain import Authorities
from jabberd_py.net.dnsrv import TLSA
from tests.ca import CA

NOBODY = Authorities.only([])
HASHES = {
    0: bytes,
    1: lambda data: hashlib.sha256(data).digest(),
    2: lambda data: hashlib.sha512(data).digest(),
}


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> CA:
    return CA(tmp_path_factory.mktemp("ca"))


def record(usage: int, selector: int, matching: int, der: bytes) -> TLSA:
    key = x509.load_der_x509_certificate(der).public_key()
    data = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) if selector else der
    return TLSA(usage, selector, matching, HASHES[matching](data))


@pytest.mark.parametrize("usage", [0, 1, 2, 3])
@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
def test_every_kind(ca: CA, usage: int, selector: int, matching: int) -> None:
    chain = ca.issue("xmpp.example", intermediate=True).chain
    authorities = Authorities(str(ca.file))
    tlsa = record(usage, selector, matching, chain[0 if usage in (1, 3) else 1])
    assert dane.usable([tlsa]) == (tlsa,)
    assert dane.matches(tlsa, chain)
    assert dane.judge([tlsa], chain, ["a.example", "xmpp.example"], authorities) is None
    other = ca.issue("xmpp.example", intermediate=True).chain
    assert not dane.matches(tlsa, other)
    assert (
        dane.judge([tlsa], other, ["xmpp.example"], authorities)
        == "none of the TLSA records fits the certificate"
    )
    wrong_name = dane.judge([tlsa], chain, ["a.example", "b.example"], authorities)
    assert wrong_name == (
        None if usage == 3 else "the certificate is for xmpp.example, not for a.example or b.example"
    )
    untrusted = dane.judge([tlsa], chain, ["xmpp.example"], NOBODY)
    assert (untrusted is None) == (usage >= 2)


def test_dane_ee_takes_an_expired_self_signed_certificate(ca: CA) -> None:
    chain = ca.issue(self_signed=True, expired=True).chain
    assert dane.judge([record(3, 1, 1, chain[0])], chain, ["a.example"], NOBODY) is None


def test_dane_ta_takes_no_expired_certificate_and_no_stranger_beside_the_authority(
    ca: CA, tmp_path: Path
) -> None:
    chain = ca.issue("a.example", intermediate=True, expired=True).chain
    assert "expired" in str(dane.judge([record(2, 0, 1, chain[1])], chain, ["a.example"], NOBODY))
    stranger = CA(tmp_path, "Stranger").issue("a.example").chain
    forged = [*stranger, chain[1]]
    assert dane.judge([record(2, 0, 1, chain[1])], forged, ["a.example"], NOBODY) is not None


def test_pkix_ta_may_be_the_root_that_is_not_shown(ca: CA) -> None:
    chain = ca.issue("a.example").chain
    tlsa = record(0, 1, 1, ca.party.chain[0])
    assert dane.judge([tlsa], chain, ["a.example"], Authorities(str(ca.file))) is None


def test_one_record_is_enough(ca: CA) -> None:
    chain = ca.issue("a.example").chain
    old = record(3, 1, 1, ca.issue("a.example").chain[0])
    assert dane.judge([old, record(3, 1, 1, chain[0])], chain, [], NOBODY) is None
    assert dane.judge([old], [], [], NOBODY) == "no certificate was shown"


def test_what_cannot_be_used() -> None:
    good = TLSA(3, 1, 1, bytes(32))
    bad = [TLSA(4, 1, 1, bytes(32)), TLSA(3, 2, 1, bytes(32)), TLSA(3, 1, 3, bytes(32)), TLSA(3, 1, 1, bytes(31)),
           TLSA(3, 0, 0, b"")]  # fmt: skip
    assert dane.usable([*bad, good]) == (good,)


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=3), st.integers(0, 3), st.integers(0, 1))
def test_junk(chain: list[bytes], usage: int, selector: int) -> None:
    assert dane.judge([TLSA(usage, selector, 1, bytes(32))], chain, ["a.example"], NOBODY) is not None
