"""Modules and services from outside the tree (`plugins`)."""

import subprocess
import sys
from contextlib import closing

import pytest
import yaml

from tests.client import Client
from tests.conftest import CONFIG
from tests.server import ROOT, environment

INFO = "http://jabber.org/protocol/disco#info"

COUNTER = '''
"""Counts words."""
from jabberd_py.hooks import HANDLED, Module, Option, iq, on
from jabberd_py.xmpp.element import Element
from jabberd_py.xmpp.protocols import XEP
from .words import count

NS = "urn:example:count"


class Counter(Module):
    """Counts the words of a text."""

    features = (NS,)
    protocols = (XEP(9999, "0.1", "Counting", missing="numbers"),)
    most = Option(int, 10, "words that are counted at most", min=1)

    @iq("get", NS, "count")
    def count(self, request):
        return Element("count", NS, words=min(count(request.payload.text), self.most))

    @on("deliver", kind="message")
    def echo(self, stanza):
        if stanza.to.node == "count":
            body = Element("body", "jabber:client", str(count(stanza.text_of("body") or "")))
            self.host.router.deliver(Element("message", "jabber:client", body, from_=stanza.to, to=stanza.from_))
            return HANDLED
'''
WORDS = "def count(text):\n    return len(text.split())\n"

PARROT = '''
from jabberd_py.hooks import HANDLED, on
from jabberd_py.service import Service


class Parrot(Service):
    """Says it again."""

    prefix = Service.prefix

    @on("deliver", kind="message")
    def again(self, stanza):
        self.router.deliver(stanza.copy(to=stanza.from_, from_=stanza.to))
        return HANDLED
'''

TATTLER = '''
from jabberd_py.hooks import Module, on
from jabberd_py.xmpp.element import Element


class Tattler(Module):
    """Tells a session's user what happens to it."""

    def tell(self, session, text):
        body = Element("body", "jabber:client", text)
        self.host.router.deliver(Element("message", "jabber:client", body, from_=self.host.domain, to=session.user))

    @on("initial")
    def first(self, session):
        self.tell(session, "initial")

    @on("lost")
    def gone(self, session):
        self.tell(session, "lost " + session.jid.resource)

    @on("caps")
    def able(self, session, features):
        self.tell(session, " ".join([session.jid.resource, *sorted(features)]))
'''


@pytest.fixture
def plugin(tmp_path):
    """`plugin(name=text, ...)`: the folder of a plugin with these files."""

    def write(**files):
        folder = tmp_path / "plugins"
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / f"{name}.py").write_text(text)
        return str(folder)

    return write


def login(server, resource=None):
    return Client(server.address()).login("romeo", "secret", resource)


def start(tmp_path, **config):
    """What the server prints when it does not start."""
    file = tmp_path / "wrong.yaml"
    file.write_text(
        yaml.safe_dump({**config, "data": str(tmp_path / "data"), "c2s": {"port": 0, "direct_port": 0}})
    )
    command = [sys.executable, "-m", "jabberd_py", "--config", str(file), "--set", "s2s.enabled=false"]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stdout
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_a_folder_of_ones_own_modules(plugin, start_server):
    folder = plugin(mod_counter=COUNTER, words=WORDS, _draft="1 / 0")
    server = start_server(
        {**CONFIG, "plugins": [folder], "modules": {**CONFIG["modules"], "counter": {"most": 3}}}
    )
    server.ctl("accounts", "add", "romeo@localhost", "--password", "secret")
    with closing(login(server)) as romeo:
        for text, words in (("but soft", "2"), ("what light through yonder window breaks", "3")):
            answer = romeo.iq("get", f"<count xmlns='urn:example:count'>{text}</count>", "localhost")
            assert answer[0].get("words") == words
        info = romeo.iq("get", f"<query xmlns='{INFO}'/>", "localhost")
        assert "urn:example:count" in [each.get("var") for each in info[0]]
        romeo.send("<message to='count@localhost'><body>one two</body></message>")
        romeo.gets("<message from='count@localhost'><body>2</body></message>")


