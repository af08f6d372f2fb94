"""Sessions of ad-hoc commands (XEP-0050), without a server: what they remember, and how much."""

from typing import Any

import pytest

from jabberd_py.adhoc import NS, Dialogue, Talks, Values, Work
from jabberd_py.xmpp import forms
from jabberd_py.xmpp.element import Element
from jabberd_py.xmpp.errors import StanzaError
from jabberd_py.xmpp.jid import parse
from jabberd_py.xmpp.ns import CLIENT


def request(fields: Values | None = None, user: str = "romeo@localhost", **attrs: str) -> Element:
    command = Element("command", NS, node="dance", **attrs)
    if fields is not None:
        form = forms.Form("submit")
        for name, texts in fields.items():
            form.field(name, value=texts)
        command.append(form.element())
    asked = Element("iq", CLIENT, command, type="set", id="1")
    asked.from_, asked.to = parse(f"{user}/home"), parse("localhost")
    return asked


def page(values: Values) -> forms.Form:
    return forms.Form("form")


def dialogue(run: Any = lambda values: []) -> Dialogue:
    return Dialogue("Dance", run, (page, page))


def begin(talks: Talks, what: Dialogue, user: str = "romeo@localhost") -> str:
    return str(talks.execute(request(user=user), what).attrs["sessionid"])


def test_who_has_to_wait_for_their_other_commands_keeps_what_was_filled_in() -> None:
    talks, done = Talks(), list[Values]()
    what = dialogue(lambda values: done.append(dict(values)) or [])
    here = {"sessionid": begin(talks, what)}
    talks.execute(request({"tune": ["waltz"]}, action="next", **here), what)

    def busy(work: Work) -> Any:
        raise StanzaError("resource-constraint", "wait for your other commands", type="wait")

    with pytest.raises(StanzaError, match="wait for"):
        talks.execute(request({"partner": ["juliet"]}, action="complete", **here), what, busy)
    talks.execute(request(action="complete", **here), what)
    assert done == [{"tune": ["waltz"], "partner": ["juliet"]}]
    assert talks.count == 0


def test_a_command_that_has_to_wait_can_be_given_again_in_its_session() -> None:
    tries: list[StanzaError] = [StanzaError("resource-constraint", "not now", type="wait")]

    def run(values: Values) -> list[Element]:
        if tries:
            raise tries.pop()
        return []

    talks, what = Talks(), dialogue(run)
    here = {"sessionid": begin(talks, what)}
    talks.execute(request({"tune": ["waltz"]}, action="next", **here), what)
    with pytest.raises(StanzaError, match="not now"):
        talks.execute(request(action="complete", **here), what)
    assert talks.execute(request(action="complete", **here), what).attrs["status"] == "completed"
