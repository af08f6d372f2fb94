"""Messages on their way to other servers, as long as only we have them.

A message of a client that may have seen it acknowledged (XEP-0198) must not be lost with us: it has a row until the other
server has it. After a crash what is in the table goes out again; whoever cannot be reached in time sends it back."""

from __future__ import annotations

from peewee import BigIntegerField, CharField, TextField

from ..jsm.worth import worth
from ..xdb import OWNER_LENGTH, Table, Ticket, xdb
from ..xdb.numbers import number
from ..xmpp.element import Element, from_text


class Outbound(Table):
    """``id`` is a row number as in `jsm.messages`, so it tells when; ``owner`` the sender."""

    id = BigIntegerField(primary_key=True)
    owner = CharField(max_length=OWNER_LENGTH)
    xml = TextField()


COLUMNS = ("id", "owner", "xml")


def must_last(stanza: Element) -> bool:
    """Could its sender be told that we have it, and would it be missed?"""
    session = stanza.session
    return stanza.name == "message" and session is not None and session.sm is not None and worth(stanza) > 0


def keep(stanza: Element, data: bytes) -> tuple[int, Ticket]:
    """A row for the stanza; its number, and when it is committed."""
    id = number()
    return id, xdb.rows(Outbound, [(id, str(stanza.attrs["from"]).partition("/")[0], data.decode())], COLUMNS)


def forget(ids: list[int]) -> None:
    """In the writer: the other server has them, or they went back."""
    for at in range(0, len(ids), 500):
        Outbound.delete().where(Outbound.id.in_(ids[at : at + 500])).execute()


def left() -> list[tuple[int, Element]]:
    """What the last process left, in order. What cannot be read is passed over."""
    found = []
    for id, xml in Outbound.select(Outbound.id, Outbound.xml).order_by(Outbound.id).tuples().iterator():
        try:
            found.append((id, from_text(xml)))
        except ValueError:
            continue
    return found
