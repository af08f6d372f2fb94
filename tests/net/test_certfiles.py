"""What the log says of certificates that clients and other servers will not accept, at start, reload and once a day."""

import datetime
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jabberd_py import log
from jabberd_py.net import certfiles
from jabberd_py.net.tls import Certificates, TLSOptions
from tests.ca import CA

DAY = datetime.timedelta(days=1)


@pytest.fixture
def ca(tmp_path: Path) -> CA:
    return CA(tmp_path)


@pytest.fixture
def warned(tmp_path: Path) -> Iterator[Callable[..., list[str]]]:
    """`warned("example.org")`: loads the certificates of these hosts, and returns the warnings."""
    stream = io.StringIO()
    log.setup("warning", "json", stream)

    def load(*domains: str) -> list[str]:
        certificates = Certificates(TLSOptions({"certificates": str(tmp_path)}), tmp_path)
        certificates.prepare(certificates.options, dict.fromkeys(domains, ()))()
        return [json.loads(line)["event"] for line in stream.getvalue().splitlines()]

    yield load
    log.setup("warning")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, []),
        ({"wildcard": True, "domains": ["org", "example.org"]}, ["the certificate is not for example.org, but for"]),
        ({"expired": True}, ["the certificate has expired on "]),
        ({"future": True}, ["the certificate is not valid before "]),
        ({"domains": ["www.example.org"]}, ["the certificate is not for example.org, but for www.example.org"]),
        ({"domains": [], "srv": ["_xmpp-server.example.org"]}, []),
        ({"domains": [], "xmpp_addr": ["example.org"]}, []),
        ({"domains": [], "common_name": "example.org"}, ["the certificate is not for example.org, but for nobody"]),
        ({"domains": ["a.example"], "expired": True}, ["the certificate has expired on ", "the certificate is not for"]),
    ],
)  # fmt: skip
def test_what_is_warned_of(
    ca: CA, warned: Any, tmp_path: Path, options: dict[str, Any], said: list[str]
) -> None:
    pem, key = ca.certificate(*options.pop("domains", ["example.org"]), **options)
    pem.rename(tmp_path / "example.org.pem")
    key.rename(tmp_path / "example.org.key")
    found = warned("example.org")
    assert len(found) == len(said) and all(map(str.startswith, found, said)), found


def test_the_host_of_a_wildcard_is_warned_of_not_at_all(ca: CA, warned: Any, tmp_path: Path) -> None:
    pem, key = ca.certificate("example.org", wildcard=True)
    pem.rename(tmp_path / "chat.example.org.pem")
    key.rename(tmp_path / "chat.example.org.key")
    assert warned("chat.example.org") == []


def test_what_was_made_by_the_server_is_nothing_to_warn_of(warned: Any) -> None:
    assert warned("localhost", "münchen.example") == []


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (15 * DAY, []),
        (14 * DAY - datetime.timedelta(minutes=1), ["expires in 13 days"]),
        (2 * DAY, ["expires in 2 days"]),
        (datetime.timedelta(hours=3), ["expires on "]),
        (-DAY, ["has expired on "]),
    ],
)
def test_the_end_comes_nearer(ca: CA, left: datetime.timedelta, said: list[str]) -> None:
    cert = ca.issue("example.org").cert
    found = certfiles.trouble(cert, "example.org", cert.not_valid_after_utc - left)
    assert len(found) == len(said) and all(map(str.startswith, found, said)), found
