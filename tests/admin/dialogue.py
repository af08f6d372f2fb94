"""Ad-hoc commands as a client gives them."""

from collections.abc import Iterable
from typing import Any
from xml.etree.ElementTree import Element

from tests.client import Client

NS, DATA = "http://jabber.org/protocol/commands", "jabber:x:data"
ADMIN = "http://jabber.org/protocol/admin"
ITEMS, INFO = "http://jabber.org/protocol/disco#items", "http://jabber.org/protocol/disco#info"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
Fields = dict[str, str | Iterable[str]]


def submit(fields: Fields, form_type: str | None = None, type: str = "submit") -> str:
    whole: Fields = ({} if form_type is None else {"FORM_TYPE": form_type}) | fields
    inner = "".join(
        f"<field var='{var}'>" + "".join(f"<value>{text}</value>" for text in _texts(value)) + "</field>"
        for var, value in whole.items()
    )
    return f"<x xmlns='{DATA}' type='{type}'>{inner}</x>"


def _texts(value: str | Iterable[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def send(client: Client, node: str, inner: str = "", to: str | None = "localhost", **attrs: str) -> Element:
    """The answer to one <command/>, result or error."""
    more = "".join(f" {key}='{value}'" for key, value in attrs.items())
    return client.iq("set", f"<command xmlns='{NS}' node='{node}'{more}>{inner}</command>", to=to)


def run(
    client: Client, node: str, fields: Fields | None = None, to: str = "localhost", form: str | None = None
) -> Element:
    """The answer at the end: asks for the form, and sends it filled in."""
    answer = send(client, node, to=to)
    if fields is not None:
        assert status(answer) == "executing", condition(answer)
        answer = send(client, node, submit(fields, form), to, sessionid=session(answer))
    return answer


def admin(client: Client, node: str, fields: Fields | None = None) -> Element:
    """The same for a node of XEP-0133."""
    return run(client, f"{ADMIN}#{node}", fields, form=ADMIN)


def status(answer: Element) -> str:
    """Such as "completed"; of an error its condition."""
    return str(answer[0].get("status")) if answer.get("type") == "result" else condition(answer)


def session(answer: Element) -> str:
    return str(answer[0].get("sessionid"))


def condition(answer: Element) -> str:
    """The condition of an error, with the one of XEP-0050 behind it: "bad-request bad-action"."""
    names = [each.tag for each in answer.iter() if each.tag.startswith((f"{{{STANZAS}}}", f"{{{NS}}}"))]
    found = [name.rpartition("}")[2] for name in names]
    return " ".join(name for name in found if name not in ("text", "command"))


def fields(answer: Element) -> dict[str, list[str]]:
    """The values of the fields outside of items."""
    x = answer.find(f".//{{{DATA}}}x")
    assert x is not None, answer
    return {
        str(each.get("var")): [value.text or "" for value in each.findall(f"{{{DATA}}}value")]
        for each in x.findall(f"{{{DATA}}}field")
    }


def types(answer: Element) -> dict[str, str | None]:
    x = answer.find(f".//{{{DATA}}}x")
    assert x is not None, answer
    return {str(each.get("var")): each.get("type") for each in x.findall(f"{{{DATA}}}field")}


def table(answer: Element) -> list[dict[str, str]]:
    return [
        {str(each.get("var")): each.findtext(f"{{{DATA}}}value") or "" for each in item}
        for item in answer.iter(f"{{{DATA}}}item")
    ]


def notes(answer: Element) -> list[tuple[Any, Any]]:
    return [(each.get("type"), each.text) for each in answer.iter(f"{{{NS}}}note")]


def actions(answer: Element) -> tuple[str | None, set[str]]:
    """The default action, and all that are allowed."""
    found = answer.find(f".//{{{NS}}}actions")
    assert found is not None
    return found.get("execute"), {each.tag.rpartition("}")[2] for each in found}


def listed(client: Client, to: str = "localhost") -> set[str]:
    """The nodes of the commands that service discovery shows."""
    answer = client.iq("get", f"<query xmlns='{ITEMS}' node='{NS}'/>", to=to)
    assert answer.get("type") == "result", condition(answer)
    assert {each.get("jid") for each in answer[0]} <= {to}
    return {str(each.get("node")) for each in answer[0]}


def info(client: Client, node: str | None, to: str = "localhost") -> Element:
    attribute = "" if node is None else f" node='{node}'"
    return client.iq("get", f"<query xmlns='{INFO}'{attribute}/>", to=to)


def bounced(id: str, condition: str) -> str:
    """What a message that was refused comes back as."""
    return f"<message type='error' id='{id}'><error><{condition} xmlns='{STANZAS}'/></error></message>"
