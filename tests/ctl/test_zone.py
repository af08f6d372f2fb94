"""`jabberctl setup dns`: which records a domain needs, which are wrong or missing, and how they are written."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.dns import DNSServer
from tests.server import ServerProcess

DOMAIN = "zone.example"
CLIENT, DIRECT, SERVER = (f"_xmpp{each}._tcp" for each in ("-client", "s-client", "-server"))


@pytest.fixture(scope="module")
def names() -> Iterator[DNSServer]:
    with DNSServer() as names:
        yield names


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, names: DNSServer) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("zone")
    state = folder / f"acme/{DOMAIN}.json"
    state.parent.mkdir()  # nothing is ordered from Let's Encrypt
    state.write_text(json.dumps({"failures": 1, "next": time.time() + 3600}))
    server = ServerProcess(
        {
            "hosts": {DOMAIN: {"services": {"pubsub": False}}},
            "modules": {"acme": {"directory": "letsencrypt"}},
            "dns": {"nameservers": [names.address]},
            "s2s": {},
        },
        folder,
    )
    yield server
    assert server.stop() == 0, server.tail()


def rows(server: ServerProcess) -> dict[tuple[str, str], dict[str, Any]]:
    """(record, name) -> row"""
    return {(row["record"], row["name"]): row for row in server.ask("setup dns", name=DOMAIN)}


def test_an_empty_zone_lacks_what_is_told_with_the_reason(served: ServerProcess) -> None:
    found = rows(served)
    port = served.address("c2s")[1]
    client = found["SRV", f"{CLIENT}.{DOMAIN}"]
    assert client["trouble"] == f"missing: without it port 5222 is tried, and the server listens at {port}"
    assert client["write"] == f"{CLIENT}.{DOMAIN}. SRV 5 0 {port} {DOMAIN}."
    assert found["SRV", f"{DIRECT}.{DOMAIN}"]["trouble"] == "missing (optional)"
    assert found["A or AAAA", DOMAIN]["trouble"] == "missing"
    assert found["A or AAAA", DOMAIN]["write"] == f"{DOMAIN}. A 127.0.0.1"
    assert found["A or AAAA", f"conference.{DOMAIN}"]["trouble"] == "missing"
    tlsa = found["TLSA", f"_{served.address('s2s')[1]}._tcp.{DOMAIN}"]
    assert "only with DNSSEC" in tlsa["trouble"] and " TLSA 3 1 1 " in tlsa["write"]
    assert not any(record == "CAA" for record, _ in found)  # without one, every authority may
    assert all(row["why"] for row in found.values())


def test_records_that_lead_elsewhere_are_told(served: ServerProcess, names: DNSServer) -> None:
    names.put({
        DOMAIN: {
            f"SRV {CLIENT}": "5 0 1 xmpp.zone.example.", f"SRV {DIRECT}": "0 0 0 .",
            f"SRV {SERVER}": f"5 0 {served.address('s2s')[1]} lost.zone.example.",
            f"TLSA _{served.address('s2s')[1]}._tcp": "3 1 1 " + "00" * 32,
        },
        "xmpp.zone.example": {"AAAA": "2001:db8::1"}, "example": {"CAA": '0 issue "other.example"'},
        f"conference.{DOMAIN}": {f"SRV {SERVER}": "5 0 5269 xmpp.zone.example."},
    })  # fmt: skip
    found = rows(served)
    trouble = {key: row["trouble"] for key, row in found.items()}
    port = served.address("c2s")[1]
    assert trouble["SRV", f"{CLIENT}.{DOMAIN}"].startswith(
        f"leads to port 1, and the server listens at {port}: "
    )
    assert trouble["SRV", f"{DIRECT}.{DOMAIN}"] == "says that there is no such service here"
    assert trouble["SRV", f"{SERVER}.{DOMAIN}"] == "leads to lost.zone.example, which has no address"
    assert "only an authority of certificates wants it" in trouble["A or AAAA", DOMAIN]
    assert "only an authority" in trouble["A or AAAA", f"conference.{DOMAIN}"]
    assert "is of another key" in trouble["TLSA", f"_{served.address('s2s')[1]}._tcp.{DOMAIN}"]
    assert trouble["CAA", "example"] == "forbids letsencrypt.org"
    assert found["CAA", "example"]["write"] == 'example. CAA 0 issue "letsencrypt.org"'


def test_a_zone_as_it_was_proposed_has_no_trouble(served: ServerProcess, names: DNSServer) -> None:
    names.put({DOMAIN: {f"SRV {each}": [] for each in (CLIENT, DIRECT, SERVER)}, "example": {"CAA": []}})
    lines = [row["write"] for row in rows(served).values() if row["write"]]
    for line in [*lines, 'zone.example. CAA 0 issue "letsencrypt.org; validationmethods=http-01"']:
        name, kind, value = line.split(" ", 2)
        names.put({name.rstrip("."): {kind: value}})
    found = rows(served)
    assert [row for row in found.values() if row["trouble"] and "optional" not in row["trouble"]] == []
    assert found["SRV", f"{CLIENT}.{DOMAIN}"]["found"] == f"5 0 {served.address('c2s')[1]} {DOMAIN}."
    assert ("CAA", DOMAIN) in found


def test_a_name_server_that_is_silent_is_told(served: ServerProcess, names: DNSServer) -> None:
    assert "not a domain" in served.ask("setup dns", error=True, name="a b")
    for name in (DOMAIN, f"{CLIENT}.{DOMAIN}"):
        names.faults[name] = "SERVFAIL"
    found = rows(served)
    names.faults.clear()
    assert "SERVFAIL" in found["A or AAAA", DOMAIN]["trouble"]
    assert "SERVFAIL" in found["SRV", f"{CLIENT}.{DOMAIN}"]["trouble"]
