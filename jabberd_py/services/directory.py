"""XEP-0055: Jabber Search, a directory of users at ``directory.HOST``.

Nobody is in it who has not registered with it (XEP-0077). What it shows is what the vCard shows to strangers. A field is found
by how it begins, in any case. A page of results is read from one index.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from peewee import CharField, TextField

from ..hooks import Option, iq, on
from ..service import Service
from ..xdb import OWNER_LENGTH, Table, xdb
from ..xmpp import forms, rsm
from ..xmpp.element import Element, from_text
from ..xmpp.errors import StanzaError
from ..xmpp.forms import Form
from ..xmpp.jid import JID, parse
from ..xmpp.protocols import XEP

NS, REGISTER = "jabber:iq:search", "jabber:iq:register"
VCARD, VCARD4 = "vcard-temp", "urn:xmpp:vcard4"
FIELDS = {"first": "Given Name", "last": "Family Name", "nick": "Nickname", "email": "Email Address"}
COLUMNS = [*FIELDS.items(), ("jid", "Jabber ID")]
LONGEST = 200
"""Characters of a field."""
END = "\U0010ffff"
"""Sorts behind every other character."""
SEARCH = "Fill in one or more fields: all of them must begin with what you write."
ENROL = (
    "Register to be found by others. They find the names, the nickname and the email address of your vCard."
)


class DirectoryEntry(Table):
    """One user who wants to be found: ``owner``. ``first`` to ``email`` are shown, ``first_key`` to ``email_key`` are what is
    searched."""

    owner = CharField(max_length=OWNER_LENGTH, unique=True)
    domain = CharField(max_length=255)
    first = TextField()
    last = TextField()
    nick = TextField()
    email = TextField()
    first_key = CharField(max_length=LONGEST)
    last_key = CharField(max_length=LONGEST)
    nick_key = CharField(max_length=LONGEST)
    email_key = CharField(max_length=LONGEST)

    class Meta:
        indexes = tuple((("domain", f"{name}_key", "owner"), False) for name in FIELDS)


def key(text: str) -> str:
    return " ".join(text.casefold().split())[:LONGEST]


class Directory(Service):
    """Finds users of the host who have registered to be found. Only users of the host may search."""

    category, type, title = "directory", "user", "User Directory"
    default = False
    protocols = (XEP(55, "1.3", "Jabber Search"),)
    tables = (DirectoryEntry,)
    features = (NS, REGISTER)
    prefix = Option(
        str,
        "directory",
        "label before the host's name that makes its address, unless 'address' says otherwise",
    )
    page = Option(int, 100, "results of one answer", min=1, max=1000)

    # -- searching ----------------------------------------------------------------------------------

    @iq("get", NS, "query")
    def show_fields(self, request: Element) -> Element:
        """Section 2.1."""
        self._user(request)
        form = Form("form", "User Directory Search", SEARCH, NS)
        for name, label in FIELDS.items():
            form.field(name, "text-single", label)
        fields = (Element(name, NS) for name in FIELDS)
        return Element("query", NS, Element("instructions", NS, SEARCH), *fields, form.element())

    @iq("set", NS, "query")
    def search(self, request: Element) -> Element:
        self._user(request)
        query: Any = request.payload
        form = query.child("x", forms.NS)
        try:
            page = rsm.read(query) or rsm.Page()
            values = (
                {name: [query.text_of(name, NS) or ""] for name in FIELDS}
                if form is None
                else forms.read(form, NS)
            )
        except ValueError as error:
            raise StanzaError("bad-request", str(error)) from None
        wanted = {name: key(" ".join(values.get(name, ()))) for name in FIELDS}
        wanted = {name: text for name, text in wanted.items() if text}
        if not wanted:
            raise StanzaError("not-acceptable", "fill in one or more fields")
        rows = self._find(wanted, page)
        answer = Element("query", NS)
        if form is not None:
            found = [{name: getattr(row, name) for name in FIELDS} | {"jid": row.owner} for row in rows]
            answer.append(Form("result", form_type=NS).table(COLUMNS, found).element())
        else:
            for row in rows:
                fields = (Element(name, NS, getattr(row, name)) for name in FIELDS)
                answer.append(Element("item", NS, *fields, jid=row.owner))
        if query.has("set", rsm.NS):
            answer.append(rsm.answer(rows[0].owner, rows[-1].owner) if rows else rsm.answer())
        return answer

    def _find(self, wanted: Mapping[str, str], page: rsm.Page) -> list[Any]:
        """The rows of one page, in order of the field of which most is known."""
        e = DirectoryEntry
        lead = max(wanted, key=lambda name: len(wanted[name]))
        order = getattr(e, f"{lead}_key")
        match = e.domain == self.host.domain
        for name, text in wanted.items():
            column = getattr(e, f"{name}_key")
            match &= (column >= text) & (column < text + END)
        if page.index is not None:
            raise StanzaError("feature-not-implemented", "pages are found by 'after' and 'before' only")
        edge, back = page.after or page.before, page.before is not None
        if edge:
            row = e.select(order).where(e.owner == edge).tuples().first()
            if row is None:
                raise StanzaError("item-not-found")
            beyond = (order < row[0], e.owner < edge) if back else (order > row[0], e.owner > edge)
            match &= beyond[0] | (order == row[0]) & beyond[1]
        by = (order.desc(), e.owner.desc()) if back else (order, e.owner)
        rows = list(e.select().where(match).order_by(*by).limit(page.limit(self.page, self.page)))
        return rows[::-1] if back else rows

    # -- who is in it -------------------------------------------------------------------------------

    @iq("get", REGISTER, "query")
    def show_registration(self, request: Element) -> Element:
        user = self._user(request).user
        listed = _entry(user)
        form = Form("form", "User Directory", ENROL, REGISTER)
        form.field("listed", "boolean", "Others may find me", listed)
        known = Element("registered", REGISTER) if listed else None
        return Element("query", REGISTER, known, Element("instructions", REGISTER, ENROL), form.element())

    @iq("set", REGISTER, "query")
    def register(self, request: Element) -> None:
        user, query = self._user(request).user, request.payload
        assert query is not None
        form, listed = query.child("x", forms.NS), query.child("remove", REGISTER) is None
        if listed and form is not None and form.type != "cancel":
            try:
                listed = forms.boolean(forms.read(form, REGISTER).get("listed", ["1"]))
            except ValueError as error:
                raise StanzaError("bad-request", str(error)) from None
        elif form is not None and form.type == "cancel":
            return
        if listed:
            self._enter(user)
        else:
            xdb.save(DirectoryEntry.delete().where(DirectoryEntry.owner == user).execute)

    def _user(self, request: Element) -> JID:
        """Raises StanzaError: who asks is no user of the host."""
        sender = request.from_
        if (
            sender is None
            or sender.node is None
            or sender.domain != self.host.domain
            or self.host.options.anonymous
        ):
            raise StanzaError("forbidden", f"only users of {self.host.domain} may use this directory")
        return sender

    # -- what it shows ------------------------------------------------------------------------------

    @on("start")
    def begin(self) -> None:
        if "vcard" in self.host.modules:
            self.host["vcard"].views.append(self)
        self.host.hooks.add("pep", self.published)

    @on("stop")
    def end(self) -> None:
        if "vcard" in self.host.modules and self in self.host["vcard"].views:
            self.host["vcard"].views.remove(self)

    def shown(self, user: str, asker: JID, text: str | None) -> str | None:
        """The vCard that ``asker`` may see: the directory changes nothing."""
        return text

    def stored(self, user: str, card: Element) -> None:
        """A vcard-temp was stored."""
        if _entry(user):
            self._enter(user)

    def published(self, user: str, node: str) -> None:
        """Event ``pep``."""
        if node == VCARD4 and self.router.instances.get(self.domain) is self and _entry(user):
            self._enter(user)

    def _enter(self, user: str) -> None:
        """Puts the user in, or brings his entry up to date. Blocks until that is stored."""
        values = fields_of(self._card(user))
        row = {"domain": self.host.domain, **values} | {
            f"{name}_key": key(text) for name, text in values.items()
        }
        xdb.save(_put, user, row)

    def _card(self, user: str) -> str | None:
        """The vCard, in vcard-temp, as a stranger sees it."""
        if "vcard" not in self.host.modules:
            return None
        text, stranger = xdb.get(user, VCARD), parse(self.domain)
        for view in self.host["vcard"].views:
            text = view.shown(user, stranger, text)
        return text


def fields_of(card: str | None) -> dict[str, str]:
    """What a vcard-temp says of each field; all are there."""
    try:
        vcard = from_text(card) if card else None
    except ValueError:
        vcard = None  # a damaged row, which mod_vcard reports
    found = dict.fromkeys(FIELDS, "")
    if vcard is not None:
        name, email = vcard.child("N", VCARD), vcard.child("EMAIL", VCARD)
        if name is not None:
            found["first"] = name.text_of("GIVEN", VCARD) or ""
            found["last"] = name.text_of("FAMILY", VCARD) or ""
        found["nick"] = vcard.text_of("NICKNAME", VCARD) or ""
        if email is not None:
            found["email"] = email.text_of("USERID", VCARD) or ""
    return {name: " ".join(text.split())[:LONGEST] for name, text in found.items()}


def _entry(user: str) -> bool:
    return bool(DirectoryEntry.select(DirectoryEntry.id).where(DirectoryEntry.owner == user).exists())


def _put(user: str, row: dict[str, str]) -> None:
    e = DirectoryEntry
    if (
        not e.update(**row).where(e.owner == user).execute()
        and not e.select(e.id).where(e.owner == user).exists()
    ):
        e.insert(owner=user, **row).execute()
