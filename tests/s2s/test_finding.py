"""What one sender costs who writes to very many servers."""

from typing import Any

from jabberd_py.s2s.finding import AT_ONCE, Seekers
from tests.conftest import CONFIG, Place
from tests.dns import DNSServer

STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"


class Waiting:
    """As much of a `Pair` as a line needs."""

    connection = None

    def __init__(self, seekers: Seekers, seeker: str, looked: list[Any]) -> None:
        self.seekers, self.seeker, self.looked = seekers, seeker, looked

    def wait(self) -> None:
        pass

    def pump(self) -> None:
        assert self.seekers.enter(self.seeker, self)  # type: ignore[arg-type]
        self.looked.append(self)


def test_the_newest_in_the_line_comes_first_and_nobody_waits_for_another_sender() -> None:
    seekers, looked = Seekers(), list[Any]()
    first, old, new, other = (Waiting(seekers, who, looked) for who in "aaab")
    for _ in range(AT_ONCE):
        assert seekers.enter("a", first)  # type: ignore[arg-type]
    assert not seekers.enter("a", old) and not seekers.enter("a", new)  # type: ignore[arg-type]
    assert seekers.enter("b", other)  # type: ignore[arg-type]
    seekers.leave("a")
    assert looked == [new]
    seekers.leave("a")
    assert looked == [new, old] and not seekers.lines
    for _ in range(AT_ONCE):
        seekers.leave("a")
    seekers.leave("b")
    assert not seekers.seeking


def test_who_writes_to_many_servers_that_do_not_answer_leaves_room_for_others(
    start_server: Any, account: Any, make_client: Any
) -> None:
    domains = [f"e{number}.example" for number in range(60)]
    with DNSServer() as names:
        names.faults.update((f"{where}{domain}", "silent") for domain in domains for where in (
            "", "_xmpp-server._tcp.", "_xmpps-server._tcp."
        ))  # fmt: skip
        dns = {"nameservers": [names.address], "timeout": "2m"}
        server = start_server({**CONFIG, "s2s": {"links": 200}, "dns": dns})
        romeo, juliet = (
            make_client(account(name, Place(server, "localhost"))) for name in ("romeo", "juliet")
        )
        for number, domain in enumerate(domains):
            romeo.send(f"<message to='a@{domain}' type='headline' id='{domain}'><body>x</body></message>")
            if number == AT_ONCE + 5:  # servers that say nothing do not stand in his own way, either
                romeo.send("<message to='c@nowhere.example' type='headline'><body>y</body></message>")
                romeo.gets("<message type='error' from='c@nowhere.example'/>", 20)
        for domain in domains[50:]:  # a quarter of all links is enough for him
            error = romeo.gets(f"<message type='error' id='{domain}'/>", 20)
            assert error.find(f".//{{{STANZAS}}}resource-constraint") is not None
        juliet.send("<message to='b@nowhere.example' type='headline'><body>y</body></message>")
        error = juliet.gets("<message type='error' from='b@nowhere.example'/>", 20)
        assert error.find(f".//{{{STANZAS}}}remote-server-not-found") is not None
        asked = {name.partition("_tcp.")[2] or name for name, _, _ in names.asked}
        assert AT_ONCE < len(asked & set(domains)) <= 50
