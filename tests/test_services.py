"""Services: what a host has beside itself, on a domain of its own."""

from pathlib import Path
from typing import Any

import pytest

from jabberd_py import config
from jabberd_py.config import ConfigError
from jabberd_py.schema import schema

ECHO: dict[str, Any] = {
    "hosts": {"localhost": {}, "other.localhost": {"services": {"echo": {"address": "parrot.localhost"}}}},
    "services": {"echo": True, "proxy": False, "pubsub": False, "rooms": False, "upload": False},
    "modules": {"register": {"enabled": True, "per_address": 0}},
}


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def load(text: str, *overrides: str) -> config.Config:
        file = tmp_path / "jabberd.yaml"
        file.write_text(text)
        return config.load(str(file), overrides, schema=schema())

    return load


def _domains(found: config.Config, host: str) -> dict[str, str]:
    services = found.hosts[host].services
    return {name: service.domain for name, service in services.items() if name == "echo"}


def test_a_service_answers_and_is_found(start_server: Any, make_client: Any, account: Any) -> None:
    from tests.conftest import Place

    server = start_server(ECHO)
    romeo = make_client(account("romeo", Place(server, "localhost")))
    items = romeo.iq("get", "<query xmlns='http://jabber.org/protocol/disco#items'/>", to="localhost")
    assert [item.get("jid") for item in items[0]] == ["echo.localhost"]
    info = romeo.iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", to="echo.localhost")
    identity = info[0][0]
    assert (identity.get("category"), identity.get("type"), identity.get("name")) == (
        "automation",
        "echo",
        "Echo",
    )
    assert "urn:xmpp:ping" in {each.get("var") for each in info[0]}
    assert romeo.iq("get", "<ping xmlns='urn:xmpp:ping'/>", to="echo.localhost").get("type") == "result"
    romeo.send("<message to='anyone@parrot.localhost' id='1'><body>hello</body></message>")
    romeo.gets("<message from='anyone@parrot.localhost' id='1'><body>hello</body></message>")
    refused = romeo.iq("get", "<query xmlns='jabber:iq:roster'/>", to="echo.localhost")
    assert refused.get("type") == "error"


def test_the_self_signed_certificate_names_the_services(start_server: Any) -> None:
    from cryptography import x509

    server = start_server(ECHO)
    for host, service in (("localhost", "echo.localhost"), ("other.localhost", "parrot.localhost")):
        cert = x509.load_pem_x509_certificate((server.data / "certificates" / f"{host}.pem").read_bytes())
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == [host, service]


def test_the_host_has_the_last_word(load: Any) -> None:
    found = load(
        """
        services: {echo: {enabled: true, prefix: parrot}}
        hosts:
          a.example:
          b.example: {services: {echo: false}}
          c.example: {services: {echo: {address: Echo.Example.ORG}}}
        """
    )
    assert _domains(found, "a.example") == {"echo": "parrot.a.example"}
    assert _domains(found, "b.example") == {}
    assert _domains(found, "c.example") == {"echo": "echo.example.org"}


def test_from_the_command_line(load: Any) -> None:
    found = load("hosts: [a.example]", "hosts.a.example.services.echo=true", "services.echo.prefix=parrot")
    assert _domains(found, "a.example") == {"echo": "parrot.a.example"}
    found = load("hosts: [a.example]", "services.echo=on", "hosts.a.example.services.echo.address=x.example")
    assert _domains(found, "a.example") == {"echo": "x.example"}


def test_a_component_of_the_same_address_takes_the_place(load: Any) -> None:
    found = load(
        """
        services: {echo: true}
        hosts: [a.example]
        components: {echo.a.example: {secret: s}}
        """
    )
    assert _domains(found, "a.example") == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("services: {ehco: true}", "services.ehco: no such service (did you mean 'echo'?)"),
        ("services: {echo: {prefx: a}}", "services.echo.prefx: no such option (did you mean 'prefix'?)"),
        ("services: {echo: [a]}", "services.echo: must be yes, no or a mapping of options"),
        ("services: {echo: {modules: {x: true}}}", "services.echo.modules.x: no such module"),
        ("services: {echo: {address: 'a b'}}", "services.echo.address: "),
        (
            "hosts: {a.example: {services: {echo: {enabled: true, address: b.example}}}, b.example: {}}",
            "hosts.a.example.services.echo: b.example is a host",
        ),
        (
            "{services: {echo: {enabled: true}}, hosts: {a.example: {services: {echo: {address: e.example}}},"
            " b.example: {services: {echo: {address: e.example}}}}}",
            "hosts.b.example.services.echo: e.example is the service 'echo' of a.example",
        ),
    ],
)
def test_mistakes(load: Any, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        load(text)
    assert says in str(wrong.value)
    assert "jabberd.yaml:1:" in str(wrong.value)


def test_the_documented_service_is_the_one_that_runs() -> None:
    root = Path(__file__).parent.parent
    page = (root / "docs" / "writing-a-service.md").read_text()
    code = page.partition("```python\n")[2].partition("```")[0]
    assert code == (root / "jabberd_py" / "services" / "echo.py").read_text()
    assert len(code.splitlines()) < 40