def test_a_service_of_ones_own(plugin, start_server):
    config = {**CONFIG, "plugins": [plugin(parrot=PARROT)], "services": {"parrot": {"prefix": "parrot"}}}
    server = start_server(config)
    server.ctl("accounts", "add", "romeo@localhost", "--password", "secret")
    with closing(login(server)) as romeo:
        romeo.send("<message to='polly@parrot.localhost'><body>hello</body></message>")
        romeo.gets("<message from='polly@parrot.localhost'><body>hello</body></message>")


@pytest.mark.parametrize("what", ["plug", "plug:Counter"])
def test_an_entry_point_of_an_installed_package(tmp_path, start_server, monkeypatch, what):
    site = tmp_path / "site"
    (site / "counting-1.dist-info").mkdir(parents=True)
    (site / "counting-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: counting\nVersion: 1\n")
    (site / "counting-1.dist-info/entry_points.txt").write_text(
        f"[jabberd_py.plugins]\ncounting = counting.{what}\n"
    )
    (site / "counting").mkdir()
    (site / "counting/__init__.py").write_text("")
    (site / "counting/words.py").write_text(WORDS)
    (site / "counting/plug.py").write_text(COUNTER)
    monkeypatch.setenv("PYTHONPATH", str(site))
    server = start_server({**CONFIG, "plugins": ["counting"]})
    server.ctl("accounts", "add", "romeo@localhost", "--password", "secret")
    with closing(login(server)) as romeo:
        answer = romeo.iq("get", "<count xmlns='urn:example:count'>a b c</count>", "localhost")
        assert answer[0].get("words") == "3"
    assert "did you mean 'counting'?" in start(tmp_path, plugins=["countng"])


HOOKS = "from jabberd_py.hooks import Module, iq, on\nclass A(Module):\n    @%s\n    def x(self, a): pass\n"
MISTAKES = [
    ("mod_a", "class A(\n", "mod_a.py:1: '(' was never closed"),
    ("mod_a", "\nfrom .nowhere import x\n", "mod_a.py:2: ModuleNotFoundError: "),
    ("mod_a", "x = 1\n", "there is no Module and no Service in it"),
    ("mod_ping", HOOKS % "on('session')", "the name 'ping' is taken by jabberd_py.modules.mod_ping"),
    ("mod_a", HOOKS % "iq('ask', 'a', 'b')", "mod_a.py:3: ValueError: @iq('ask', 'a', 'b')"),
    ("mod_a", HOOKS % "on('avialable')", "A.x: no such event: 'avialable'; did you mean 'available'?"),
    ("mod_a", HOOKS % "on('out')", "A.x: event 'out' calls it with (session, stanza)"),
    (
        "mod_a",
        HOOKS % "iq('get', 'a', 'b', to='room')",
        "A.x: @iq(to='room'); here there are server, self, user",
    ),
]


@pytest.mark.parametrize(("name", "text", "message"), MISTAKES, ids=[message for *_, message in MISTAKES])
def test_a_mistake_in_a_plugin_stops_the_start_in_one_line(plugin, tmp_path, name, text, message):
    assert message in start(tmp_path, plugins=[plugin(**{name: text})])


def test_a_folder_that_is_not_there(tmp_path):
    told = start(tmp_path, plugins=["no/where"])
    assert "wrong.yaml:" in told and "plugins" in told and "no/where: no such folder" in told


def test_a_plugins_options_are_checked(plugin, tmp_path):
    folder = plugin(mod_counter=COUNTER, words=WORDS)
    told = start(tmp_path, plugins=[folder], modules={"counter": {"moist": 1}})
    assert "modules.counter.moist: no such option (did you mean 'most'?)" in told


def test_a_new_plugin_waits_for_the_next_start(plugin, start_server):
    server = start_server()
    config = yaml.safe_load(server.file.read_text())
    server.file.write_text(yaml.safe_dump({**config, "plugins": [plugin(mod_counter=COUNTER, words=WORDS)]}))
    with pytest.raises(AssertionError, match="plugins are loaded when the server starts"):
        server.ctl("reload")
    server.restart()


