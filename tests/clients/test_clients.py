"""What phones do all day, with clients of other people: read the archive in pages, carbons, resume, block."""

import pytest

from tests.client import Client

pytestmark = pytest.mark.timeout(120)  # the first one may wait for npm

LINES = [f"line {number}" for number in range(7)]


def chat(to: str, body: str) -> str:
    return f"<message to='{to}' type='chat'><body>{body}</body></message>"


@pytest.fixture
def juliet(account, make_client) -> Client:
    return make_client(account("juliet"))


@pytest.fixture
def romeo(account):
    return account("romeo")


def test_the_archive_in_pages(enter, romeo, juliet):
    for line in LINES:
        juliet.send(chat(romeo.bare, line))
    juliet.sync()
    guest = enter(romeo)

    pages = [heard[1:] for heard in guest.does("pages", "3") if heard[0] == "page"]
    assert pages == [LINES[0:3], LINES[3:6], LINES[6:]]

    pages = [heard[1:] for heard in guest.does("pages back", "3") if heard[0] == "page"]
    assert pages == [LINES[4:], LINES[1:4], LINES[:1]]
    guest.leave()


def test_carbons(enter, romeo, juliet, make_client):
    phone = make_client(romeo, resource="phone")
    guest = enter(romeo)
    phone.send(chat(juliet.bare, "before it asked for copies"))
    phone.sync()
    guest.does("carbons")

    phone.send(chat(juliet.bare, "from the phone"))
    assert guest.until("copy") == [["copy", "sent", phone.jid, juliet.bare, "from the phone"]]
    juliet.send(chat(phone.jid, "to the phone"))
    assert guest.until("copy") == [["copy", "received", juliet.jid, phone.jid, "to the phone"]]
    juliet.send(
        chat(phone.jid, "a secret").replace("</message>", "<private xmlns='urn:xmpp:carbons:2'/></message>")
    )
    juliet.send(chat(guest.full, "to the guest"))
    assert guest.until("chat") == [["chat", juliet.bare, "to the guest"]]
    guest.leave()


def test_resumption(enter, romeo, juliet):
    """Both ends talk into a wire that is dead, it is cut, and the client comes back by its own code: nothing is lost,
    nothing is doubled."""
    guest = enter(romeo)
    for turn in range(2):
        guest.wire.dead = True
        for line in LINES:
            juliet.send(chat(romeo.bare, f"{turn} {line}"))
            guest.does("chat", juliet.bare, f"{turn} {line} back")
        juliet.sync()
        guest.wire.cut()
        juliet.send(chat(romeo.bare, f"{turn} while it was away"))

        said = guest.until("chat", juliet.bare, f"{turn} while it was away")
        assert [heard[2] for heard in said if heard[0] == "chat"] == [
            *(f"{turn} {line}" for line in LINES),
            f"{turn} while it was away",
        ]
        assert [heard[0] for heard in said if heard[0] != "chat"] in (["resumed"], [])
        if ["resumed"] not in said:
            guest.hears("resumed")  # some say so after what they resume with
        for line in LINES:
            juliet.gets(f"<message from='{guest.full}'><body>{turn} {line} back</body></message>", 20)
    juliet.send(chat(guest.full, "the end"))
    assert guest.until("chat") == [["chat", juliet.bare, "the end"]]
    juliet.nothing("<message/>")
    guest.leave()


def test_blocking(enter, romeo, juliet):
    guest = enter(romeo)
    assert guest.does("blocklist") == [["blocklist"], ["did", "blocklist"]]

    assert ["push", "blocked", juliet.bare] in guest.does("block", juliet.bare) or guest.hears(
        "push", "blocked"
    )
    assert ["blocklist", juliet.bare] in guest.does("blocklist")
    juliet.send(chat(romeo.bare, "wilt thou be gone?"))
    juliet.gets(f"<message from='{romeo.bare}' type='error'><error type='cancel'><service-unavailable "
                "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")  # fmt: skip
    guest.does("chat", juliet.bare, "it was the nightingale")

    assert ["push", "unblocked", juliet.bare] in guest.does("unblock", juliet.bare) or guest.hears(
        "push", "unblocked"
    )
    juliet.send(chat(romeo.bare, "it is not yet near day"))
    assert guest.until("chat") == [["chat", juliet.bare, "it is not yet near day"]]
    juliet.nothing("<message type='chat'/>")
    guest.leave()


@pytest.mark.parametrize("enter", ["slixmpp"], indirect=True)
def test_a_file(enter, romeo, tmp_path):
    """It finds the service by itself, uploads, and gets the file back."""
    file = tmp_path / "très cool.txt"
    file.write_text("But soft, what light\n" * 50_000)
    guest = enter(romeo)
    (url,) = [heard[1] for heard in guest.does("upload", str(file)) if heard[0] == "url"]
    (found,) = [heard[1:] for heard in guest.does("fetch", url) if heard[0] == "file"]
    assert found == ["200", "text/plain", file.read_text()]
    guest.leave()
