import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jabberd_py.net.dnsrv import DNS, TLSA, DNSError, Resolver, Target, in_order
from jabberd_py.options import OptionError
from tests.dns import DNSServer

ZONES = {
    "example.org": {
        "SRV _xmpp-server._tcp": ["10 5 5269 b.example.org.", "30 5 5269 c.example.org."],
        "SRV _xmpps-server._tcp": ["20 5 5270 a.example.org."],
        "A": "192.0.2.9",
    },
    "a.example.org": {"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"]},
    "b.example.org": {"CNAME": "real.example.org."},
    "real.example.org": {"A": ["192.0.2.2"]},
    "c.example.org": {"AAAA": ["2001:db8::3"]},
    "plain.example": {"A": "192.0.2.4", "AAAA": "2001:db8::4"},
    "closed.example": {"SRV _xmpp-server._tcp": "0 0 0 .", "A": "192.0.2.5"},
    "xn--mnchen-3ya.example": {"A": "192.0.2.6"},
    "empty.example": {"TXT": "nothing here"},
    "lost.example": {"SRV _xmpp-server._tcp": "0 0 5269 nowhere.example."},
}


@pytest.fixture
def server() -> Iterator[DNSServer]:
    with DNSServer(ZONES) as server:
        yield server


Make = Callable[..., Resolver]


@pytest.fixture
def resolver(server: DNSServer) -> Make:
    def make(**options: Any) -> Resolver:
        settings = {"nameservers": [server.address], "timeout": 4, "hosts": None} | options
        return Resolver(DNS(settings))

    return make


def test_both_kinds_of_srv_records_are_one_list(resolver: Make) -> None:
    answer = resolver().services("example.org")
    assert answer.targets == (
        Target("b.example.org", 5269, ("192.0.2.2",)),
        Target("a.example.org", 5270, ("2001:db8::1", "192.0.2.1"), direct_tls=True),
        Target("c.example.org", 5269, ("2001:db8::3",)),
    )
    assert not answer.secure
    assert answer.text == (
        "SRV records of example.org: b.example.org:5269, a.example.org:5270 (direct TLS), c.example.org:5269"
    )


def test_without_srv_records_the_domain_itself(resolver: Make) -> None:
    answer = resolver().services("plain.example")
    assert answer.targets == (Target("plain.example", 5269, ("2001:db8::4", "192.0.2.4")),)
    assert answer.text == "no SRV records, so the address of plain.example: plain.example:5269"


def test_a_dot_is_a_no(resolver: Make) -> None:
    with pytest.raises(DNSError, match="closed.example says in the DNS that it talks to no other") as error:
        resolver().services("closed.example")
    assert not error.value.temporary


def test_no_direct_tls_does_not_mean_no_service(server: DNSServer, resolver: Make) -> None:
    server.put({"example.org": {"SRV _xmpps-server._tcp": "0 0 0 ."}})
    assert [target.host for target in resolver().services("example.org").targets] == [
        "b.example.org",
        "c.example.org",
    ]
    server.put({"plain.example": {"SRV _xmpps-server._tcp": "0 0 0 ."}})
    with pytest.raises(DNSError, match="talks to no other"):  # XEP-0368: no fallback then
        resolver().services("plain.example")


def test_international_names_are_asked_for_by_their_a_labels(server: DNSServer, resolver: Make) -> None:
    [target] = resolver().services("münchen.example").targets
    assert target == Target("xn--mnchen-3ya.example", 5269, ("192.0.2.6",))
    assert ("_xmpp-server._tcp.xn--mnchen-3ya.example", "SRV", "udp") in server.asked


@pytest.mark.parametrize("domain", ["[2001:db8::7]", "192.0.2.7"])
def test_addresses_need_no_dns(server: DNSServer, resolver: Make, domain: str) -> None:
    [target] = resolver().services(domain).targets
    assert target == Target(domain.strip("[]"), 5269, (domain.strip("[]"),))
    assert server.asked == []


@pytest.mark.parametrize(
    ("domain", "reason", "temporary"),
    [
        ("nobody.example", r"the DNS knows no nobody.example \(NXDOMAIN\)", False),
        ("empty.example", "empty.example has no address", False),
        ("lost.example", r"the DNS knows no nowhere.example \(NXDOMAIN\)", False),
        ("a..b", "a..b is no name that the DNS can have", False),
        (".".join(["a" * 60] * 4), "too long for _xmpps-server._tcp", False),
        ("broken.example", r"failed \(SERVFAIL\).*about _xmpps-server._tcp.broken.example SRV", True),
        ("refused.example", r"refuses to answer \(REFUSED\)", True),
        (
            "silent.example",
            "no answer in time about _xmpps-server._tcp.silent.example SRV; asked 127.0.0.1",
            True,
        ),
    ],
)
def test_reasons(server: DNSServer, resolver: Make, domain: str, reason: str, temporary: bool) -> None:
    for name, fault in (("broken", "SERVFAIL"), ("refused", "REFUSED"), ("silent", "silent")):
        for prefix in ("", "_xmpp-server._tcp.", "_xmpps-server._tcp."):
            server.faults[f"{prefix}{name}.example"] = fault
    began = time.monotonic()
    with pytest.raises(DNSError, match=reason) as error:
        resolver(timeout=0.6).services(domain)
    assert error.value.temporary is temporary
    assert time.monotonic() - began < 20


