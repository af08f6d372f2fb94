// What xmpp.js does with nodes, personal events, avatars and bookmarks, in the protocol of conftest.py. It has no functions
// for them: all is built and read by its own elements.

import { createHash } from "node:crypto";
import { xml } from "@xmpp/client";

const NS = "http://jabber.org/protocol/pubsub", OWNER = `${NS}#owner`, EVENT = `${NS}#event`, DATA = "jabber:x:data",
    SHIM = "http://jabber.org/protocol/shim", INFO = "http://jabber.org/protocol/disco#info",
    ITEMS = "http://jabber.org/protocol/disco#items", CAPS = "http://jabber.org/protocol/caps", ENTRY = "urn:example:note",
    IMAGE = "urn:xmpp:avatar:data", AVATAR = "urn:xmpp:avatar:metadata",
    BOOKMARKS = "urn:xmpp:bookmarks:1", OLD = "storage:bookmarks", PRIVATE = "jabber:iq:private";

const field = (name, ...values) => xml("field", { var: name }, ...values.map((value) => xml("value", {}, value)));
const split = (wish) => [`pubsub#${wish.slice(0, wish.indexOf("="))}`, wish.slice(wish.indexOf("=") + 1)];
const form = (kind, wishes) => xml("x", { xmlns: DATA, type: "submit" }, field("FORM_TYPE", `${NS}#${kind}`),
    ...wishes.map((wish) => field(...split(wish))));
const values = (x) => new Map(x.getChildren("field").map((each) =>
    [each.attrs.var, each.getChildren("value").map((value) => value.text())]));
const ver = (features) => createHash("sha1")
    .update(`client/pc//xmpp.js<${features.map((each) => `${each}<`).join("")}`).digest("base64");

