"""One registry of commands under all faces: arguments and their kinds, permissions, what the log keeps."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from jabberd_py import log
from jabberd_py.arguments import (
    AccountAddress,
    Address,
    Domain,
    Duration,
    Lines,
    Password,
    SessionAddress,
    Size,
)
from jabberd_py.commands import (
    Caller,
    CommandError,
    Failed,
    NoSuchThing,
    NotAllowed,
    Registry,
    WrongArgument,
    outcome,
)
from jabberd_py.hooks import Module, Progress, command
from jabberd_py.instance import Instance
from jabberd_py.router import Router
from jabberd_py.xdb import StoreError
from jabberd_py.xmpp.errors import StanzaError
from jabberd_py.xmpp.forms import NS, Form
from jabberd_py.xmpp.jid import parse

ROOT = Caller("root", "jabberctl", "process 7", operator=True)


def person(jid: str) -> Caller:
    return Caller(jid, "ad-hoc", "192.0.2.1", parse(jid))


class Everything(Module):
    """Commands with every kind of argument."""

    name = "everything"

    @command("all kinds")
    def all_kinds(
        self,
        jid: AccountAddress,
        other: Address,
        domain: Domain,
        password: Password,
        size: Size,
        time: Duration,
        how: Literal["softly", "at once"],
        words: Lines,
        file: Path,
        share: float,
        count: int = 3,
        loud: bool = False,
        who: SessionAddress | None = None,
    ) -> dict[str, Any]:
        """Takes all."""
        return dict(vars_of(locals()))

    @command("key set", access="owner", changes=True)
    def key(self, jid: AccountAddress, caller: Caller, password: Password) -> str:
        """Set the key."""
        return f"{jid} by {caller.name}"

    @command("key see")
    def see(self, jid: AccountAddress) -> str:
        """Whose key?"""
        return str(jid)

    @command("hello", access="anyone")
    def hello(self, caller: Caller) -> str:
        """Say hello."""
        return f"{caller.name} at {self.host.domain}"

    @command("hosts list")
    def rows(self) -> list[str]:
        return [self.host.domain]

    @command("work", changes=True)
    def work(self, steps: int = 2) -> Iterator[Any]:
        for number in range(steps):
            yield Progress(number + 1, steps, "step")
        yield "ready"

    @command("fail", changes=True)
    def fail(self, how: str) -> None:
        raise {"stanza": StanzaError("item-not-found", "no such pigeon"), "value": ValueError("too blue"),
               "store": StoreError("the disk is full"), "file": OSError(2, "No such file", "/x"),
               "refused": StanzaError("forbidden"), "bug": ZeroDivisionError("oops")}[how]  # fmt: skip


def vars_of(found: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((key, value) for key, value in found.items() if key != "self")


class Domain1(Instance):
    """Any instance; its administrators are its own."""

    people: list[str] | None = None

    @property
    def admins(self) -> list[str] | None:
        return self.people


class Whole:
    @command("stop", changes=True)
    def stop(self, caller: Caller) -> str:
        """Stop the server."""
        return caller.face


@pytest.fixture
def registry() -> Registry:
    router = Router()
    for name, people in (("a.example", ["ann@a.example", "top@a.example"]), ("b.example", ["top@a.example"]),
                         ("rooms.a.example", None)):  # fmt: skip
        place = Domain1(router, name)
        place.people = people
        place.load(Everything, {})
        router.add(place)
    router.commands.add(Whole())
    return router.commands


GIVEN = {"jid": "Romeo@a.example", "other": "a.example/x", "domain": "B.Example", "password": "secret", "size": "2 KiB",
         "time": "5m", "how": "softly", "words": "a\nb", "file": "/tmp/x", "share": "0.5", "count": "4", "loud": "yes",
         "who": "romeo@a.example/garden"}  # fmt: skip


def test_every_kind_is_converted_from_text_as_a_form_sends_it(registry):
    assert outcome(registry.run(ROOT, "all kinds", GIVEN)) == {
        "jid": parse("romeo@a.example"), "other": parse("a.example/x"), "domain": "b.example", "password": "secret",
        "size": 2048, "time": 300.0, "how": "softly", "words": "a\nb", "file": Path("/tmp/x"), "share": 0.5, "count": 4,
        "loud": True, "who": parse("romeo@a.example/garden"),
    }  # fmt: skip
    assert (
        outcome(registry.run(ROOT, "all kinds", GIVEN | {"count": 4, "loud": False, "share": 1}))["loud"]
        is False
    )


@pytest.mark.parametrize(
    ("argument", "value", "sentence"),
    [("jid", 5, "must be an address, not 5"), ("jid", "a.example", "write NAME@a.example"),
     ("jid", "romeo@a.example/x", "leave out /'x'"), ("jid", "", "is empty"), ("jid", "@", "is empty"),
     ("jid", "x" * 4000 + "@a.example", "longer than"), ("jid", "a b@a.example", "' '"), ("who", "a.example", "write NAME@"),
     ("other", ["x"], "must be an address"), ("domain", "a@b", "is not a domain"), ("domain", None, "is missing"),
     ("password", "", "is empty"), ("password", 3, "must be text"), ("size", "many", "a size such as"),
     ("time", "soon", "a duration such as"), ("how", "slowly", "must be one of softly, at once"), ("words", 3, "must be text"),
     ("file", "", "must be a path"), ("count", True, "a whole number"), ("count", "1.5", "a whole number"),
     ("loud", 1, "yes or no"), ("share", "nan", "a number"), ("x" * 2000, 1, "no such argument")],
)  # fmt: skip
def test_a_wrong_argument_is_named_in_one_short_line(registry, argument, value, sentence):
    with pytest.raises(WrongArgument, match=".") as raised:
        outcome(registry.run(ROOT, "all kinds", GIVEN | {argument: value}))
    text = str(raised.value)
    assert sentence in text and len(text) < 250 and "\n" not in text and raised.value.argument == argument


def test_a_form_can_be_made_of_every_command(registry):
    form = Form("form")
    entry = next(each for each in registry.describe(ROOT) if each["name"] == "all kinds")
    assert json.loads(json.dumps(entry)) == entry
    for each in entry["arguments"]:
        form.field(each["name"], each["field"], value=each["default"], required=each["required"],
                   options=[(choice, choice) for choice in each["choices"]])  # fmt: skip
    types = {field.attrs["var"]: field.type for field in form.element().all("field", NS)}
    assert types == {
        "jid": "jid-single", "other": "jid-single", "domain": "text-single", "password": "text-private",
        "size": "text-single", "time": "text-single", "how": "list-single", "words": "text-multi", "file": "text-single",
        "share": "text-single", "count": "text-single", "loud": "boolean", "who": "jid-single",
    }  # fmt: skip


def test_an_argument_of_no_known_kind_fails_at_the_start():
    class Wrong:
        @command("x")
        def x(self, thing: dict) -> None: ...

    with pytest.raises(TypeError, match="thing"):
        Router().commands.add(Wrong())


def test_a_command_runs_where_its_account_lives(registry):
    assert (
        outcome(registry.run(ROOT, "key set", {"jid": "x@b.example", "password": "p"}))
        == "x@b.example by root"
    )
    with pytest.raises(NoSuchThing, match=r"c.example is not served here \(did you mean"):
        outcome(registry.run(ROOT, "key set", {"jid": "x@c.example", "password": "p"}))


def test_a_command_without_an_account_runs_everywhere_or_on_one_host(registry):
    assert outcome(registry.run(ROOT, "hosts list", {})) == ["a.example", "b.example", "rooms.a.example"]
    assert outcome(registry.run(ROOT, "hosts list", {"host": "B.example"})) == ["b.example"]
    assert outcome(registry.run(ROOT, "hello", {"host": "rooms.a.example"})) == "root at rooms.a.example"
    assert list(outcome(registry.run(ROOT, "hello", {}))) == ["a.example", "b.example", "rooms.a.example"]
    with pytest.raises(NoSuchThing, match="c.example is not served here"):
        outcome(registry.run(ROOT, "hosts list", {"host": "c.example"}))


def test_who_may_run_what(registry):
    ann, top, joe = (person(f"{name}@a.example/x") for name in ("ann", "top", "joe"))
    assert outcome(registry.run(joe, "hello", {"host": "a.example"})) == "joe@a.example/x at a.example"
    assert outcome(registry.run(joe, "key set", {"jid": "joe@a.example", "password": "p"}))
    for jid in ("ann@a.example", "joe@b.example"):
        with pytest.raises(NotAllowed):
            outcome(registry.run(joe, "key set", {"jid": jid, "password": "p"}))
    assert outcome(registry.run(ann, "key set", {"jid": "joe@a.example", "password": "p"}))
    assert outcome(registry.run(ann, "hosts list", {})) == ["a.example"]  # the others are none of hers
    for run in (
        ("hosts list", {"host": "b.example"}),
        ("stop", {}),
        ("hosts list", {"host": "rooms.a.example"}),
    ):
        with pytest.raises(NotAllowed):
            outcome(registry.run(ann, *run))
    assert (
        outcome(registry.run(top, "stop", {})) == "ad-hoc"
    )  # who administers every host administers the server
    assert outcome(registry.run(top, "hosts list", {"host": "rooms.a.example"})) == ["rooms.a.example"]
    with pytest.raises(NotAllowed):
        outcome(registry.run(Caller("nobody", "http"), "stop", {}))


def test_who_administers_one_host_does_not_become_one_who_administers_more(registry):
    """A new password, a token or a message of the greater one would do it."""
    ann, top, both = (person(f"{name}@a.example") for name in ("ann", "top", "both"))
    registry.router.instances["a.example"].people.append("ben@b.example")
    registry.router.instances["b.example"].people.append("both@a.example")
    for jid in ("top@a.example", "both@a.example"):  # of the server; of another host
        with pytest.raises(NotAllowed, match="may not run 'key set' on a.example"):
            outcome(registry.run(ann, "key set", {"jid": jid, "password": "p"}))
        assert outcome(registry.run(top, "key set", {"jid": jid, "password": "p"}))
        assert outcome(registry.run(ROOT, "key set", {"jid": jid, "password": "p"}))
    assert outcome(registry.run(both, "key set", {"jid": "both@a.example", "password": "p"}))
    assert outcome(registry.run(top, "key set", {"jid": "ann@a.example", "password": "p"}))
    assert outcome(registry.run(ann, "key set", {"jid": "ann@a.example", "password": "p"}))
    assert (
        outcome(registry.run(ann, "key see", {"jid": "top@a.example"})) == "top@a.example"
    )  # changes nothing


def test_only_what_the_caller_may_run_is_offered(registry):
    offered = {name: {each["name"] for each in registry.describe(caller)} for name, caller in
               (("root", ROOT), ("joe", person("joe@a.example")), ("ann", person("ann@a.example")))}  # fmt: skip
    assert offered["joe"] == {"hello", "key set"}
    assert "stop" in offered["root"] and "stop" not in offered["ann"] and "hosts list" in offered["ann"]


def said(registry: Registry, *run: Any) -> tuple[str, str]:
    """The line of the audit, and what the command said or failed with."""
    with log.tail("info", "json") as tail:
        try:
            found = str(outcome(registry.run(*run)))
        except CommandError as error:
            found = str(error)
        tail.close()
        return "\n".join(tail), found


def test_what_changes_something_leaves_a_line_in_the_log(registry):
    line = json.loads(said(registry, ROOT, "key set", {"jid": "x@a.example", "password": "hush"})[0])
    assert line["command"] == "key set" and line["by"] == "root" and line["via"] == "jabberctl"
    assert line["where"] == "process 7" and "x@a.example" in line["arguments"] and line["result"] == "done"
    assert "hush" not in str(line) and "***" in line["arguments"]
    assert said(registry, ROOT, "hosts list", {}) == ("", "['a.example', 'b.example', 'rooms.a.example']")


def test_what_failed_or_was_refused_leaves_a_line_too(registry):
    line = json.loads(said(registry, ROOT, "fail", {"how": "stanza", "host": "a.example"})[0])
    assert line["result"] == "no such pigeon"
    line = json.loads(said(registry, person("joe@a.example"), "hosts list", {})[0])
    assert line["by"] == "joe@a.example" and line["where"] == "192.0.2.1" and "may not run" in line["result"]
    line = json.loads(said(registry, ROOT, "key set", {"jid": "x@a.example", "password": 0})[0])
    assert "***" in line["arguments"] and "must be text" in line["result"]


def test_the_log_keeps_no_value_of_an_argument_that_there_is_not(registry):
    """It may be a password whose name is misspelt."""
    given = {"jid": "x@a.example", "passwd": "hunter2", "host": "a.example"}
    line = json.loads(said(registry, ROOT, "key set", given)[0])
    assert "hunter2" not in str(line) and "'passwd': '***'" in line["arguments"]
    assert "x@a.example" in line["arguments"] and "'host': 'a.example'" in line["arguments"]


def test_a_caller_who_goes_away_breaks_the_work_off_and_the_log_says_so(registry):
    with log.tail("info", "json") as tail:
        running = registry.run(ROOT, "work", {"host": "a.example", "steps": 5})
        assert next(running) == Progress(1, 5, "step")
        running.close()
        tail.close()
        assert json.loads("".join(tail))["result"] == "broken off"


@pytest.mark.parametrize(
    ("how", "kind", "sentence"),
    [("stanza", NoSuchThing, "no such pigeon"), ("value", WrongArgument, "too blue"), ("store", Failed, "the disk is full"),
     ("file", Failed, "/x: No such file"), ("refused", NotAllowed, "forbidden"), ("bug", Failed, "see the log: oops")],
)  # fmt: skip
def test_errors_are_typed(registry, how, kind, sentence):
    with pytest.raises(kind) as raised:
        outcome(registry.run(ROOT, "fail", {"how": how, "host": "a.example"}))
    assert sentence in str(raised.value) and type(raised.value) is kind


def test_a_name_that_is_nearly_right(registry):
    with pytest.raises(NoSuchThing, match="did you mean 'hosts list'"):
        outcome(registry.run(ROOT, "host list", {}))
    with pytest.raises(WrongArgument, match="did you mean 'count'"):
        outcome(registry.run(ROOT, "all kinds", GIVEN | {"cuont": 1}))


def test_progress_is_told_from_every_host(registry):
    items = list(registry.run(ROOT, "work", {"steps": 1}))
    assert items[:3] == [Progress(1, 1, "step")] * 3 and list(items[3].values()) == ["ready"] * 3
