"""XEP-0398: the avatar that clients publish (XEP-0084) and the photo of the vCard (XEP-0153) are one.

The nodes have it. Who asks for the vCard finds it there, if he may read the nodes. A photo that is stored with a vCard is
published. The user's presence says its hash. When the node goes, or its item, the stored photo goes, too.
"""

from __future__ import annotations

import hashlib
import re
import time
from base64 import b64decode, b64encode
from typing import NamedTuple

import gevent

from ..hooks import Module, on
from ..jsm.notes import NO_PHOTO
from ..jsm.session import Session
from ..xdb import cached, xdb
from ..xmpp.element import Element
from ..xmpp.jid import JID
from ..xmpp.protocols import XEP
from . import store
from .config import Config
from .store import Item, intact

DATA, METADATA = "urn:xmpp:avatar:data", "urn:xmpp:avatar:metadata"
VCARD, UPDATE = "vcard-temp", "vcard-temp:x:update"
TAKEN = "jabberd_py:avatar-taken"
"""Namespace of a document that an account has once it has deleted the node: contacts shall know that there is no photo."""
HASH = re.compile("[0-9a-fA-F]{40}").fullmatch
TYPE_LENGTH = 100
CONFIG = Config(access_model="open", max_items=1, send_last_published_item="on_sub_and_presence")
"""A vCard is for everybody."""


class Avatar(NamedTuple):
    """``hash``: SHA-1 of the image, in hexadecimal, None: the user has none, or it is not here; ``type``: such as image/png."""

    hash: str | None
    type: str


NONE = Avatar(None, "")


@cached
def avatar_of(user: str) -> Avatar | None:
    """What the newest metadata says; None: the user has never had one."""
    if METADATA not in store.nodes_of(user):
        return None if xdb.get(user, TAKEN) is None else NONE
    newest = store.newest(user, METADATA, 1)
    metadata = intact(user, "pubsub_item", newest[0].payload) if newest else None
    infos = [] if metadata is None else metadata.all("info", METADATA)
    here = next((each for each in infos if "url" not in each.attrs), None)
    if here is None or not HASH(here.attrs.get("id", "")):
        return NONE
    type = here.attrs.get("type", "")
    return Avatar(here.attrs["id"], type if 0 < len(type) <= TYPE_LENGTH else "image/png")


