"""Converse.js in Chromium, over WebSocket and over BOSH: what somebody does on a web page."""

import json
import os
from pathlib import Path

import pytest

from tests.clients.chromium import PATIENCE, Chromium, Site
from tests.clients.conftest import NODE, npm
from tests.muc.conftest import Room

pytestmark = pytest.mark.timeout(300)  # the first one may wait for npm
SHOTS = os.environ.get("SCREENSHOTS")
"""A folder for a picture of each page, for who wants to look at it."""
PAGE = """<!DOCTYPE html><html><head><meta charset="utf-8"><link rel="stylesheet" href="dist/converse.min.css">
<script type="module" src="dist/converse.min.js"></script></head><body class="converse-fullscreen"><script type="module">
converse.plugins.add("probe", { initialize() { window._converse = this._converse; window.api = this._converse.api; } });
converse.initialize(%s);
</script></body></html>"""
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="


@pytest.fixture
def page(server, tmp_path):
    """`page(account, **settings)`: Converse.js, logged in."""
    npm()
    opened = []

    def start(who, **settings):
        said = {"jid": who.bare, "password": who.password, "auto_login": True, "authentication": "login",
                "view_mode": "fullscreen", "whitelisted_plugins": ["probe"], "discover_connection_methods": False,
                "allow_non_roster_messaging": True, "assets_path": "/dist/", "i18n": "en", "loglevel": "debug"}  # fmt: skip
        folder = NODE / "node_modules/converse.js"
        opened.append(Site(folder, PAGE % json.dumps(said | settings)))
        folder = tmp_path / "chromium"
        folder.mkdir()
        opened.append(Chromium(folder))
        opened[-1].go(opened[0].url)
        return opened[-1]

    yield start
    for each in opened:
        each.close()


@pytest.mark.parametrize("carrier", ["WebSocket", "BOSH"])
def test_a_visit(carrier, page, server, account, make_client):
    who, juliet = account("romeo"), make_client(account("juliet"))
    base = f"localhost:{server.address('https')[1]}"
    setting = {"websocket_url": f"wss://{base}/xmpp-websocket"} if carrier == "WebSocket" else {
        "bosh_service_url": f"https://{base}/http-bind"}  # fmt: skip
    item = f"<query xmlns='jabber:iq:roster'><item jid='{juliet.bare}' name='Juliet'/></query>"
    desk = make_client(who, resource="desk")
    assert desk.iq("set", item).get("type") == "result"

    romeo = page(who, **setting)
    romeo.wait("api.connection.connected()")
    full = romeo.wait("api.connection.get().jid")
    romeo.wait(f"(await api.contacts.get('{juliet.bare}')).get('nickname') === 'Juliet'")

    romeo.evaluate(
        f"api.chats.open('{juliet.bare}').then(async c => {{ await c.sendMessage({{ body: 'Ay me!' }}); }})"
    )
    juliet.gets("<message><body>Ay me!</body></message>", PATIENCE)
    juliet.send(f"<message to='{full}' type='chat' id='j'><body>How camest thou hither?</body></message>")
    romeo.wait(
        f"(await api.chats.get('{juliet.bare}')).messages.find(m => m.get('body') === 'How camest thou hither?') && true"
    )

    hall = Room("conference.localhost")
    hall.enter(juliet, "Juliet")
    hall.setup(juliet)
    room = hall.address
    romeo.evaluate(f"api.rooms.open('{room}', {{ nick: 'Romeo' }}, true).then(() => true)")
    juliet.gets(f"<presence from='{room}/Romeo'/>", PATIENCE)
    romeo.wait(f"(await api.rooms.get('{room}')).session.get('connection_status') == 5")
    romeo.wait(f"(await api.rooms.get('{room}')).sendMessage({{ body: 'He jests' }}).then(() => true)")
    juliet.gets(f"<message from='{room}/Romeo' type='groupchat'><body>He jests</body></message>", PATIENCE)

    bits = f"Uint8Array.from(atob('{PIXEL}'), c => c.charCodeAt(0))"
    file = f"new File([{bits}], 'pixel.png', {{ type: 'image/png' }})"
    romeo.wait(f"api.chats.get('{juliet.bare}').then(c => c.sendFiles([{file}])).then(() => true)")
    got = juliet.gets("<message><x xmlns='jabber:x:oob'><url>...</url></x></message>", PATIENCE)
    assert got.findtext(".//{jabber:x:oob}url").endswith("/pixel.png")

    card = juliet.iq(
        "set",
        f"<vCard xmlns='vcard-temp'><FN>Juliet</FN><PHOTO><TYPE>image/png</TYPE><BINVAL>{PIXEL}</BINVAL></PHOTO></vCard>",
    )
    assert card.get("type") == "result"
    romeo.wait(f"(await api.vcard.get('{juliet.bare}', true)).image === '{PIXEL}'")
    if SHOTS:
        romeo.screenshot(Path(SHOTS) / f"converse-{carrier}.png")
    romeo.evaluate("api.user.logout().then(() => true)")
    desk.gets(f"<presence from='{full}' type='unavailable'/>", PATIENCE)
