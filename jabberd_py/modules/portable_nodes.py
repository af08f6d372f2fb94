"""Personal eventing in a file of an account elsewhere (XEP-0227 section 5.9): its nodes are made by requests of the account."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..xdb import xdb
from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.forms import Form
from ..xmpp.jid import parse

PUBSUB, OWNER = "http://jabber.org/protocol/pubsub", "http://jabber.org/protocol/pubsub#owner"
CONFIG = f"{PUBSUB}#node_config"
SAFE = {"pubsub#access_model": ["whitelist"], "pubsub#persist_items": ["1"], "pubsub#max_items": ["max"]}
"""The configuration of a node of which the file does not say one: only its owner may read it."""
KEPT = ("pubsub#access_model", "pubsub#persist_items", "pubsub#max_items")
"""Fields that a node must have as in the file; without the others it is made all the same."""
OURS = ("FORM_TYPE", "pubsub#collection", "pubsub#children")
MOST = 10_000
"""Items of a node that is here already, that are compared."""
Ask = Callable[[str, str, Element], Element]
"""Asks for the account: what it counts as (empty: nothing), the type of the IQ, the payload. Returns the answer or an error."""


class Nodes:
    """The nodes of the account ``user``, which was ``older`` elsewhere. A node that is here already keeps its configuration and
    its items; items that it has not come into it."""

    def __init__(self, ask: Ask, user: str, older: str) -> None:
        self.ask, self.user, self.older = ask, user, older
        self.made: dict[str, bool] = {}
        """Node -> True: it was made from the file. False: it takes nothing."""
        self.there: dict[str, set[str]] = {}
        """Node that was here before -> the items that it has."""
        self.known: set[str] | None = None
        """Fields of a configuration that our nodes have. None: nobody has asked yet."""

    def about(self, part: Element) -> None:
        """A child of the owner's <pubsub/>: configuration, affiliations or subscriptions of a node."""
        node = part.attrs.get("node", "")
        if part.name == "configure":
            fields = self._fields(part)
            if self.made.get(node):
                configure = Element("configure", OWNER, _form(fields), node=node)
                self.ask("", "set", Element("pubsub", OWNER, configure))
            else:
                self._make(node, fields)
        elif part.name == "affiliations" and self._is_ours(node):
            self._tell(part, "affiliation", lambda each: each.attrs.get("affiliation", "none"))
        elif part.name == "subscriptions" and self.user == self.older and self._is_ours(node):
            # elsewhere nobody has subscribed to the new address; Prosody 0.12 calls the attribute "subscribed"
            self._tell(
                part,
                "subscription",
                lambda each: each.attrs.get("subscription") or each.attrs.get("subscribed", ""),
            )

    def _tell(self, part: Element, name: str, state: Callable[[Element], str]) -> None:
        """Affiliations or subscriptions of others, as the owner sets them."""
        people = [
            Element(name, OWNER, jid=each.attrs["jid"], **{name: state(each)})
            for each in part.elements()
            if self._is_stranger(each) and state(each) != "pending"
        ]
        if people:
            told = Element(part.name, OWNER, *people, node=part.attrs["node"])
            self.ask("", "set", Element("pubsub", OWNER, told))

    def item(self, node: str, item: Element) -> None:
        """An item of a node."""
        if node not in self.made and node not in self.there:
            self._make(node, SAFE)
        id = item.attrs.get("id")
        if not self.made.get(node) and id in self.there.get(node, {id}):
            return
        item.attrs = {"id": id} if id else {}
        self.ask("nodes", "set", Element("pubsub", PUBSUB, Element("publish", PUBSUB, item, node=node)))

    # -- one node ---------------------------------------------------------------------------------------

    def _is_ours(self, node: str) -> bool:
        """Was the node made from the file? If it is new, it is made now."""
        if node not in self.made and node not in self.there:
            self._make(node, SAFE)
        return self.made.get(node, False)

    def _make(self, node: str, fields: dict[str, list[str]]) -> None:
        few = {name: values for name, values in fields.items() if name in KEPT}
        for wanted in (fields, few) if fields != few else (few,):
            configure = Element("configure", PUBSUB, _form(wanted))
            answer = self.ask(
                "", "set", Element("pubsub", PUBSUB, Element("create", PUBSUB, node=node), configure)
            )
            if answer.type == "result":
                self.made[node] = True
                return
            if answer.child("error", answer.ns).has("conflict", "urn:ietf:params:xml:ns:xmpp-stanzas"):
                self._meet(node)
                return
        self.made[node] = False

    def _meet(self, node: str) -> None:
        """The node is here already. If it has one item at most, and has one, nothing comes into it."""
        table: Any = next(each for each in xdb.owned_tables() if each._meta.table_name == "pubsub_item")
        rows = (
            table.select(table.item).where(table.owner == self.user, table.node == node).limit(MOST).tuples()
        )
        ids = {id for (id,) in rows}
        answer = self.ask("", "get", Element("pubsub", OWNER, Element("configure", OWNER, node=node)))
        if ids and (
            len(ids) == MOST or self._fields_of(answer, "configure").get("pubsub#max_items") == ["1"]
        ):
            self.made[node] = False
        else:
            self.there[node] = ids

    # -- its configuration ------------------------------------------------------------------------------

    def _fields(self, configure: Element) -> dict[str, list[str]]:
        """What the file says, without what our nodes do not have. Empty fields say nothing (Prosody writes them)."""
        if self.known is None:
            answer = self.ask("", "get", Element("pubsub", OWNER, Element("default", OWNER)))
            self.known = set(self._fields_of(answer, "default")) - set(OURS)
        fields = {
            name: values for name, values in _read(configure).items() if name in self.known and any(values)
        }
        return SAFE | fields if "pubsub#access_model" not in fields else fields

    def _fields_of(self, answer: Element, name: str) -> dict[str, list[str]]:
        """The fields of a form that we have asked for."""
        if answer.type != "result" or answer.payload is None:
            return {}
        part = answer.payload.child(name, OWNER)
        return {} if part is None else _read(part)

    def _is_stranger(self, person: Element) -> bool:
        """Is it an address, and none of the owner's?"""
        try:
            return parse(person.attrs.get("jid", "")).user not in (self.user, self.older)
        except ValueError:
            return False


def _read(part: Element) -> dict[str, list[str]]:
    """Field -> its values."""
    form = part.child("x", forms.NS)
    fields: Iterable[Element] = () if form is None else form.all("field", forms.NS)
    return {
        each.attrs.get("var", ""): [value.text for value in each.all("value", forms.NS)] for each in fields
    }


def _form(fields: dict[str, list[str]]) -> Element:
    form = Form("submit", form_type=CONFIG)
    for name, values in fields.items():
        form.field(name, value=values)
    return form.element()