class Avatars(Module):
    """Keeps avatars and the photos of vCards the same, and says their hash in presence."""

    name = "avatar"
    protocols = (
        XEP(84, "1.1.4", "User Avatar"),
        XEP(153, "1.1.1", "vCard-Based Avatars"),
        XEP(398, "1.0.1", "User Avatar to vCard-Based Avatars Conversion"),
    )
    account_features = ("urn:xmpp:pep-vcard-conversion:0",)

    @on("start")
    def begin(self) -> None:
        """It hears of presence before the modules that it works with."""
        if "vcard" in self.host.modules and "pep" in self.host.modules:
            self.host["vcard"].views.append(self)

    def account_works(self) -> bool:
        return self.host.modules.keys() >= {"vcard", "pep"} and not self.host.options.anonymous

    # -- for mod_vcard ----------------------------------------------------------------------------

    def shown(self, user: str, asker: JID, text: str | None) -> str | None:
        """The vCard, with the photo that ``asker`` may see. ``text``: as it is stored, or None."""
        avatar = avatar_of(user)
        if avatar is None:
            return text
        photo = self._photo(user, asker, avatar)
        if text is None:
            return None if photo is None else str(Element("vCard", VCARD, photo))
        card = intact(user, "document", text)
        if card is None:
            return text
        card.take("PHOTO", VCARD)
        return str(card if photo is None else card.append(photo))

    def _photo(self, user: str, asker: JID, avatar: Avatar) -> Element | None:
        pep, nodes = self.host["pep"], store.nodes_of(user)
        if avatar.hash is None:
            return None
        if any(name not in nodes or not pep.reads(user, nodes[name], asker) for name in (DATA, METADATA)):
            return None
        found = store.some(user, DATA, [avatar.hash])
        data = intact(user, "pubsub_item", found[0].payload) if found else None
        if data is None or not data.text:
            return None
        return Element(
            "PHOTO", VCARD, Element("TYPE", VCARD, avatar.type), Element("BINVAL", VCARD, data.text.strip())
        )

    def stored(self, user: str, card: Element) -> None:
        """A vCard was stored: its photo is the avatar now. Raises StanzaError, StoreError."""
        old, photo = avatar_of(user), card.child("PHOTO", VCARD)
        try:
            image = b64decode(
                "".join((photo.text_of("BINVAL", VCARD) if photo else "").split()), validate=True
            )
        except (ValueError, AttributeError):
            return  # no image that anybody could show
        if not image:
            if old is not None and old.hash is not None:
                self._publish(user, METADATA, "", Element("metadata", METADATA))
            return
        hash = hashlib.sha1(image, usedforsecurity=False).hexdigest()
        if old is not None and old.hash == hash:
            return
        type = (photo.text_of("TYPE", VCARD) if photo else None) or "image/png"
        self._publish(user, DATA, hash, Element("data", DATA, b64encode(image).decode()))
        info = Element("info", METADATA, bytes=len(image), id=hash, type=type)
        self._publish(user, METADATA, hash, Element("metadata", METADATA, info))

    def _publish(self, user: str, node: str, id: str, payload: Element) -> None:
        item = Item(id or "current", user, time.time(), payload.to_bytes("\0").decode())
        self.host["pep"].publish_for(user, node, CONFIG, [item])

    # -- presence ---------------------------------------------------------------------------------

    @on("out", kind="presence")
    def say(self, session: Session, stanza: Element) -> None:
        """Section 5: the hash, in all available presence, unless the client says that it has no photo to show. If the user has
        taken the avatar away there is no photo, and contacts with older clients see that, too (XEP-0153 section 4.1)."""
        if stanza.type is not None or self.host.options.anonymous:
            return
        avatar, x = avatar_of(session.user), None
        if stanza.has("x", UPDATE):
            x = stanza.child("x", UPDATE)
        photo = None if x is None else x.child("photo", UPDATE)
        said = None if photo is None else photo.text.strip()
        if said == "" and stanza.to is None:
            session.notes[NO_PHOTO] = True
        elif session.note(NO_PHOTO) and stanza.to is None:
            del session.notes[NO_PHOTO]
        if avatar is None or said in ("", avatar.hash or ""):
            return
        if x is not None:
            stanza.remove(x)
        stanza.append(Element("x", UPDATE, Element("photo", UPDATE, avatar.hash)))

    @on("pep")
    def changed(self, user: str, node: str) -> None:
        """Contacts hear the new hash: the presence is sent once more."""
        if node != METADATA:
            return
        old = avatar_of.get(user)
        nodes = store.nodes_of(user)
        if METADATA not in nodes:
            xdb.set(user, TAKEN, "<taken/>")
        if METADATA not in nodes or not store.newest(user, METADATA, 1):
            self._taken(user)
        avatar_of.forget(user)
        if old != avatar_of(user):
            gevent.spawn(self._say_again, user)

    def _taken(self, user: str) -> None:
        """The photo of the stored vCard is an older form of an avatar that is there no more."""
        card = intact(user, "document", xdb.get(user, VCARD))
        if card is not None and card.take("PHOTO", VCARD):
            xdb.set(user, VCARD, str(card) if card.payload is not None else None)

    @on("imported")
    def take_over(self, user: str) -> None:
        """The vCard of an imported account may have a photo that no node has."""
        if self.host.modules.keys() >= {"vcard", "pep"} and METADATA not in store.nodes_of(user):
            card = intact(user, "document", xdb.get(user, VCARD))
            if card is not None and card.child("PHOTO", VCARD) is not None:
                self.stored(user, card)

    def _say_again(self, user: str) -> None:
        with xdb.unit():
            for session in self.host.sessions.available(user):
                presence = session.presence.copy(to=None)
                if not session.note(NO_PHOTO):
                    presence.take("x", UPDATE)
                self.host.send(session, presence)
