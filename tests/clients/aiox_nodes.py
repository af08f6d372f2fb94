"""What aioxmpp does with nodes, personal events, avatars and bookmarks, in the protocol of conftest.py.

It knows no collections and no bookmarks of XEP-0402: what these add is told to it here.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import aioxmpp
from aioxmpp import xso
from aioxmpp.avatar import AvatarService, AvatarSet
from aioxmpp.bookmarks.xso import Conference as OldConference
from aioxmpp.bookmarks.xso import Storage
from aioxmpp.pubsub.xso import NodeConfigForm, as_payload_class

NS = "http://jabber.org/protocol/pubsub"
SHIM = "http://jabber.org/protocol/shim"
AVATAR = "urn:xmpp:avatar:metadata"
BOOKMARKS = "urn:xmpp:bookmarks:1"
OLD = "storage:bookmarks"


@as_payload_class
class Entry(xso.XSO):
    TAG = ("urn:example:note", "entry")
    text = xso.Text(default="")


@as_payload_class
class Conference(xso.XSO):
    TAG = (BOOKMARKS, "conference")
    name = xso.Attr("name", default=None)
    autojoin = xso.Attr("autojoin", type_=xso.Bool(), default=False)
    nick = xso.ChildText((BOOKMARKS, "nick"), default=None)


as_payload_class(Storage)


class Header(xso.XSO):
    TAG = (SHIM, "header")
    name = xso.Attr("name")
    text = xso.Text(default="")


class Headers(xso.XSO):
    TAG = (SHIM, "headers")
    each = xso.ChildList([Header])


aioxmpp.Message.shim_headers = xso.Child([Headers])


def form(kind: str, fields: tuple[str, ...]) -> Any:
    data = aioxmpp.forms.Data(aioxmpp.forms.DataType.SUBMIT)
    hidden = aioxmpp.forms.FieldType.HIDDEN
    data.fields.append(aioxmpp.forms.Field(type_=hidden, var="FORM_TYPE", values=[f"{NS}#{kind}"]))
    for name, _, value in (field.partition("=") for field in fields):
        data.fields.append(aioxmpp.forms.Field(var=f"pubsub#{name}", values=[value]))
    return data


def address(to: str) -> Any:
    return aioxmpp.JID.fromstr(to) if to else None


class Nodes:
    def __init__(self, client: Any, say: Callable[..., None]) -> None:
        self.client, self.say = client, say
        self.pubsub = client.summon(aioxmpp.PubSubClient)
        self.pubsub.on_item_published.connect(self.on_item)
        self.pubsub.on_item_retracted.connect(self.on_retract)
        self.pubsub.on_node_deleted.connect(lambda jid, node, **_: say("event", "delete", node))
        self.claims: list[Any] = []
        self.avatars: Any = None
        self.actions: dict[str, Callable[..., Awaitable[None]]] = {
            "create node": self.create,
            "configure node": self.configure,
            "delete node": lambda to, node: self.pubsub.delete(address(to), node),
            "purge node": lambda to, node: self.pubsub.purge(address(to), node),
            "nodes": self.nodes,
            "publish": self.publish,
            "retract": lambda to, node, id: self.pubsub.retract(address(to), node, id, notify=True),
            "items": self.items,
            "subscribe": self.subscribe,
            "options": self.options,
            "unsubscribe": lambda to, node: self.pubsub.unsubscribe(address(to), node),
            "listen": self.listen,
            "avatar": self.avatar,
            "bookmark": self.bookmark,
            "unbookmark": self.unbookmark,
            "bookmarks": self.bookmarks,
        }

    async def do(self, action: str, *words: str) -> None:
        try:
            await self.actions[action](*words)
        except aioxmpp.errors.XMPPError as error:
            self.say("error", error.condition.value[1])

    # -- nodes

    async def create(self, to: str, node: str, *fields: str) -> None:
        """It has no function that does both at once."""
        await self.pubsub.create(address(to), node)
        await self.configure(to, node, *fields)

    async def configure(self, to: str, node: str, *fields: str) -> None:
        config = NodeConfigForm.from_xso(await self.pubsub.get_node_config(address(to), node))
        for name, _, value in (field.partition("=") for field in fields):
            field = getattr(config, name)
            field.value = [value] if field.field.FIELD_TYPE.is_multivalued else value
        await self.pubsub.set_node_config(address(to), config.render_reply(), node)

    async def nodes(self, to: str, node: str) -> None:
        """Its `get_nodes` would give an older answer once more."""
        disco = self.client.summon(aioxmpp.DiscoClient)
        found = await disco.query_items(address(to), node=node, require_fresh=True)
        self.say("nodes", *(item.node for item in found.items))

    async def publish(self, to: str, node: str, id: str, text: str, *wishes: str) -> None:
        entry = Entry()
        entry.text = text
        options = form("publish-options", wishes) if wishes else None
        await self.pubsub.publish(address(to), node, entry, id_=id, publish_options=options)

    async def items(self, to: str, node: str, *ids: str) -> None:
        if ids:
            found = await self.pubsub.get_items_by_id(address(to), node, ids)
        else:
            found = await self.pubsub.get_items(address(to), node)
        self.say("items", *(f"{item.id_}={item.registered_payload.text}" for item in found.payload.items))

    async def subscribe(self, to: str, node: str, *fields: str) -> None:
        """It would send the options with a node and before <subscribe/>, which XEP-0060 forbids (6.3.7): they come second."""
        answer = await self.pubsub.subscribe(address(to), node)
        if fields:
            await self.pubsub.set_subscription_config(address(to), form("subscribe_options", fields), node)
        self.say("subscribed", answer.payload.subscription)

    async def options(self, to: str, node: str) -> None:
        config = await self.pubsub.get_subscription_config(address(to), node)
        values = {field.var: field.values for field in config.fields}
        self.say("options", "deliver", *values["pubsub#deliver"])

    def on_item(self, jid: Any, node: str, item: Any, *, message: Any, **_: Any) -> None:
        headers = message.shim_headers.each if message.shim_headers else []
        collection = "".join(each.text for each in headers if each.name == "Collection")
        text = getattr(item.registered_payload, "text", "")
        self.say("event", "item", node, item.id_, text, collection)

    def on_retract(self, jid: Any, node: str, id: str, **_: Any) -> None:
        self.say("event", "retract", node, id)

    # -- what is personal

    def avatar_service(self) -> Any:
        if self.avatars is None:
            self.avatars = self.client.summon(AvatarService)
            self.avatars.on_metadata_changed.connect(
                lambda jid, metadata: asyncio.ensure_future(self.show(jid, metadata)) and None
            )
        return self.avatars

    async def listen(self, node: str) -> None:
        if node == AVATAR:
            self.avatar_service()
        else:
            pep = self.client.summon(aioxmpp.PEPClient)
            self.claims.append(pep.claim_pep_node(node, register_feature=False, notify=True))
        self.client.summon(aioxmpp.PresenceServer).resend_presence()

    async def avatar(self, text: str) -> None:
        images = AvatarSet()
        images.add_avatar_image("image/png", image_bytes=text.encode())
        await self.avatar_service().publish_avatar_set(images)

    async def show(self, jid: Any, metadata: Any) -> None:
        for each in metadata:
            self.say("avatar", jid.bare(), each.normalized_id, (await each.get_image_bytes()).decode())

    async def older(self, form: str) -> list[Any]:
        """All bookmarks in an older form."""
        if form == "private":
            return await self.client.summon(aioxmpp.BookmarkClient).get_bookmarks()
        with contextlib.suppress(aioxmpp.errors.XMPPCancelError):  # there is no such node yet
            answer = await self.pubsub.get_items(None, OLD)
            return list(answer.payload.items[0].registered_payload.bookmarks)
        return []

    async def store(self, form: str, bookmarks: list[Any]) -> None:
        if form == "private":
            await self.client.summon(aioxmpp.BookmarkClient).set_bookmarks(bookmarks)
            return
        storage = Storage()
        storage.bookmarks[:] = bookmarks
        pep = self.client.summon(aioxmpp.PEPClient)
        await pep.publish(OLD, storage, id_="current", access_model="whitelist")

    async def bookmark(self, form: str, jid: str, name: str) -> None:
        if form != "0402":
            new = OldConference(name, address(jid), autojoin=True, nick="me")
            await self.store(form, [*await self.older(form), new])
            return
        conference = Conference()
        conference.name, conference.autojoin, conference.nick = name, True, "me"
        await self.client.summon(aioxmpp.PEPClient).publish(
            BOOKMARKS, conference, id_=jid, access_model="whitelist"
        )

    async def unbookmark(self, form: str, jid: str) -> None:
        if form == "0402":
            await self.pubsub.retract(None, BOOKMARKS, jid, notify=True)
        else:
            left = [each for each in await self.older(form) if str(each.jid) != jid]
            await self.store(form, left)

    async def bookmarks(self, form: str) -> None:
        if form == "0402":
            items = (await self.pubsub.get_items(None, BOOKMARKS)).payload.items
            found = {each.id_: each.registered_payload for each in items}
        else:
            found = {str(each.jid): each for each in await self.older(form)}
        self.say("bookmarks", *sorted(f"{jid}={each.name}/{each.nick}" for jid, each in found.items()))
