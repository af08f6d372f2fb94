// xmpp.js, unmodified, in the protocol of conftest.py. The server's certificate: NODE_EXTRA_CA_CERTS in the environment.
// What it has no functions for (archive, carbons, blocking) goes through its iqCaller.

import { webcrypto } from "node:crypto";
import readline from "node:readline";
import { client, xml } from "@xmpp/client";
import WebSocket from "ws";

const MAM = "urn:xmpp:mam:2", RSM = "http://jabber.org/protocol/rsm", CARBONS = "urn:xmpp:carbons:2",
    FORWARD = "urn:xmpp:forward:0", BLOCKING = "urn:xmpp:blocking";

globalThis.crypto ??= webcrypto;  // what xmpp.js expects, and Debian 12's node 18 does not set
globalThis.WebSocket ??= WebSocket;  // only node 22 has it

const say = (...words) => console.log(JSON.stringify(words));
const bare = (jid) => jid.split("/")[0];
const jids = (element) => element.getChildren("item").map((item) => item.attrs.jid);

const setting = JSON.parse(process.argv[2]);
const [username, domain] = setting.jid.split("@");
const xmpp = client({ service: setting.service ?? `xmpp://127.0.0.1:${setting.port}`, domain, username, password: setting.password });
let found = [];

xmpp.on("error", () => {});  // a cut wire is one, and it reconnects by itself
xmpp.on("nonza", (nonza) => {  // its own "online" comes before its stream management
    if (nonza.is("enabled", "urn:xmpp:sm:3"))
        xmpp.send(xml("presence"));
});
xmpp.streamManagement.on("resumed", () => say("resumed"));
xmpp.on("stanza", (stanza) => {
    if (stanza.is("presence") && stanza.attrs.from === xmpp.jid.toString())
        say("online", stanza.attrs.from);
    if (!stanza.is("message"))
        return;
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

async function pages(size, place, element) {
    let wanted = element;
    for (;;) {
        found = [];
        const fin = (await xmpp.iqCaller.request(xml("iq", { type: "set" },
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

const actions = {
    chat: (to, body) => xmpp.send(xml("message", { to, type: "chat" }, xml("body", {}, body))),
    carbons: () => xmpp.iqCaller.set(xml("enable", { xmlns: CARBONS })),
    pages: (size) => pages(size, "after"),
    "pages back": (size) => pages(size, "before", xml("before")),
    block: (jid) => block("block", jid),
    unblock: (jid) => block("unblock", jid),
    blocklist: async () => say("blocklist", ...jids(await xmpp.iqCaller.get(xml("blocklist", { xmlns: BLOCKING })))),
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
