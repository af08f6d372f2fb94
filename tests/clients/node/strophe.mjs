// strophe.js, unmodified, over WebSocket or BOSH, in the protocol of conftest.py: "online", "chat", "quit".
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
const { Strophe, $msg, $pres } = createRequire(import.meta.url)("strophe.js");

console.debug = console.info = console.error;  // standard output is ours
const say = (...words) => console.log(JSON.stringify(words));
const setting = JSON.parse(process.argv[2]);
const connection = new Strophe.Connection(setting.service);
connection.addHandler((message) => {
    const body = message.getElementsByTagName("body")[0];
    if (body)
        say("chat", Strophe.getBareJidFromJid(message.getAttribute("from")), body.textContent);
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
    quit: () => connection.disconnect("bye"),
};
for await (const line of readline.createInterface({ input: process.stdin })) {
    const [action, ...words] = JSON.parse(line);
    actions[action](...words);
    say("did", action);
}
