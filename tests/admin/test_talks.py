"""Sessions of ad-hoc commands (XEP-0050), without a server: what they remember, and how much."""

from types import SimpleNamespace
from typing import Any

import pytest

from jabberd_py import adhoc
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


@pytest.mark.parametrize("texts", [[""], ["x" * 50_000], [""] * 1000], ids=["fields", "letters", "values"])
def test_a_session_does_not_grow_for_ever(texts: list[str]) -> None:
    talks, what = Talks(), dialogue()
    here = {"sessionid": begin(talks, what)}

    def fill() -> None:
        for number in range(1000):
            talks.execute(request({f"field{number}": texts}, action="next", **here), what)
            talks.execute(request(action="prev", **here), what)

    with pytest.raises(StanzaError, match="too much") as caught:
        fill()
    assert caught.value.condition == "bad-request" and "bad-payload" in str(caught.value.element())
    kept = talks.open["romeo@localhost"][here["sessionid"]].values
    assert 0 < len(kept) <= forms.MAX_FIELDS  # what fits is still there
    assert sum(len(text) for each in kept.values() for text in each) <= adhoc.FILLED


def test_sessions_that_are_over_do_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(adhoc, "time", SimpleNamespace(monotonic=lambda: now))
    talks, what = Talks(), dialogue()
    for user in ("romeo@localhost", "juliet@localhost"):
        begin(talks, what, user)
    now += adhoc.LIFETIME + 1
    begin(talks, what, "paris@localhost")
    assert list(talks.open) == ["paris@localhost"] and talks.count == 1
