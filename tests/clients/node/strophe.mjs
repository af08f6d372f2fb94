// strophe.js, unmodified, over WebSocket or BOSH, in the protocol of conftest.py; see test_web.py for what it is told.
// The server's certificate: NODE_EXTRA_CA_CERTS in the environment.

import { webcrypto } from "node:crypto";
import { createRequire } from "node:module";
import readline from "node:readline";
import { DOMParser, XMLSerializer } from "@xmldom/xmldom";
import WebSocket from "ws";

// what a browser has, and strophe.js uses
globalThis.crypto ??= webcrypto;
globalThis.WebSocket = WebSocket;
globalThis.DOMParser = DOMParser;
globalThis.XMLSerializer = XMLSerializer;
globalThis.XMLHttpRequest = class {
    readyState = 0;
    headers = {};
    overrideMimeType() {}
    open(method, url) { Object.assign(this, { method, url, readyState: 1 }); }
    setRequestHeader(name, value) { this.headers[name] = value; }
    getAllResponseHeaders() { return ""; }
    getResponseHeader() { return null; }
    abort() { this.aborted = true; }
    async send(body) {
        try {
            const answer = await fetch(this.url, { method: this.method, headers: this.headers, body });
            this.status = answer.status;
            this.responseText = await answer.text();
            this.responseXML = new DOMParser().parseFromString(this.responseText, "text/xml");
        } catch {
            this.status = 0;
        }
        if (!this.aborted) {
            this.readyState = 4;
            this.onreadystatechange();
        }
    }
};
Object.defineProperty(new DOMParser().parseFromString("<a/>", "text/xml").documentElement.constructor.prototype, "firstElementChild", {
    get() { return Array.from(this.childNodes).find((each) => each.nodeType === 1) ?? null; },
});
const { Strophe, $iq, $msg, $pres } = createRequire(import.meta.url)("strophe.js");

const MAM = "urn:xmpp:mam:2", RSM = "http://jabber.org/protocol/rsm", MUC = "http://jabber.org/protocol/muc";

console.debug = console.info = console.warn = console.error;  // standard output is ours
const say = (...words) => console.log(JSON.stringify(words));
const setting = JSON.parse(process.argv[2]);
const connection = new Strophe.Connection(setting.service, setting.options);
const all = (element, name) => Array.from(element.getElementsByTagName(name));
const text = (element, name) => all(element, name)[0]?.textContent;
const ask = (stanza) => new Promise((resolve, reject) => connection.sendIQ(stanza, resolve, reject));
let found = [], entered;

connection.addHandler((message) => {
    const from = message.getAttribute("from"), body = text(message, "body");
    if (all(message, "result").some((each) => each.getAttribute("xmlns") === MAM))
        found.push(body);
    else if (message.getAttribute("type") !== "groupchat")
        body && say("chat", Strophe.getBareJidFromJid(from), body);
    else if (body)
        say("said", Strophe.getResourceFromJid(from), body);
    else if (all(message, "subject").length)
        entered?.();
    return true;
}, null, "message");
connection.connect(setting.jid, setting.password, (status, reason) => {
    if (status === Strophe.Status.CONNECTED) {
        connection.send($pres());
        say("online", connection.jid);
    } else if (status === Strophe.Status.DISCONNECTED)
        process.exit(0);
    else if ([Strophe.Status.AUTHFAIL, Strophe.Status.CONNFAIL, Strophe.Status.ERROR].includes(status))
        say("failed", String(reason));
});

const actions = {
    chat: (to, body) => connection.send($msg({ to, type: "chat" }).c("body").t(body)),
    say: (to, body) => connection.send($msg({ to, type: "groupchat" }).c("body").t(body)),
    roster: async () => {
        const answer = await ask($iq({ type: "get" }).c("query", { xmlns: "jabber:iq:roster" }));
        say("roster", ...all(answer, "item").map((item) => item.getAttribute("jid")));
    },
    join: (room, nick) => new Promise((resolve) => {
        entered = resolve;
        connection.send($pres({ to: `${room}/${nick}` }).c("x", { xmlns: MUC }));
    }),
    pages: async (size) => {
        found = [];
        await ask($iq({ type: "set" }).c("query", { xmlns: MAM }).c("set", { xmlns: RSM }).c("max").t(size));
        say("page", ...found);
    },
    quit: () => connection.disconnect("bye"),
};
for await (const line of readline.createInterface({ input: process.stdin })) {
    const [action, ...words] = JSON.parse(line);
    await actions[action](...words);
    say("did", action);
}
