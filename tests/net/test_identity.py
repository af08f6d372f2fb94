import re
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from jabberd_py.net.chain import Authorities, judge, verify
from jabberd_py.net.identity import XMPP_ADDR, Identities, _texts, identities, matches
from tests.ca import CA, DER, _sign


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> CA:
    return CA(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def authorities(ca: CA) -> Authorities:
    return Authorities(str(ca.file))


def test_all_kinds_of_names(ca: CA) -> None:
    der = ca.issue(
        "a.example",
        "*.b.example",
        xmpp_addr=["münchen.example"],
        srv=["_xmpp-server.c.example"],
        ip=["::1"],
    ).chain[0]
    assert identities(der) == Identities(
        ("a.example", "*.b.example"), ("_xmpp-server.c.example",), ("münchen.example",), ("::1",)
    )


@pytest.mark.parametrize(
    ("names", "domain", "good"),
    [
        ({"domains": ["a.example"]}, "a.example", True),
        ({"domains": ["A.Example"]}, "a.example", True),
        ({"domains": ["a.example"]}, "b.a.example", False),
        ({"domains": ["a.example"]}, "xa.example", False),
        ({"domains": ["a.example"], "wildcard": True}, "b.a.example", True),
        ({"domains": ["a.example"], "wildcard": True}, "a.example", False),
        ({"domains": ["a.example"], "wildcard": True}, "c.b.a.example", False),
        ({"domains": ["example"], "wildcard": True}, "a.example", False),
        ({"domains": ["f*.a.example"]}, "foo.a.example", False),
        ({"domains": ["b.*.example"]}, "b.a.example", False),
        ({"domains": ["münchen.example"]}, "münchen.example", True),
        ({"domains": ["münchen.example"]}, "xn--mnchen-3ya.example", True),
        ({"domains": ["münchen.example"], "wildcard": True}, "straße.münchen.example", True),
        ({"srv": ["_xmpp-server.a.example"]}, "a.example", True),
        ({"srv": ["_xmpp-server.xn--mnchen-3ya.example"]}, "münchen.example", True),
        ({"srv": ["_xmpp-server.*.example.org"]}, "a.example.org", False),
        ({"xmpp_addr": ["a.example"]}, "a.example", True),
        ({"xmpp_addr": ["münchen.example"]}, "münchen.example", True),
        ({"xmpp_addr": ["a." * 100 + "example"]}, "a." * 100 + "example", True),  # a long DER length
        ({"xmpp_addr": ["user@a.example"]}, "a.example", False),
        ({"xmpp_addr": ["a.example/r"]}, "a.example", False),
        ({"xmpp_addr": ["*.example.org"]}, "a.example.org", False),
        ({"ip": ["::1"]}, "[::1]", True),
        ({"ip": ["127.0.0.1"]}, "127.0.0.1", True),
        ({"ip": ["127.0.0.1"]}, "127.0.0.2", False),
        ({"domains": ["127.0.0.1"]}, "127.0.0.1", False),
        ({"common_name": "a.example"}, "a.example", False),
        ({"domains": ["b.example"], "common_name": "a.example"}, "a.example", False),
        ({"domains": ["a.example"]}, "", False),
    ],
)
def test_whom_a_certificate_is_for(ca: CA, names: dict, domain: str, good: bool) -> None:
    assert matches(ca.issue(*names.pop("domains", ()), **names).chain[0], domain) is good


def test_srv_names_of_another_service(ca: CA) -> None:
    der = ca.issue(srv=["_xmpp-server.a.example"]).chain[0]
    assert not matches(der, "a.example", "xmpp-client")


@given(st.binary(max_size=200))
def test_junk_is_for_nobody(junk: bytes) -> None:
    assert identities(junk) == Identities() and not matches(junk, "a.example")


@given(st.binary(max_size=20))
def test_strings_of_der(junk: bytes) -> None:
    def texts(*values: bytes) -> tuple[str, ...]:
        return _texts([x509.OtherName(XMPP_ADDR, value) for value in values], XMPP_ADDR, str)

    texts(junk)  # raises nothing
    assert texts(b"\x0c\x03abc", b"\x0c\x03abcd", b"\x0c\x01\xff", b"\x0c\x01d") == ("abc", "d")
    assert texts(b"\x0c\x82\x01\x00" + b"x" * 256) == ("x" * 256,)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, None),
        ({"intermediate": True}, None),
        ({"expired": True}, r"the certificate expired on \d{4}-\d\d-\d\d"),
        ({"future": True}, r"the certificate is not valid before \d{4}-\d\d-\d\d"),
        ({"self_signed": True}, "the certificate is self-signed"),
        ({"extensions": [x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])]}, None),
        (
            {"extensions": [x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])]},
            ".*not meant for servers",
        ),
    ],
)
def test_verdicts(ca: CA, authorities: Authorities, options: dict, reason: str | None) -> None:
    verdict = verify(ca.issue("a.example", **options).chain, authorities)
    if reason is None:
        assert verdict is None
    else:
        assert verdict is not None and re.match(reason, verdict)


def test_other_authorities(ca: CA, authorities: Authorities, tmp_path: Path) -> None:
    other = CA(tmp_path, "Other CA")
    party = other.issue("a.example", intermediate=True)
    assert verify(party.chain, authorities) == (
        "the authority's certificate (Intermediate CA) was issued by somebody unknown here, or the chain lacks a link: "
        "Other CA"
    )
    assert verify([*party.chain, other.party.chain[0]], authorities) == (
        "the certificate comes from an authority that is not trusted here: Other CA"
    )
    assert "or the chain lacks a link: Intermediate CA" in str(
        verify(party.chain[:1], Authorities(str(other.file)))
    )
    assert verify(party.chain, Authorities()) is not None  # the system's


def test_a_server_is_no_authority(ca: CA, authorities: Authorities) -> None:
    server = ca.issue("a.example")
    forged = _sign("b.example", server, names=[x509.DNSName("b.example")])
    assert verify([*forged.chain, server.cert.public_bytes(DER)], authorities) is not None


def test_one_good_and_for_somebody_else(ca: CA, authorities: Authorities) -> None:
    chain = ca.issue("a.example", "b.example").chain
    assert judge(chain, "b.example", authorities) is None
    assert (
        judge(chain, "c.example", authorities)
        == "the certificate is for a.example, b.example, not for c.example"
    )
    assert judge([], "c.example", authorities) == "no certificate was shown"
    assert (
        judge([b"junk"], "c.example", authorities)
        == "the certificate cannot be read: it is no X.509 certificate"
    )


def test_a_trusted_self_signed_certificate(ca: CA, tmp_path: Path) -> None:
    cert, _ = ca.certificate("pinned.example", self_signed=True)
    chain = [x509.load_pem_x509_certificate(cert.read_bytes()).public_bytes(DER)]
    assert judge(chain, "pinned.example", Authorities(str(cert))) is None


def test_files_of_authorities(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        Authorities(str(tmp_path / "nowhere"))
    (tmp_path / "junk").write_text("junk")
    with pytest.raises(ValueError, match="junk: no certificates there"):
        Authorities(str(tmp_path / "junk"))
