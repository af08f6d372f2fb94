// xmpp.js, unmodified, in the protocol of conftest.py. The server's certificate: NODE_EXTRA_CA_CERTS in the environment.
// What it has no functions for (archive, carbons, blocking) goes through its iqCaller.

import { webcrypto } from "node:crypto";
import readline from "node:readline";
import { client, xml } from "@xmpp/client";
import WebSocket from "ws";
import { nodes } from "./nodes.mjs";

const MAM = "urn:xmpp:mam:2", RSM = "http://jabber.org/protocol/rsm", CARBONS = "urn:xmpp:carbons:2",
    FORWARD = "urn:xmpp:forward:0", BLOCKING = "urn:xmpp:blocking", MUC = "http://jabber.org/protocol/muc",
    USER = `${MUC}#user`, ADMIN = `${MUC}#admin`, OWNER = `${MUC}#owner`, DATA = "jabber:x:data";

globalThis.crypto ??= webcrypto;  // what xmpp.js expects, and Debian 12's node 18 does not set
globalThis.WebSocket ??= WebSocket;  // only node 22 has it

const say = (...words) => console.log(JSON.stringify(words));
const bare = (jid) => jid.split("/")[0];
const nick = (jid) => jid.split("/")[1];
const jids = (element) => element.getChildren("item").map((item) => item.attrs.jid);

const setting = JSON.parse(process.argv[2]);
const [username, domain] = setting.jid.split("@");
const xmpp = client({ service: setting.service ?? `xmpp://127.0.0.1:${setting.port}`, domain, username, password: setting.password });
let found = [], entered;  // `entered` is called when the room has sent all that comes to who enters

process.on("unhandledRejection", () => {});  // an error may come before xmpp.js waits for it; then that throws, too
xmpp.on("error", () => {});  // a cut wire is one, and it reconnects by itself
xmpp.on("nonza", (nonza) => {  // its own "online" comes before its stream management
    if (nonza.is("enabled", "urn:xmpp:sm:3"))
        xmpp.send(xml("presence"));
});
xmpp.streamManagement.on("resumed", () => say("resumed"));
xmpp.on("stanza", (stanza) => {
    if (stanza.is("presence") && stanza.attrs.from === xmpp.jid.toString())
        say("online", stanza.attrs.from);
    if (stanza.is("presence") && !stanza.attrs.type && stanza.getChild("x", USER))
        say("joined", nick(stanza.attrs.from));
    if (!stanza.is("message"))
        return;
    if (stanza.attrs.type === "groupchat") {
        if (stanza.getChild("subject"))
            entered?.();
        else if (stanza.getChildText("body"))
            say("said", nick(stanza.attrs.from), stanza.getChildText("body"));
        return;
    }
    const result = stanza.getChild("result", MAM);
    if (result)
        found.push(result.getChild("forwarded", FORWARD).getChild("message").getChildText("body"));
    for (const kind of ["sent", "received"]) {
        const copy = stanza.getChild(kind, CARBONS)?.getChild("forwarded", FORWARD).getChild("message");
        if (copy)
            say("copy", kind, copy.attrs.from, copy.attrs.to, copy.getChildText("body"));
    }
    if (stanza.attrs.type !== "error" && stanza.getChildText("body"))
        say("chat", bare(stanza.attrs.from), stanza.getChildText("body"));
});
for (const [name, kind] of [["block", "blocked"], ["unblock", "unblocked"]])
    xmpp.iqCallee.set(BLOCKING, name, ({ element }) => {
        say("push", kind, ...jids(element));
        return true;
    });

async function pages(size, place, element, to) {
    let wanted = element;
    for (;;) {
        found = [];
        const fin = (await xmpp.iqCaller.request(xml("iq", { type: "set", to },
            xml("query", { xmlns: MAM }, xml("set", { xmlns: RSM }, xml("max", {}, size), wanted)),
        ))).getChild("fin", MAM);
        say("page", ...found);
        if (fin.attrs.complete === "true")
            return;
        const end = fin.getChild("set", RSM).getChildText(place === "after" ? "last" : "first");
        wanted = xml(place, {}, end);
    }
}

const block = (name, jid) => xmpp.iqCaller.set(xml(name, { xmlns: BLOCKING }, xml("item", { jid })));

const rooms = {};  // address -> the nick there
const field = (name, value) => xml("field", { var: name }, xml("value", {}, value));
const set = (to, xmlns, ...children) => xmpp.iqCaller.set(xml("query", { xmlns }, ...children), to);

const actions = {
    chat: (to, body) => xmpp.send(xml("message", { to, type: "chat" }, xml("body", {}, body))),
    roster: async () => {
        const query = await xmpp.iqCaller.get(xml("query", { xmlns: "jabber:iq:roster" }));
        say("roster", ...jids(query));
    },
    carbons: () => xmpp.iqCaller.set(xml("enable", { xmlns: CARBONS })),
    pages: (size) => pages(size, "after"),
    "pages back": (size) => pages(size, "before", xml("before")),
    block: (jid) => block("block", jid),
    unblock: (jid) => block("unblock", jid),
    blocklist: async () => say("blocklist", ...jids(await xmpp.iqCaller.get(xml("blocklist", { xmlns: BLOCKING })))),
    join: (room, as) => new Promise((resolve) => {
        entered = resolve;
        rooms[room] = as;
        xmpp.send(xml("presence", { to: `${room}/${as}` }, xml("x", { xmlns: MUC })));
    }),
    configure: (room, name) => set(room, OWNER, xml("x", { xmlns: DATA, type: "submit" },
        field("FORM_TYPE", `${MUC}#roomconfig`), field("muc#roomconfig_roomname", name),
        field("muc#roomconfig_persistentroom", "1"))),
    say: (to, body) => xmpp.send(xml("message", { to, type: "groupchat" }, xml("body", {}, body))),
    subject: (to, text) => xmpp.send(xml("message", { to, type: "groupchat" }, xml("subject", {}, text))),
    invite: (to, jid) => xmpp.send(xml("message", { to }, xml("x", { xmlns: USER }, xml("invite", { to: jid })))),
    kick: (room, who) => set(room, ADMIN, xml("item", { nick: who, role: "none" })),
    ban: (room, jid) => set(room, ADMIN, xml("item", { jid, affiliation: "outcast" })),
    "self-ping": (room) => xmpp.iqCaller.get(xml("ping", "urn:xmpp:ping"), `${room}/${rooms[room]}`),
    "room pages": (room, size) => pages(size, "after", undefined, room),
    ...nodes(xmpp, say),
    quit: () => xmpp.stop(),
};

xmpp.start().catch((error) => say("failed", String(error)));
for await (const line of readline.createInterface({ input: process.stdin })) {
    const [action, ...words] = JSON.parse(line);
    await actions[action](...words);
    say("did", action);
    if (action === "quit")
        process.exit();  // its timers would keep it
}
