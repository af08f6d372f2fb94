"""RFC 6121 appendix A: subscription states, row by row, on real sockets.

The user and the contact get into the row's state by the real dance, so the contact's own roster is the
mirror image. "Reaches" means that the other's client gets the stanza: both servers' tables have their say.
A stanza that the contact's server would not let out ("subscribed" that nobody asked for) cannot reach them.
"""

from typing import Any

import pytest

from tests.client import Client

DANCE = {
    "None": "",
    "None + Pending Out": "user:subscribe",
    "None + Pending In": "contact:subscribe",
    "None + Pending Out+In": "user:subscribe contact:subscribe",
    "To": "user:subscribe contact:subscribed",
    "To + Pending In": "user:subscribe contact:subscribed contact:subscribe",
    "From": "contact:subscribe user:subscribed",
    "From + Pending Out": "contact:subscribe user:subscribed user:subscribe",
    "Both": "user:subscribe contact:subscribed contact:subscribe user:subscribed",
}

# type | the user's state | does it reach the other's client? | the user's new state
OUTBOUND = """
subscribe    | None                  | yes | None + Pending Out
subscribe    | None + Pending Out    | no  | None + Pending Out
subscribe    | None + Pending In     | yes | None + Pending Out+In
subscribe    | None + Pending Out+In | no  | None + Pending Out+In
subscribe    | To                    | no  | To
subscribe    | To + Pending In       | no  | To + Pending In
subscribe    | From                  | yes | From + Pending Out
subscribe    | From + Pending Out    | no  | From + Pending Out
subscribe    | Both                  | no  | Both
unsubscribe  | None                  | no  | None
unsubscribe  | None + Pending Out    | yes | None
unsubscribe  | None + Pending In     | no  | None + Pending In
unsubscribe  | None + Pending Out+In | yes | None + Pending In
unsubscribe  | To                    | yes | None
unsubscribe  | To + Pending In       | yes | None + Pending In
unsubscribe  | From                  | no  | From
unsubscribe  | From + Pending Out    | yes | From
unsubscribe  | Both                  | yes | From
subscribed   | None                  | no  | None, approved
subscribed   | None + Pending Out    | no  | None + Pending Out, approved
subscribed   | None + Pending In     | yes | From
subscribed   | None + Pending Out+In | yes | From + Pending Out
subscribed   | To                    | no  | To, approved
subscribed   | To + Pending In       | yes | Both
subscribed   | From                  | no  | From
subscribed   | From + Pending Out    | no  | From + Pending Out
subscribed   | Both                  | no  | Both
unsubscribed | None                  | no  | None
unsubscribed | None + Pending Out    | no  | None + Pending Out
unsubscribed | None + Pending In     | yes | None
unsubscribed | None + Pending Out+In | yes | None + Pending Out
unsubscribed | To                    | no  | To
unsubscribed | To + Pending In       | yes | To
unsubscribed | From                  | yes | None
unsubscribed | From + Pending Out    | yes | None + Pending Out
unsubscribed | Both                  | yes | To
"""

INBOUND = """
subscribe    | None                  | yes | None + Pending In
subscribe    | None + Pending Out    | yes | None + Pending Out+In
subscribe    | None + Pending In     | no  | None + Pending In
subscribe    | None + Pending Out+In | no  | None + Pending Out+In
subscribe    | To                    | yes | To + Pending In
subscribe    | To + Pending In       | no  | To + Pending In
subscribe    | From                  | no  | From
subscribe    | From + Pending Out    | no  | From + Pending Out
subscribe    | Both                  | no  | Both
unsubscribe  | None                  | no  | None
unsubscribe  | None + Pending Out    | no  | None + Pending Out
unsubscribe  | None + Pending In     | yes | None
unsubscribe  | None + Pending Out+In | yes | None + Pending Out
unsubscribe  | To                    | no  | To
unsubscribe  | To + Pending In       | yes | To
unsubscribe  | From                  | yes | None
unsubscribe  | From + Pending Out    | yes | None + Pending Out
unsubscribe  | Both                  | yes | To
subscribed   | None                  | no  | None
subscribed   | None + Pending Out    | yes | To
subscribed   | None + Pending In     | no  | None + Pending In
subscribed   | None + Pending Out+In | yes | To + Pending In
subscribed   | To                    | no  | To
subscribed   | To + Pending In       | no  | To + Pending In
subscribed   | From                  | no  | From
subscribed   | From + Pending Out    | yes | Both
subscribed   | Both                  | no  | Both
unsubscribed | None                  | no  | None
unsubscribed | None + Pending Out    | yes | None
unsubscribed | None + Pending In     | no  | None + Pending In
unsubscribed | None + Pending Out+In | yes | None + Pending In
unsubscribed | To                    | yes | None
unsubscribed | To + Pending In       | yes | None + Pending In
unsubscribed | From                  | no  | From
unsubscribed | From + Pending Out    | yes | From
unsubscribed | Both                  | yes | From
"""