// the actions; `say` as in xmppjs.mjs
export function nodes(xmpp, say) {
    const ask = (verb, to, ns, ...children) => xmpp.iqCaller[verb](xml("pubsub", { xmlns: ns }, ...children), to || undefined);
    const get = (to, ...children) => ask("get", to, NS, ...children);
    const set = (to, ...children) => ask("set", to, NS, ...children);
    const own = (to, ...children) => ask("set", to, OWNER, ...children);
    const me = () => xmpp.jid.bare().toString();
    const features = [INFO];

    xmpp.iqCallee.get(INFO, "query", ({ element }) => xml("query", { xmlns: INFO, ...element.attrs },
        xml("identity", { category: "client", type: "pc", name: "xmpp.js" }),
        ...features.map((each) => xml("feature", { var: each }))));

    xmpp.on("stanza", async (stanza) => {
        const event = stanza.is("message") && stanza.getChild("event", EVENT);
        if (!event)
            return;
        if (event.getChild("delete"))
            say("event", "delete", event.getChild("delete").attrs.node);
        const items = event.getChild("items");
        const collection = stanza.getChild("headers", SHIM)?.getChildByAttr("name", "Collection")?.text() ?? "";
        for (const item of items?.getChildElements() ?? []) {
            const [payload] = item.getChildElements();
            say("event", item.name, items.attrs.node, item.attrs.id, payload?.text() ?? "", collection);
            if (payload?.is("metadata", AVATAR))
                say("avatar", stanza.attrs.from, item.attrs.id, await image(stanza.attrs.from, item.attrs.id));
        }
    });

    const publish = (to, node, id, payload, wishes) => set(to,
        xml("publish", { node }, xml("item", { id }, payload)),
        wishes.length ? xml("publish-options", {}, form("publish-options", wishes)) : undefined);
    const retract = (to, node, id) => set(to, xml("retract", { node, notify: "true" }, xml("item", { id })));
    const items = async (to, node, ...ids) => (await get(to,
        xml("items", { node }, ...ids.map((id) => xml("item", { id }))))).getChild("items").getChildren("item");
    const image = async (to, id) => Buffer.from((await items(to, IMAGE, id))[0].getChildText("data"), "base64").toString();

    // all bookmarks in an older form
    async function older(kind) {
        if (kind === "private")
            return (await xmpp.iqCaller.get(xml("query", { xmlns: PRIVATE }, xml("storage", { xmlns: OLD }))))
                .getChild("storage", OLD).getChildElements();
        try {
            return (await items("", OLD))[0].getChild("storage", OLD).getChildElements();
        } catch (error) {
            if (error.condition !== "item-not-found")
                throw error;
            return [];
        }
    }
    function store(kind, bookmarks) {
        const storage = xml("storage", { xmlns: OLD }, ...bookmarks);
        if (kind === "private")
            return xmpp.iqCaller.set(xml("query", { xmlns: PRIVATE }, storage));
        return publish("", OLD, "current", storage, ["access_model=whitelist", "persist_items=true"]);
    }

    const actions = {
        "create node": (to, node, ...wishes) => set(to, xml("create", { node }), xml("configure", {}, form("node_config", wishes))),
        "configure node": async (to, node, ...wishes) => {  // as a program that shows the form: all of it goes back
            const x = (await ask("get", to, OWNER, xml("configure", { node }))).getChild("configure").getChild("x", DATA);
            const all = values(x);
            for (const [name, value] of wishes.map(split))
                all.set(name, [value]);
            await own(to, xml("configure", { node }, xml("x", { xmlns: DATA, type: "submit" },
                ...[...all].map(([name, each]) => field(name, ...each)))));
        },
        "delete node": (to, node) => own(to, xml("delete", { node })),
        "purge node": (to, node) => own(to, xml("purge", { node })),
        nodes: async (to, node) => {
            const found = await xmpp.iqCaller.get(xml("query", { xmlns: ITEMS, node }), to);
            say("nodes", ...found.getChildren("item").map((item) => item.attrs.node));
        },
        publish: (to, node, id, text, ...wishes) => publish(to, node, id, xml("entry", { xmlns: ENTRY }, text), wishes),
        retract,
        items: async (to, node, ...ids) => say("items", ...(await items(to, node, ...ids)).map((item) =>
            `${item.attrs.id}=${item.getChildText("entry")}`)),
        subscribe: async (to, node, ...wishes) => {
            const options = wishes.length ? xml("options", {}, form("subscribe_options", wishes)) : undefined;
            const answer = await set(to, xml("subscribe", { node, jid: me() }), options);
            say("subscribed", answer.getChild("subscription").attrs.subscription);
        },
        options: async (to, node) => {
            const answer = await get(to, xml("options", { node, jid: me() }));
            say("options", "deliver", ...values(answer.getChild("options").getChild("x", DATA)).get("pubsub#deliver"));
        },
        unsubscribe: (to, node) => set(to, xml("unsubscribe", { node, jid: me() })),
        listen: (node) => {
            features.push(`${node}+notify`);
            features.sort();
            return xmpp.send(xml("presence", {},
                xml("c", { xmlns: CAPS, hash: "sha-1", node: "https://xmpp.js.example", ver: ver(features) })));
        },
        avatar: async (text) => {
            const id = createHash("sha1").update(text).digest("hex");
            await publish("", IMAGE, id, xml("data", { xmlns: IMAGE }, Buffer.from(text).toString("base64")), []);
            await publish("", AVATAR, id, xml("metadata", { xmlns: AVATAR },
                xml("info", { id, type: "image/png", bytes: String(Buffer.byteLength(text)) })), []);
        },
        bookmark: async (kind, jid, name) => {
            const conference = (xmlns, more) => xml("conference", { xmlns, name, autojoin: "true", ...more }, xml("nick", {}, "me"));
            if (kind === "0402")
                await publish("", BOOKMARKS, jid, conference(BOOKMARKS), ["access_model=whitelist", "max_items=max"]);
            else
                await store(kind, [...await older(kind), conference(undefined, { jid })]);
        },
        unbookmark: async (kind, jid) => {
            if (kind === "0402")
                await retract("", BOOKMARKS, jid);
            else
                await store(kind, (await older(kind)).filter((each) => each.attrs.jid !== jid));
        },
        bookmarks: async (kind) => {
            const found = kind === "0402"
                ? (await items("", BOOKMARKS)).map((item) => [item.attrs.id, item.getChild("conference", BOOKMARKS)])
                : (await older(kind)).map((each) => [each.attrs.jid, each]);
            say("bookmarks", ...found.map(([jid, each]) => `${jid}=${each.attrs.name}/${each.getChildText("nick")}`).sort());
        },
    };
    return Object.fromEntries(Object.entries(actions).map(([name, act]) => [name, async (...words) => {
        try {
            await act(...words);
        } catch (error) {
            if (error.name !== "StanzaError")
                throw error;
            say("error", error.condition);
        }
    }]));
}