def test_a_resolver_that_is_not_there() -> None:
    with DNSServer() as server:
        pass
    with pytest.raises(
        DNSError, match="the resolver 127.0.0.1#[0-9]+ cannot be reached: Connection refused|in time"
    ):
        Resolver(DNS({"nameservers": server.address, "timeout": 2, "hosts": None})).services("example.org")


def test_the_next_resolver_is_asked(server: DNSServer, resolver: Make) -> None:
    with DNSServer() as dead:
        pass
    assert resolver(nameservers=[dead.address, server.address]).services("plain.example").targets


def test_one_kind_of_srv_record_is_enough(server: DNSServer, resolver: Make) -> None:
    server.faults["_xmpps-server._tcp.example.org"] = "SERVFAIL"
    answer = resolver().services("example.org")
    assert [target.host for target in answer.targets] == ["b.example.org", "c.example.org"]
    assert "; but the resolver 127.0.0.1#" in answer.text and "SERVFAIL" in answer.text


def test_who_answers_no_srv_question_is_asked_for_addresses(server: DNSServer, resolver: Make) -> None:
    for service in ("xmpp", "xmpps"):
        server.faults[f"_{service}-server._tcp.plain.example"] = "silent"
    assert resolver(timeout=1).services("plain.example").targets[0].host == "plain.example"  # RFC 6120 3.2.1
    server.signed = {"plain.example"}
    with pytest.raises(DNSError, match="no answer in time"):
        resolver(timeout=1, dnssec=True).services("plain.example")


def test_truncated_answers_come_by_tcp(server: DNSServer, resolver: Make) -> None:
    server.faults["_xmpp-server._tcp.example.org"] = "truncated"
    assert len(resolver().services("example.org").targets) == 3
    assert ("_xmpp-server._tcp.example.org", "SRV", "tcp") in server.asked


def test_cnames_that_the_resolver_does_not_follow(server: DNSServer, resolver: Make) -> None:
    server.chase = False
    assert resolver().target("b.example.org", 5269).addresses == ("192.0.2.2",)
    server.put({"r.example": {"CNAME": "s.example."}, "s.example": {"CNAME": "r.example."}})
    with pytest.raises(DNSError, match="more than 8 CNAME records"):
        resolver().target("r.example", 5269)


def test_who_asks_the_same_shares_a_question(server: DNSServer, resolver: Make) -> None:
    server.delays["_xmpp-server._tcp.example.org"] = 0.2
    mine = resolver()
    jobs = [gevent.spawn(mine.services, "example.org") for _ in range(50)]
    gevent.joinall(jobs, raise_error=True)
    assert max(Counter(server.asked).values()) == 1
    assert mine.asker.jobs == {}
    mine.services("example.org")
    assert max(Counter(server.asked).values()) == 1


def test_what_is_not_there_is_remembered_too(server: DNSServer, resolver: Make) -> None:
    mine = resolver()
    for _ in range(3):
        with pytest.raises(DNSError):
            mine.services("nobody.example")
    server.faults["broken.example"] = "SERVFAIL"
    for _ in range(3):
        with pytest.raises(DNSError):
            mine.target("broken.example", 1)
    assert max(Counter(server.asked).values()) == 1


def test_answers_grow_old(server: DNSServer, resolver: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = resolver()
    mine.services("plain.example")
    before = len(server.asked)
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + 61)
    server.put({"plain.example": {"A": "192.0.2.44"}})
    assert mine.services("plain.example").targets[0].addresses == ("2001:db8::4", "192.0.2.44")
    assert len(server.asked) == 2 * before


def test_a_ttl_of_zero_is_for_once(server: DNSServer, resolver: Make) -> None:
    server.ttl = 0
    mine = resolver()
    mine.target("plain.example", 1)
    mine.target("plain.example", 1)
    assert Counter(server.asked)["plain.example", "A", "udp"] == 2


def test_the_cache_is_bounded(server: DNSServer, resolver: Make) -> None:
    mine = resolver(cache=100)
    for number in range(120):
        with pytest.raises(DNSError):
            mine.target(f"n{number}.example", 1)
    assert len(mine.asker.cache) == 100


