"""Every option by --set and by environment variable; so a second server is one command away."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from jabberd_py.config import Config, Option, load, options_of
from jabberd_py.schema import schema
from tests.acceptance.conftest import Clone, Run, Running
from tests.client import Client, subscribe_both
from tests.peers import free_port

pytestmark = pytest.mark.timeout(180)  # the first test of a session may wait for pip

SCHEMA = schema()
PLACES: dict[str, type[Any]] = {
    "": SCHEMA.top,
    **{f"{name}.": owner for name, owner in SCHEMA.sections.items()},
    **{f"modules.{name}.": owner for name, owner in SCHEMA.modules.items()},
    "hosts.localhost.": SCHEMA.host,
    **{f"hosts.localhost.modules.{name}.": owner for name, owner in SCHEMA.modules.items()},
}
OPTIONS = {
    prefix + name: option for prefix, owner in PLACES.items() for name, option in options_of(owner).items()
}
GROUPS = "{staff: [romeo@example.org]}"
MAPPING = "{colour of the sky: blue}"
TEXTS = [
    "no",
    "yes",
    "17",
    "6000",
    "12000",
    "3h",
    "70ms",
    "128 KiB",
    "debug",
    "json",
    "SCRAM-SHA-1",
    "0123456789abcdef",
]
TEXTS += [
    "[romeo@example.org]",
    "mailto:you@example.org",
    "https://example.org",
    "{a: b}",
    "something",
    "[127.0.0.9]",
    "a.example=127.0.0.9",
    "turn:example.org",
    GROUPS,
    MAPPING,
    "pubsub.example.org staff The Staff",
]


def meaning(text: str) -> Any:
    return (
        yaml.safe_load(text)
        if text in (GROUPS, MAPPING)
        else text.strip("[]")
        if text.startswith("[")
        else text
    )


def another(option: Option[Any]) -> str:
    """A text that means something else than the option's default."""
    for text in (*map(str, option.choices or ()), *TEXTS):
        try:
            if option.convert(meaning(text)) != option.default:
                return text
        except ValueError:
            continue
    raise AssertionError(f"{option.name}: extend TEXTS")


def value(config: Config, path: str) -> Any:
    *where, name = path.split(".")
    match where:
        case []:
            return getattr(config.top, name)
        case ["modules", module] | ["hosts", "localhost", "modules", module]:
            return config.hosts["localhost"].modules[module][name]
        case ["hosts", "localhost"]:
            return getattr(config.hosts["localhost"].section, name)
        case [section]:
            return getattr(config[section], name)
    raise AssertionError(path)


@pytest.mark.parametrize("path", OPTIONS)
def test_an_option_by_set_and_by_environment(path: str) -> None:
    option, text = OPTIONS[path], another(OPTIONS[path])
    wanted = option.convert(meaning(text))
    variable = "JABBERD_" + path.upper().replace(".", "__")
    assert value(load(None, [f"{path}={text}"], {}, schema=SCHEMA), path) == wanted
    assert value(load(None, [], {variable: text}, schema=SCHEMA), path) == wanted
    other = str(option.converter.show(option.default)) if not isinstance(option.default, list | dict) else ""
    if other and option.default is not None:  # the command line wins
        assert value(load(None, [f"{path}={other}"], {variable: text}, schema=SCHEMA), path) == option.default


@pytest.mark.parametrize("module", SCHEMA.modules)
def test_a_module_on_or_off_by_set_and_by_environment(module: str) -> None:
    for switch in ("yes", "no"):
        for config in (
            load(None, [f"modules.{module}={switch}"], {}, schema=SCHEMA),
            load(None, [f"hosts.localhost.modules.{module}={switch}"], {}, schema=SCHEMA),
            load(None, [], {f"JABBERD_MODULES__{module.upper()}": switch}, schema=SCHEMA),
        ):
            assert (module in config.hosts["localhost"].enabled) == (switch == "yes")


@pytest.mark.parametrize("by", ["--set", "environment"])
def test_a_second_server_beside_the_first(
    first_run: Running, run: Run, clone: Clone, tmp_path: Path, by: str
) -> None:
    port, direct = free_port(), free_port()
    wanted = {"data": f"{tmp_path}/second", "hosts": "[second.example]", "c2s.address": "127.0.0.1",
              "c2s.port": str(port), "c2s.direct_port": str(direct), "log.format": "json"}  # fmt: skip
    if by == "--set":
        second = run(
            *(word for name, text in wanted.items() for word in ("--set", f"{name}={text}")), make=True
        )
    else:
        environ = {"JABBERD_" + name.upper().replace(".", "__"): text for name, text in wanted.items()}
        second = run(make=True, **environ)
    for each in ("s2s", "http", "https", "bytestreams"):
        del second.listeners[each]
    assert second.listeners == {"c2s": ("127.0.0.1", port), "c2s_direct": ("127.0.0.1", direct)}
    assert (tmp_path / "second/certificates/second.example.pem").exists()
    assert '"event": "serving"' in second.log.read_text()

    people = []
    for server, domain in ((first_run, "localhost"), (second, "second.example")):
        assert f"hosts: {domain}" in server.said
        for name in (f"romeo-{by.strip('-')}", f"juliet-{by.strip('-')}"):
            server.ctl("accounts", "add", f"{name}@{domain}", "--password", "secret")
            people.append(Client(server.listeners["c2s"], domain).connect().login(name, "secret").available())
        subscribe_both(*people[-2:])
        assert f"romeo-{by.strip('-')}@{domain}" in server.ctl("sessions", "list")
    for one, other in (people[:2], people[2:]):
        one.send(f"<message to='{other.bare}' type='chat'><body>hi</body></message>")
        other.gets(f"<message from='{one.jid}' type='chat'><body>hi</body></message>")
    people[0].send(f"<message to='{people[2].bare}' id='away'><body>hi</body></message>")
    people[0].gets("<message type='error' id='away'/>")  # strangers to each other: there is no federation yet
    people[2].nothing("<message/>")
    assert second.end() is not None
    people[0].sync()  # the first goes on
    for each in people:
        each.close()
