"""What slixmpp does with nodes, personal events, avatars and bookmarks, in the protocol of conftest.py."""

from collections.abc import Awaitable, Callable
from typing import Any
from xml.etree import ElementTree as ET

from slixmpp.exceptions import IqError
from slixmpp.plugins.xep_0048 import Bookmarks
from slixmpp.plugins.xep_0402.stanza import Conference

NS = "http://jabber.org/protocol/pubsub"
ENTRY = "urn:example:note"
BOOKMARKS = "urn:xmpp:bookmarks:1"
PLUGINS = {"private": "xep_0049", "0048": "xep_0223"}  # where its plug-in keeps the older forms


class Nodes:
    def __init__(self, person: Any, say: Callable[..., None]) -> None:
        self.person, self.say, self.pubsub = person, say, person["xep_0060"]
        person.add_event_handler("pubsub_publish", self.on_items)
        person.add_event_handler("pubsub_retract", self.on_items)
        person.add_event_handler("pubsub_delete", self.on_delete)
        person.add_event_handler("avatar_metadata_publish", self.on_avatar)
        self.actions: dict[str, Callable[..., Awaitable[None]]] = {
            "create node": self.create,
            "configure node": self.configure,
            "delete node": self.pubsub.delete_node,
            "purge node": self.pubsub.purge,
            "nodes": self.nodes,
            "publish": self.publish,
            "retract": self.retract,
            "items": self.items,
            "subscribe": self.subscribe,
            "options": self.options,
            "unsubscribe": self.pubsub.unsubscribe,
            "listen": self.listen,
            "avatar": self.avatar,
            "bookmark": self.bookmark,
            "unbookmark": self.unbookmark,
            "bookmarks": self.bookmarks,
        }

    async def do(self, action: str, *words: str) -> None:
        try:
            await self.actions[action](*words)
        except IqError as error:
            self.say("error", error.condition)

    def form(self, kind: str, fields: tuple[str, ...]) -> Any:
        form = self.person["xep_0004"].make_form("submit")
        form.add_field(var="FORM_TYPE", ftype="hidden", value=f"{NS}#{kind}")
        for name, _, value in (field.partition("=") for field in fields):
            form.add_field(var=f"pubsub#{name}", value=value)
        return form

    # -- nodes

    async def create(self, to: str, node: str, *fields: str) -> None:
        await self.pubsub.create_node(to, node, config=self.form("node_config", fields))

    async def configure(self, to: str, node: str, *fields: str) -> None:
        """As a program that shows the form: all of it goes back."""
        answer = await self.pubsub.get_node_config(to, node)
        form = answer["pubsub_owner"]["configure"]["form"]
        form["type"] = "submit"
        for name, _, value in (field.partition("=") for field in fields):
            form.get_fields()[f"pubsub#{name}"]["value"] = value
        await self.pubsub.set_node_config(to, node, form)

    async def nodes(self, to: str, node: str) -> None:
        found = await self.pubsub.get_nodes(to, node)
        self.say("nodes", *(each for _, each, _ in found["disco_items"]["items"]))

    async def publish(self, to: str, node: str, id: str, text: str, *wishes: str) -> None:
        entry = ET.Element(f"{{{ENTRY}}}entry")
        entry.text = text
        options = self.form("publish-options", wishes) if wishes else None
        await self.pubsub.publish(to or None, node, id=id, payload=entry, options=options)

    async def retract(self, to: str, node: str, id: str) -> None:
        await self.pubsub.retract(to or None, node, id, notify=True)

    async def items(self, to: str, node: str, *ids: str) -> None:
        found = await self.pubsub.get_items(to or None, node, item_ids=ids)
        self.say("items", *(f"{item['id']}={item['payload'].text}" for item in found["pubsub"]["items"]))

    async def subscribe(self, to: str, node: str, *fields: str) -> None:
        options = self.form("subscribe_options", fields) if fields else None
        answer = await self.pubsub.subscribe(to, node, options=options)
        self.say("subscribed", answer["pubsub"]["subscription"]["subscription"])

    async def options(self, to: str, node: str) -> None:
        me = self.person.boundjid.bare
        answer = await self.pubsub.get_subscription_options(to, node, user_jid=me)
        values = answer["pubsub"]["options"]["options"].get_values()
        self.say("options", "deliver", int(values["pubsub#deliver"]))

    def on_items(self, message: Any) -> None:
        node, headers = message["pubsub_event"]["items"]["node"], message["headers"]
        for item in message["pubsub_event"]["items"][
            "substanzas"
        ]:  # it is itself the iterator, and slixmpp's own loop runs
            text = item["payload"].text or "" if item.name == "item" and item["payload"] is not None else ""
            self.say("event", item.name, node, item["id"], text, headers.get("Collection", ""))

    def on_delete(self, message: Any) -> None:
        self.say("event", "delete", message["pubsub_event"]["delete"]["node"])

    # -- what is personal

    async def listen(self, node: str) -> None:
        self.person["xep_0163"].add_interest(node)
        await self.person["xep_0115"].update_caps()

    async def avatar(self, text: str) -> None:
        avatar, image = self.person["xep_0084"], text.encode()
        id = avatar.generate_id(image)
        await avatar.publish_avatar(image)
        await avatar.publish_avatar_metadata({"id": id, "type": "image/png", "bytes": len(image)})

    async def on_avatar(self, message: Any) -> None:
        """Fetches the image that the metadata names, as a program that shows it would."""
        event = message["pubsub_event"]["items"]["item"]
        sender, id = message["from"].bare, event["id"]
        found = await self.person["xep_0084"].retrieve_avatar(sender, id)
        image = found["pubsub"]["items"]["item"]["avatar_data"]["value"]
        self.say("avatar", sender, id, image.decode())

    async def older(self, form: str) -> Any:
        """The list of all bookmarks in an older form."""
        self.person.register_plugin("xep_0048")
        try:
            answer = await self.person["xep_0048"].get_bookmarks(PLUGINS[form])
        except IqError:  # there is no such node yet
            return Bookmarks()
        kept = answer["private"] if form == "private" else answer["pubsub"]["items"]["item"]
        return kept["bookmarks"]

    async def bookmark(self, form: str, jid: str, name: str) -> None:
        if form in PLUGINS:
            bookmarks = await self.older(form)
            bookmarks.add_conference(jid, "me", name, True)
            await self.person["xep_0048"].set_bookmarks(bookmarks, PLUGINS[form])
            return
        conference = Conference()
        conference["name"], conference["autojoin"], conference["nick"] = name, True, "me"
        options = self.form("publish-options", ("access_model=whitelist", "max_items=max"))
        await self.pubsub.publish(None, BOOKMARKS, id=jid, payload=conference, options=options)

    async def unbookmark(self, form: str, jid: str) -> None:
        if form not in PLUGINS:
            await self.pubsub.retract(None, BOOKMARKS, jid, notify=True)
            return
        left = Bookmarks()
        for each in (await self.older(form))["conferences"]:
            if each["jid"] != jid:
                left.append(each)
        await self.person["xep_0048"].set_bookmarks(left, PLUGINS[form])

    async def bookmarks(self, form: str) -> None:
        if form in PLUGINS:
            found = {each["jid"]: each for each in (await self.older(form))["conferences"]}
        else:
            answer = await self.pubsub.get_items(None, BOOKMARKS)
            found = {each["id"]: each["conference"] for each in answer["pubsub"]["items"]}
        self.say("bookmarks", *sorted(f"{jid}={each['name']}/{each['nick']}" for jid, each in found.items()))