def test_open_questions_are_bounded(server: DNSServer, resolver: Make) -> None:
    for number in range(30):
        server.faults[f"n{number}.example"] = "silent"
    mine = resolver(queries=10, timeout=1)
    jobs = [gevent.spawn(mine.target, f"n{number}.example", 1) for number in range(30)]
    gevent.joinall(jobs)
    assert all(isinstance(job.exception, DNSError) for job in jobs)
    assert len({name for name, _, _ in server.asked}) <= 10  # the others' time was up
    assert any("too many DNS questions" in str(job.exception) for job in jobs)


def test_a_domain_with_too_many_servers(server: DNSServer, resolver: Make) -> None:
    server.put({
        "many.example": {"SRV _xmpp-server._tcp": [f"{n} 0 {n} h{n}.many.example." for n in range(1, 60)]},
        **{f"h{n}.many.example": {"A": [f"192.0.2.{m}" for m in range(1, 60)]} for n in range(1, 60)},
    })  # fmt: skip
    targets = resolver(targets=4, addresses=3).services("many.example").targets
    assert [target.port for target in targets] == [1, 2, 3, 4]
    assert all(len(target.addresses) == 3 for target in targets)
    assert len(server.asked) == 2 + 2 * 4


def test_the_hosts_file_comes_first(server: DNSServer, resolver: Make, tmp_path: Any) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("# comment\n127.0.0.9 Near.example near # ours\n::9 near.example\nnonsense\n")
    mine = resolver(hosts=str(hosts))
    assert mine.target("near.example", 7).addresses == ("::9", "127.0.0.9")
    assert mine.services("near.example").targets[0].addresses == ("::9", "127.0.0.9")
    assert all(kind == "SRV" for _, kind, _ in server.asked)


def test_dnssec_and_tlsa(server: DNSServer, resolver: Make) -> None:
    hash_ = "ab" * 32
    server.put({"a.example.org": {"TLSA _5270._tcp": f"3 1 1 {hash_}"}})
    server.put({"real.example.org": {"TLSA _5269._tcp": f"2 0 1 {hash_}"}})
    server.signed = {"example.org"}
    answer = resolver(dnssec=True).services("example.org")
    assert answer.secure and answer.text.endswith("signed (DNSSEC)")
    b, a, c = answer.targets
    assert a.secure and a.tlsa == (TLSA(3, 1, 1, bytes.fromhex(hash_)),)
    assert b.secure and b.tlsa[0].usage == 2  # under the name that the CNAME leads to
    assert c.secure and c.tlsa == ()
    assert not any(target.secure or target.tlsa for target in resolver().services("example.org").targets)


def test_dane_needs_every_step_signed(server: DNSServer, resolver: Make) -> None:
    server.put({"a.example.org": {"TLSA _5270._tcp": f"3 1 1 {'ab' * 32}"}})
    server.signed = {"a.example.org"}  # but not the SRV record
    answer = resolver(dnssec=True).services("example.org")
    assert not answer.secure and not any(target.secure or target.tlsa for target in answer.targets)


def test_a_signed_server_whose_tlsa_records_are_kept_from_us(server: DNSServer, resolver: Make) -> None:
    server.signed = {"example.org"}
    server.faults["_5270._tcp.a.example.org"] = "SERVFAIL"
    targets = resolver(dnssec=True).services("example.org").targets
    assert [target.host for target in targets] == ["b.example.org", "c.example.org"]


def test_options() -> None:
    assert DNS({"nameservers": "::1#5353"}).nameservers == ["::1#5353"]
    for wrong in ("dns.example", "127.0.0.1#0", "127.0.0.1#x"):
        with pytest.raises(OptionError, match="must be an address such as"):
            DNS({"nameservers": wrong})


services = st.lists(
    st.builds(SimpleNamespace, priority=st.integers(0, 3), weight=st.integers(0, 65535)), max_size=12
)


@given(services, st.randoms(use_true_random=False))
def test_order_of_srv_records(services: list[Any], chance: random.Random) -> None:
    ordered = in_order(services, chance)
    assert sorted(map(id, ordered)) == sorted(map(id, services))
    assert [each.priority for each in ordered] == sorted(each.priority for each in services)


@given(st.lists(st.integers(0, 100), min_size=2, max_size=4), st.integers(0, 2**32))
def test_weights_are_shares(weights: list[int], seed: int) -> None:
    chance, rounds = random.Random(seed), 2000
    services = [SimpleNamespace(priority=0, weight=weight) for weight in weights]
    first = Counter(id(in_order(services, chance)[0]) for _ in range(rounds))
    total = sum(weights)
    for service in services:
        share = first[id(service)] / rounds
        # a draw of 0 to the sum, both included: nobody's share is off by more than 1 in sum + 1
        assert total == 0 or abs(share - service.weight / total) < 0.06 + 1 / (total + 1)
