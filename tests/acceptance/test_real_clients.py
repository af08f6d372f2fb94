"""Other people's clients, unmodified, against a server from a fresh clone."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import ANY_PORT, Clone, Run, Running
from tests.acceptance.people import Profanity, Slix

pytestmark = pytest.mark.timeout(240)  # the first test of a session may wait for pip


class House:
    """A server that two domains live on, and that can be started again on the same data."""

    def __init__(self, run: Run, data: Path) -> None:
        self.run, self.data = run, data
        self.options = [*ANY_PORT.split(), "--set", f"data={data}", "--set", "hosts=[localhost, other.localhost]",
                        "--set", "modules.register={enabled: true, per_address: 0}"]  # fmt: skip
        self.server: Running = run(*self.options, make=True)

    def restart(self) -> None:
        self.server.end()
        self.server = self.run(*self.options, make=True)

    def certificate(self, domain: str) -> Path:
        return self.data / f"certificates/{domain}.pem"

    def add(self, jid: str) -> str:
        self.server.ctl("accounts", "add", jid, "--password", "secret")
        return jid


@pytest.fixture
def house(run: Run, tmp_path: Path, clone: Clone) -> House:
    return House(run, tmp_path / "data")


VOWS = ("the exchange of thy love's faithful vow for mine", "I gave thee mine before thou didst request it")
Enter = Callable[..., Slix]


@pytest.fixture
def enter(house: House) -> Iterator[Enter]:
    """`enter(jid, direct=False, register=False)`: logs in with slixmpp."""
    people: list[Slix] = []

    def start(jid: str, direct: bool = False, register: bool = False) -> Slix:
        port = house.server.port("c2s_direct" if direct else "c2s")
        certificate = house.certificate(jid.partition("@")[2])
        people.append(Slix(jid, "secret", port, certificate, direct=direct, register=register))
        if register:
            people[-1].hears("registered")
        _, full, mechanism, tls = people[-1].hears("online")
        people[-1].full = full
        assert full.startswith(jid + "/") and mechanism.startswith("SCRAM-SHA-") and tls == "TLSv1.3"
        return people[-1]

    yield start
    for each in people:
        each.kill()


def befriend(asking: Slix, asked: Slix) -> None:
    """slixmpp says yes to everybody, and asks back."""
    asking.do("subscribe", asked.jid)
    for one, other in ((asking, asked), (asked, asking)):
        one.hears("roster", other.jid, "both")


@pytest.mark.parametrize("domain", ["localhost", "other.localhost"], ids=["one host", "two hosts"])
@pytest.mark.parametrize("direct", [False, True], ids=["STARTTLS", "direct TLS"])
def test_two_people_with_slixmpp(house: House, enter: Enter, direct: bool, domain: str) -> None:
    romeo = enter(house.add("romeo@localhost"), direct)
    juliet = enter(f"juliet@{domain}", direct, register=True)
    befriend(romeo, juliet)

    romeo.do("away")
    juliet.hears("presence", romeo.full, "away")

    romeo.do("chat", juliet.jid, "wilt thou leave me so unsatisfied?")
    juliet.hears("chat", romeo.jid, "wilt thou leave me so unsatisfied?", "")
    juliet.do("chat", romeo.jid, "what satisfaction canst thou have & <when>?")
    romeo.hears("chat", juliet.jid, "what satisfaction canst thou have & <when>?", "")

    juliet.leave()
    romeo.hears("presence", juliet.full, "unavailable")
    for words in VOWS:
        romeo.do("chat", juliet.jid, words)
    romeo.leave()
    house.restart()

    juliet = enter(juliet.jid, direct)
    for words in VOWS:
        assert juliet.hears("chat", romeo.jid, words)[3], "an offline message says when it was sent"
    romeo = enter(romeo.jid, direct)
    juliet.hears("presence", romeo.full, "available")  # the roster, too, has outlived the restart
    romeo.hears("presence", juliet.full, "available")


def test_streams_are_told_of_a_shutdown(house: House, enter: Enter) -> None:
    romeo = enter(house.add("romeo@localhost"))
    house.server.end()
    romeo.hears("stream error", "system-shutdown")


@pytest.mark.parametrize("domain", ["localhost", "other.localhost"], ids=["one host", "two hosts"])
@pytest.mark.parametrize("tls", ["trust", "legacy"], ids=["STARTTLS", "direct TLS"])
def test_profanity_and_slixmpp(house: House, enter: Enter, tmp_path: Path, tls: str, domain: str) -> None:
    benvolio, romeo = house.add(f"benvolio@{domain}"), enter(house.add("romeo@localhost"))
    terminal = Profanity(tmp_path / "home")

    def connect() -> None:
        port = house.server.port("c2s" if tls == "trust" else "c2s_direct")
        terminal.types("/win 1")
        terminal.types("/clear")
        terminal.types(f"/connect {benvolio} server 127.0.0.1 port {port} tls {tls}")
        terminal.sees("Enter password:")
        terminal.types("secret")
        if tls == "legacy":
            terminal.sees("/tls allow")  # it has no way to trust our certificate beforehand
            terminal.types("/tls allow")

    try:
        connect()
        terminal.sees("logged in successfully")
        sessions = json.loads(house.server.ctl("sessions", "list", "--json"))
        session = next(each for each in sessions if each["jid"].startswith(benvolio))
        assert session["mechanism"].startswith("SCRAM-SHA-") and session["tls"] == "TLSv1.3"

        terminal.types(f"/sub request {romeo.jid}")  # slixmpp says yes, and asks back
        terminal.sees(f"Received authorization request from {romeo.jid}")
        terminal.types(f"/sub allow {romeo.jid}")
        romeo.hears("roster", benvolio, "both")
        romeo.hears("presence", session["jid"], "available")
        terminal.sees(f"++ {romeo.jid} (")  # "is online"

        terminal.types(f"/msg {romeo.jid} Good morrow, cousin.")
        romeo.hears("chat", benvolio, "Good morrow, cousin.")
        romeo.do("chat", benvolio, "Is the day so young?")
        terminal.sees(f"{romeo.full}: Is the day so young?")

        terminal.types("/disconnect")
        romeo.hears("presence", session["jid"], "unavailable")
        romeo.do("chat", benvolio, "Ay me! sad hours seem long.")
        romeo.leave()
        house.restart()
        connect()
        terminal.sees("logged in successfully")
        terminal.types("/win 2")
        terminal.sees("Ay me! sad hours seem long.")
    finally:
        terminal.kill()
