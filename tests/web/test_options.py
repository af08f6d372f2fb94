"""A form for every place of the configuration: every option of the table can be set by it, as the file can."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from jabberd_py.commands import Caller
from jabberd_py.config import load, options_of
from jabberd_py.config.table import Table
from jabberd_py.config.write import get_key
from jabberd_py.converters import mapping_of
from jabberd_py.ctl.configuration import Configuration
from jabberd_py.schema import schema
from jabberd_py.settings import Settings
from jabberd_py.web.options import field, shown
from tests.acceptance.test_cli_second_server import another, meaning
from tests.server import ServerProcess
from tests.web.browser import Browser
from tests.web.conftest import BOSS, CHIEF

SCHEMA = schema()
ROOT = Caller("root", "tests", operator=True)


OWN = {
    "s3": "{endpoint: 'https://s3.example.org', bucket: bucket, key: k, secret: s}", "connect": "127.0.0.1:5347",
    "iq": "{'urn:x': get}", "delegate": "{'urn:x': [node]}",
}  # fmt: skip
"""Texts for options that take nothing as simple as the others."""


def text_for(option: Any) -> str:
    """A text that means something else than the default."""
    return OWN.get(option.name) or another(option)


def value_of(option: Any, text: str) -> Any:
    return yaml.load(text, Loader=yaml.BaseLoader) if option.name in OWN else meaning(text)


class Stopped:
    """A stopped server with a configuration that has comments."""

    store = None

    def __init__(self, folder: Path) -> None:
        self.data = folder
        file = folder / "test.yaml"
        file.write_text(
            "# mine\nhosts:\n  localhost:  # the only one\ncomponents:\n  irc.localhost: {secret: x}\n"
        )
        self.settings = Settings(str(file))


def test_every_option_is_set_by_its_form_and_means_what_the_file_means(tmp_path: Path) -> None:
    """As the browser does it: all fields of a page at once, in the words that a person writes."""
    server: Any = Stopped(tmp_path)
    configuration, count = Configuration(server), 0
    before = server.settings.file.read_text()
    places = [
        each
        for each in server.settings.table().owners
        if each[:1] != ("hosts",) or each == ("hosts", "localhost")
    ]
    for place in places:
        table: Table = server.settings.table()
        options = options_of(table.owners[place])
        texts = {".".join((*place, name)): text_for(option) for name, option in options.items()}
        if not texts:
            continue
        if "plugins" in texts:  # what is named there has to be there
            del texts["plugins"]
        fields = {each.name: each for each in map(field, table.rows(place))}
        assert set(options) <= set(fields)
        for name, option in options.items():  # what the field shows is what the field takes
            text = shown(option.show(option.default))
            assert option.convert(configuration._value(name, text)) == option.default, (place, name)
            if fields[name].kind == "select":
                assert all(option.convert(each) is not None for each in fields[name].choices if each)
        configuration.apply(json.dumps(texts), ROOT)
        written = server.settings.file.read_text()
        assert written.startswith("# mine\nhosts:\n  localhost:  # the only one\n")
        for name, option in options.items():
            if name == "plugins":
                continue
            said = option.convert(get_key(written, (*place, name)))
            assert said == option.convert(value_of(option, texts[".".join((*place, name))])) != option.default
            count += 1
        load(str(server.settings.file), schema=SCHEMA)
        configuration.undo(ROOT)
        assert server.settings.file.read_text() == before
    assert count > 300


def test_a_wrong_value_is_told_as_the_file_tells_it(tmp_path: Path) -> None:
    server: Any = Stopped(tmp_path)
    configuration = Configuration(server)
    count, seen = 0, set[tuple[str, str]]()  # one of each kind
    for place, owner in server.settings.table().owners.items():
        if place[:1] == ("hosts",) and place != ("hosts", "localhost"):
            continue
        for name, option in options_of(owner).items():
            if (kind := (option.converter.name, option.limits)) in seen:
                continue
            seen.add(kind)
            try:
                option.convert("\u2603 no such thing")
            except ValueError as error:
                said = str(error)
            else:
                continue
            with pytest.raises(Exception) as found:
                configuration.set(".".join((*place, name)), "\u2603 no such thing", ROOT)
            line, where = str(found.value), ".".join((*place, name))
            assert line.startswith(f"{server.settings.file}:") and line.endswith(f"{where}: {said}")
            count += 1
    assert count > 30
    assert configuration.history() == []


def test_a_form_in_the_browser_is_live_and_undone(site: ServerProcess, chief: Browser, browser: Any) -> None:
    chief.get("/console/options/")
    assert chief.page.status == 200 and "Nothing was changed here yet" in chief.page.text
    for name in (
        "server",
        "c2s",
        "modules.mam",
        "services.rooms",
        "services.rooms.modules.history",
        "hosts.localhost",
    ):
        assert chief.get(f"/console/options/{name}").status == 200, name
    before = site.file.read_text()
    chief.get("/console/options/modules.register")
    chief.send("Save", instructions="[not a list", per_stream="9")
    assert chief.page.status == 400 and "modules.register.instructions: cannot read this" in chief.page.text
    chief.send("Save", instructions="Say friend, and enter", per_stream="x")
    assert chief.page.status == 400
    assert "modules.register.per_stream: must be a whole number, not 'x'" in chief.page.text
    assert ("#f-per_stream", "Go to the field") in chief.page.links
    assert site.file.read_text() == before
    chief.send("Save", instructions="Say friend, and enter", per_stream="9")
    assert "and in use" in chief.page.text and chief.page.form("Save").fields["per_stream"] == "9"
    assert "Say friend, and enter" in site.file.read_text()
    chief.send("Save")
    assert "Nothing was changed" in chief.page.text
    chief.get("/console/options/")
    chief.send("Take the last change back")
    assert site.file.read_text() == before
    chief.get("/console/options/modules.echo")
    page = chief.send("Save", enabled="yes")
    assert "after the next start" in page.text and "and in use" not in page.text
    assert "Restart the server" in [text for _, text in page.links]
    chief.get("/console/options/")
    chief.send("Take the last change back")
    assert site.file.read_text() == before
    chief.get("/console/options/s2s")
    assert chief.page.form("Save").fields["secret"] == ""
    assert chief.post("/console/options/undo", {}).status == 403  # without the token of a form
    boss = browser(BOSS)  # of one host only
    assert boss.get("/console/options/").status == 403
    for option in ("plugins", "database", "tls.certificates"):
        place = option.partition(".")[0] if "." in option else "server"
        chief.get(f"/console/options/{place}")
        chief.send("Save", **{option.rpartition(".")[2]: "/tmp/x"})
        assert chief.page.status == 400 and "on the machine of the server only" in chief.page.text
    assert site.file.read_text() == before


def test_what_reaches_into_the_machine_or_its_network_is_for_its_own_user(
    site: ServerProcess, chief: Browser
) -> None:
    """Also for one host, and in a mapping of a whole host; a known authority may be named by every administrator."""
    before = site.file.read_text()
    for place, option, value in (
        ("modules.acme", "ca", "/etc/passwd"), ("modules.acme", "directory", "https://10.0.0.1/x"),
        ("hosts.localhost.modules.acme", "staging", "https://10.0.0.1/x"),
        ("hosts.localhost.modules.webhooks", "private", "yes"),
        ("services.upload", "s3", OWN["s3"]), ("modules.webchat", "folder", "/tmp"),
    ):  # fmt: skip
        chief.get(f"/console/options/{place}")
        chief.send("Save", **{option: value})
        assert chief.page.status == 400 and "on the machine of the server only" in chief.page.text, (
            place,
            option,
        )
    chief.get("/console/do/config%20set")
    for value in ("{modules: {acme: {ca: /etc/passwd}}}", "{services: {upload: {s3: {private: yes}}}}"):
        chief.send("Set one option", option="hosts.localhost", value=value)
        assert "on the machine of the server only" in chief.page.text, value
        chief.get("/console/do/config%20set")
    assert site.file.read_text() == before
    site.ask("config set", option="modules.webhooks.private", value="yes")
    chief.get("/console/options/")
    chief.send("Take the last change back")
    assert "may not undo" in chief.page.text
    site.ask("config undo")
    assert site.file.read_text() == before
    chief.get("/console/options/modules.acme")
    chief.send("Save", staging="letsencrypt")
    assert "and in use" in chief.page.text
    chief.get("/console/options/")
    chief.send("Take the last change back")
    assert site.file.read_text() == before


def test_one_change_is_taken_back_and_not_those_after_it(site: ServerProcess, chief: Browser) -> None:
    """Who looks what was changed yesterday finds the values, and a button beside each change."""
    before = site.file.read_text()
    for place, values in (("services.upload", {"max_size": "200"}), ("modules.invites", {"most": "30"})):
        chief.get(f"/console/options/{place}")
        chief.send("Save", **values)
    assert "modules.invites.most: 20 (the default) -> 30" in chief.page.text
    assert "services.upload.max_size: 100 MiB (the default) -> 200 B" in chief.get("/console/audit").text
    chief.get("/console/options/")
    assert "services.upload.max_size: 100 MiB (the default) -> 200 B" in chief.page.text
    changes = [each["value"] for _, each in chief.page.tags if each.get("name") == "change"]
    page = chief.send("Take back", change=changes[1])  # the older one
    assert "Taken back. services.upload.max_size: 200 B -> 100 MiB (the default)" in page.text
    written = site.file.read_text()
    assert get_key(written, ("services", "upload", "max_size")) is None
    assert get_key(written, ("modules", "invites", "most")) == "30"
    page = chief.send("Take back", change=changes[1])
    assert "services.upload.max_size has been changed since: it is 100 MiB (the default) now" in page.text
    assert "no such change is kept" in chief.send("Take back", change="1").text
    for _ in range(3):
        site.ask("config undo")
    assert site.file.read_text() == before


def test_a_form_that_was_open_longer_takes_nothing_back(
    site: ServerProcess, chief: Browser, browser: Any
) -> None:
    before, other = site.file.read_text(), browser(CHIEF)
    for each in (chief, other):
        each.get("/console/options/modules.invites")
    other.send("Save", most="30")
    chief.send("Save", per_day="25")  # another field: both stay
    assert "and in use" in chief.page.text
    written = site.file.read_text()
    assert (
        get_key(written, ("modules", "invites", "most")),
        get_key(written, ("modules", "invites", "per_day")),
    ) == ("30", "25")
    for each in (chief, other):
        each.get("/console/options/modules.invites")
    other.send("Save", most="31")
    chief.send("Save", most="32")  # the same field: he is told
    assert (
        chief.page.status == 400
        and "modules.invites.most: somebody has changed it meanwhile; it is 31 now" in chief.page.text
    )
    assert chief.page.form("Save").fields["most"] == "32"
    chief.send("Save")
    assert (
        "and in use" in chief.page.text
        and get_key(site.file.read_text(), ("modules", "invites", "most")) == "32"
    )
    for _ in range(4):
        site.ask("config undo")
    assert site.file.read_text() == before


def test_who_would_shut_himself_out_is_asked_first(site: ServerProcess, chief: Browser) -> None:
    before = site.file.read_text()
    for place, option, value, said in (
        ("modules.web", "console", "no", "there is no console any more"),
        ("hosts.localhost", "admins", "[boss@localhost]", "you are not among them"),
        ("hosts.localhost", "admins", "", "you are not among them"),
        ("hosts.localhost", "anonymous", "yes", "nobody can sign in"),
        ("http", "url", "https://other.example", "cannot be reached"),
        ("http", "tls_port", "null", "nobody who came by this port"),
    ):
        chief.get(f"/console/options/{place}")
        chief.send("Save", **{option: value})
        assert (
            chief.page.status == 400
            and said in chief.page.text
            and "jabberctl config undo" in chief.page.text
        )
        assert site.file.read_text() == before
    for command, fields in (
        ("config set", {"option": "modules.web.console", "value": "no"}),
        ("config apply", {"changes": "{hosts.localhost.admins: [boss@localhost]}"}),
        ("config unset", {"option": "hosts.localhost.admins"}),
    ):
        form = chief.get(f"/console/do/{command}").forms[-1].fields
        page = chief.post(f"/console/do/{command}", form | fields)
        assert page.status == 400 and "jabberctl config undo" in page.text, command
        assert site.file.read_text() == before
    chief.get("/console/options/modules.web")
    chief.send("Save", console="no")
    assert chief.send("Save", _sure="yes").status == 404  # he wanted it
    site.ask("config undo")
    assert chief.get("/console").status == 200 and site.file.read_text() == before


def test_every_option_has_a_label_in_words(tmp_path: Path) -> None:
    """Made of its explanation: short, and not the same twice on one page."""
    server: Any = Stopped(tmp_path)
    table: Table = server.settings.table()
    for place in table.owners:
        labels = [field(row).label for row in table.rows(place)]
        assert len(labels) == len(set(labels)), place
        wrong = [each for each in labels if not 4 <= len(each) <= 110 or not each[0].isupper()]
        assert not wrong, (place, wrong)
    about = {row["option"]: field(row) for row in table.rows(("services", "upload"))}
    size = about["services.upload.max_size"]
    assert (size.label, size.key) == ("Largest file", "max_size") and "Default: " in size.hint


def test_an_option_is_found_by_words_of_its_explanation(chief: Browser) -> None:
    chief.get("/console/options/")
    chief.send("Find", text="largest file")
    assert [href for href, _ in chief.page.links if "options/services.upload" in href], chief.page.text
    assert "modules.mam" not in chief.page.text and "max_size" in chief.page.text
    for text, place in (
        ("ban", "modules.blacklist"),
        ("lets encrypt", "modules.acme"),
        ("max size", "services.upload"),
    ):
        chief.get("/console/options/")
        chief.send("Find", text=text)
        assert [href for href, _ in chief.page.links if place in href], text
    assert "Nothing has all these words" in chief.send("Find", text="<b>\u2603").text


def test_a_file_with_a_mistake_stops_no_server(site: ServerProcess, chief: Browser) -> None:
    """Who restarts then is told; the Doctor opens all the same, and says it."""
    before = site.file.read_text()
    site.file.write_text(before.replace("{", '{"nonsense": 1,', 1))
    try:
        assert "nonsense: no such option" in site.ask("restart", error=True)
        form = chief.get("/console/do/restart").forms[-1].fields
        page = chief.post("/console/do/restart", form)
        assert page.status == 400 and "nonsense: no such option" in page.text
        page = chief.get("/console/doctor")
        assert page.status == 200 and "nonsense: no such option" in page.text and "What to do:" in page.text
    finally:
        site.file.write_text(before)
    assert chief.get("/console").status == 200


def test_what_no_xml_can_have_is_no_option(site: ServerProcess, chief: Browser) -> None:
    """The text goes to strangers, whose streams would break."""
    chief.get("/console/options/modules.register")
    page = chief.send("Save", instructions="a\x01b")
    assert page.status == 400 and "modules.register.instructions: must be text" in page.text
    with pytest.raises(ValueError, match="must be text"):
        mapping_of(str)({"a\x01": "b"})


def test_what_only_the_next_start_would_find_wrong_is_told_at_once(
    site: ServerProcess, chief: Browser
) -> None:
    before = site.file.read_text()
    chief.get("/console/options/metrics")
    page = chief.send("Save", address="192.0.2.1", port="9273")
    assert page.status == 400 and "metrics.port: cannot listen on 192.0.2.1 port 9273" in page.text
    assert site.file.read_text() == before


def test_a_text_may_have_any_letters(site: ServerProcess, chief: Browser) -> None:
    before = site.file.read_text()
    chief.get("/console/options/modules.register")
    page = chief.send("Save", instructions="Welcome \U0001f600")
    assert "and in use" in page.text and page.form("Save").fields["instructions"] == "Welcome \U0001f600"
    site.ask("config undo")
    assert site.file.read_text() == before


def test_a_value_that_is_no_option_is_refused(site: ServerProcess, chief: Browser) -> None:
    chief.get("/console/options/<script>alert(1)</script>")
    assert chief.page.status == 404 and "<script>alert" not in chief.page.html