def rows(table: str) -> list[Any]:
    found = []
    for line in table.strip().splitlines():
        type, before, reaches, after = (cell.strip() for cell in line.split("|"))
        found.append(pytest.param(type, before, reaches == "yes", after, id=f"{type} in {before}"))
    return found


@pytest.fixture
def user(make_client: Any) -> Client:
    return interested(make_client())


@pytest.fixture
def contact(make_client: Any) -> Client:
    return interested(make_client())


def interested(client: Client) -> Client:
    client.iq("get", "<query xmlns='jabber:iq:roster'/>")
    return client


def settle(*clients: Client) -> None:
    """All that they have sent is dealt with, and what came of it has come."""
    for client in (*clients, *clients):
        client.sync()


def dance(user: Client, contact: Client, state: str) -> None:
    for step in DANCE[state].split():
        who, _, type = step.partition(":")
        sender, other = (user, contact) if who == "user" else (contact, user)
        sender.send(f"<presence to='{other.bare}' type='{type}'/>")
        settle(user, contact)
    user.inbox.clear()
    contact.inbox.clear()


def shown(state: str) -> tuple[str, str | None, str | None]:
    """subscription, ask and approved of the roster item."""
    state, _, approved = state.partition(", ")
    ask = "subscribe" if "Out" in state else None
    return state.split(" ")[0].lower(), ask, "true" if approved else None


def state_of(user: Client, contact: Client, make_client: Any) -> tuple[Any, bool]:
    """As a new resource finds it: what the roster shows, and whether a request waits for an answer."""
    fresh = make_client(user.account)
    answer = fresh.iq("get", "<query xmlns='jabber:iq:roster'/>")
    items = [i for i in answer.iter("{jabber:iq:roster}item") if i.get("jid") == contact.bare]
    item = items[0].attrib if items else {"subscription": "none"}
    fresh.sync()
    waits = any(e.get("type") == "subscribe" and e.get("from") == contact.bare for e in fresh.inbox)
    return (item["subscription"], item.get("ask"), item.get("approved")), waits


def check(user: Client, contact: Client, before: str, after: str, make_client: Any) -> None:
    """Pushes, presence and the state that the change asks for; no others."""
    pushes = [item for e in user.inbox for item in e.iter("{jabber:iq:roster}item")]
    expected = [shown(after)] if shown(before) != shown(after) else []
    assert [(i.get("subscription"), i.get("ask"), i.get("approved")) for i in pushes] == expected
    seen = [e.get("type") for e in contact.inbox if e.get("from") == user.jid]
    had, has = (shown(state)[0] in ("from", "both") for state in (before, after))
    assert seen == ([] if had == has else [None] if has else ["unavailable"])
    assert state_of(user, contact, make_client) == (shown(after), "In" in after)


def got(client: Client, other: Client, type: str) -> bool:
    return any(e.get("type") == type and e.get("from") == other.bare for e in client.inbox)


@pytest.mark.parametrize(("type", "before", "reaches", "after"), rows(OUTBOUND))
def test_sent_by_the_user(
    type: str, before: str, reaches: bool, after: str, user: Client, contact: Client, make_client: Any
) -> None:
    """A.2."""
    dance(user, contact, before)

    user.send(f"<presence to='{contact.jid}' type='{type}'/>")
    settle(user, contact)

    assert got(contact, user, type) == reaches
    check(user, contact, before, after, make_client)


@pytest.mark.parametrize(("type", "before", "reaches", "after"), rows(INBOUND))
def test_received_by_the_user(
    type: str, before: str, reaches: bool, after: str, user: Client, contact: Client, make_client: Any
) -> None:
    """A.3."""
    dance(user, contact, before)

    contact.send(f"<presence to='{user.bare}' type='{type}'/>")
    settle(contact, user)

    assert got(user, contact, type) == reaches
    answered = type == "subscribe" and before in ("From", "From + Pending Out", "Both")
    if answered:
        settle(contact)  # the answer does not reach the contact's client: there is nothing new in it
    check(user, contact, before, after, make_client)