def test_plugins_are_documented_like_our_own(plugin, tmp_path):
    file = tmp_path / "some.yaml"
    file.write_text(yaml.safe_dump({"plugins": [plugin(mod_counter=COUNTER, words=WORDS)]}))
    command = [sys.executable, "-m", "jabberd_py.ctl.docs", "plugins", str(file), str(tmp_path)]
    subprocess.run(command, cwd=ROOT, env=environment(), check=True, timeout=60)
    assert "words that are counted at most" in (tmp_path / "options.md").read_text()
    assert "Counts the words of a text." in (tmp_path / "jabberd.yaml.example").read_text()
    assert "| 0.1 | Counting | numbers |" in (tmp_path / "protocols.md").read_text()


# -- events that only other modules hear -----------------------------------------------------------------

CAPS = "http://jabber.org/protocol/caps"
QUERY = (
    f"<query xmlns='{INFO}' node='https://example.org#%s'><identity category='client' type='pc' name='Exodus 0.9.1'/>"
    f"<feature var='http://jabber.org/protocol/muc'/><feature var='{INFO}'/><feature var='{CAPS}'/>"
    "<feature var='http://jabber.org/protocol/disco#items'/></query>"
)
GOOD = "QgayPKawpkPSDYmwT/WM94uAlu0="
FEATURES = f"{CAPS} {INFO} http://jabber.org/protocol/disco#items http://jabber.org/protocol/muc"


@pytest.fixture
def tattling(plugin, start_server):
    server = start_server({**CONFIG, "plugins": [plugin(mod_tattler=TATTLER)]})
    server.ctl("accounts", "add", "romeo@localhost", "--password", "secret")
    return server


def shows(client, ver=GOOD, hash=" hash='sha-1'"):
    client.send(f"<presence><c xmlns='{CAPS}'{hash} node='https://example.org' ver='{ver}'/></presence>")


def answers(client, ver=GOOD):
    asked = client.gets(
        f"<iq type='get' from='localhost' to='{client.jid}'><query xmlns='{INFO}' node='https://example.org#{ver}'/></iq>"
    )
    client.send(f"<iq type='result' id='{asked.get('id')}' to='localhost'>{QUERY % ver}</iq>")


def told(client, text):
    client.gets(f"<message from='localhost'><body>{text}</body></message>")


def test_the_first_presence_of_a_session_and_the_loss_of_its_stream(tattling):
    with closing(login(tattling, "a")) as stays, closing(login(tattling, "b")) as goes:
        stays.available()
        told(stays, "initial")
        stays.send("<presence><show>away</show></presence>")
        stays.nothing("<message/>")
        goes.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
        goes.gets("<enabled xmlns='urn:xmpp:sm:3'/>")
        goes.abort()
        told(stays, "lost b")


def test_one_client_is_asked_what_it_can_do_and_others_like_it_are_not(tattling):
    with closing(login(tattling, "a")) as first, closing(login(tattling, "b")) as second:
        first.available()
        told(first, "initial")
        shows(first)
        answers(first)
        told(first, f"a {FEATURES}")
        shows(first)
        shows(second)
        told(first, f"b {FEATURES}")
        second.nothing("<iq type='get'/>")
        first.nothing("<iq type='get'/>")


@pytest.mark.parametrize(("ver", "hash"), [("AAAA", " hash='sha-1'"), (GOOD, " hash='md5'"), ("0.9.1", "")])
def test_what_is_not_proven_holds_for_one_client_only(tattling, ver, hash):
    with closing(login(tattling, "a")) as first, closing(login(tattling, "b")) as second:
        first.available()
        told(first, "initial")
        shows(first, ver, hash)
        answers(first, ver)
        told(first, f"a {FEATURES}")
        shows(second, ver, hash)
        answers(second, ver)
        told(first, f"b {FEATURES}")
