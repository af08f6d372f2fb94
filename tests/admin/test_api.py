"""The JSON API below /api/v1."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.admin.conftest import BOSS
from tests.admin.dialogue import fields, run, send, status, submit
from tests.client import Client
from tests.conftest import Place
from tests.http.web import Answer, Web
from tests.server import ServerProcess

pytestmark = pytest.mark.topology("one host")
BASE = "/api/v1"


class Program:
    """Uses the API with a token."""

    def __init__(self, web: Web, token: str | None) -> None:
        self.web, self.token = web, token

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        if self.token is not None:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        if body is not None:
            headers.setdefault("Content_Type", "application/json")
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = self.web.request(method, BASE + path, body, **headers)
        if answer.status >= 400:
            assert answer.headers["content-type"] == "application/problem+json", answer
            problem = json.loads(answer.body)
            assert (
                problem["status"] == answer.status and problem["title"] and problem["type"] == "about:blank"
            )
        return answer

    def get(self, path: str) -> Any:
        answer = self.ask("GET", path)
        assert answer.status == 200, answer
        return json.loads(answer.body)["result"]


def made(server: ServerProcess, jid: str, *options: str) -> str:
    token: str = json.loads(server.ctl("tokens", "add", jid, *options, "--json"))["token"]
    return token


@pytest.fixture(scope="module")
def boss_token(admin_server: ServerProcess) -> str:
    return made(admin_server, BOSS, "--scopes", "*")


@pytest.fixture
def api(web: Callable[..., Web], boss_token: str, place: Place) -> Program:
    return Program(web(), boss_token)


@pytest.fixture
def plain(web: Callable[..., Web], place: Place, user: Client) -> Program:
    """A program of somebody who administers nothing."""
    answer = send(user, "tokens add", submit({"jid": user.bare, "scopes": "*"}))
    return Program(web(), fields(answer)["token"][0])


def test_accounts_are_resources(api: Program, place: Place) -> None:
    path = "/accounts/resource@localhost"
    first = api.ask("PUT", path, {"password": "first-secret"})
    assert first.status == 201 and json.loads(first.body) == {"result": {"jid": "resource@localhost"}}
    assert api.ask("PUT", path, {"password": "second-secret"}, If_None_Match="*").status == 412
    assert (
        api.ask("PUT", path, {"password": "second-secret"}).status == 200
    )  # again: the same account, that password
    assert api.ask("PUT", path, {"password": "second-secret"}).status == 200
    Client(place.server.address("c2s"), "localhost").login("resource", "second-secret").close()
    assert api.get(path)["jid"] == "resource@localhost"
    assert api.ask("HEAD", path).status == 200
    assert "resource@localhost" in {row["jid"] for row in api.get("/accounts?limit=1000")}
    assert api.ask("POST", "/accounts/disable", {"jid": "resource@localhost"}).status == 200
    assert api.get(path)["disabled"] is True
    assert [api.ask("DELETE", path).status for _ in range(2)] == [200, 404]
    assert api.ask("GET", path).status == 404


def test_a_path_is_decoded_once(api: Program) -> None:
    """An address with a percent sign in it is not somebody else's."""
    names = ["ab@localhost", "a%62@localhost"]
    for jid in names:
        path = f"/accounts/{quote(jid, safe='')}"
        made = api.ask("PUT", path, {"password": "secret-secret"})
        assert made.status == 201 and json.loads(made.body)["result"]["jid"] == jid
    assert api.ask("POST", "/messages/send", {"jid": names[1], "to": names[1], "body": "x"}).status == 200
    first = json.loads(api.ask("GET", f"/archive/{quote(names[1])}?limit=1").body)
    second = json.loads(api.ask("GET", first["next"].removeprefix(BASE)).body)
    assert first["total"] == second["total"] >= 2  # the other account has the welcome only
    assert api.ask("DELETE", f"/accounts/{quote(names[1])}").status == 200
    assert api.get("/accounts/ab@localhost")["jid"] == "ab@localhost"


def test_errors_are_problem_details(api: Program) -> None:
    for method, path, body, wanted in (
        ("GET", "/dance", None, 404), ("GET", "/accounts/", None, 404), ("POST", "/stats", {}, 405),
        ("GET", "/accounts/nobody@localhost", None, 404), ("GET", "/accounts/a%20b@localhost", None, 400),
        ("GET", "/accounts/x@elsewhere.example", None, 404), ("GET", "/accounts?state=dancing", None, 400),
        ("GET", "/accounts?dance=1", None, 400), ("GET", "/accounts?limit=0", None, 400),
        ("GET", "/accounts?limit=x", None, 400),
        ("GET", "/accounts?cursor=-1", None, 400), ("GET", "/accounts?first=1&first=2", None, 400),
        ("GET", "/accounts?x=%ff", None, 400), ("PUT", "/accounts/y@localhost", {}, 400),
        ("PUT", "/accounts/y@localhost", {"password": 7}, 400), ("PUT", "/accounts/y@localhost", {"jid": "z@localhost"}, 400),
        ("PUT", "/accounts/y@localhost", b"[1]", 400), ("PUT", "/accounts/y@localhost", b"{", 400),
        ("PUT", "/accounts/y@localhost", b'{"password": "\\ud800"}', 400), ("PUT", "/motd", {"text": "\x00"}, 400),
        ("PUT", "/accounts/y@localhost", b"[" * 60000, 400), ("PUT", "/accounts/y@localhost", b'{"a":' * 10000, 400),
        ("PUT", "/accounts/y@localhost", b"1" * 5000, 400), ("PUT", "/accounts/y@localhost", b'{"password": NaN}', 400),
        ("PUT", "/accounts/y@localhost", b"\xff\xfe", 400), ("POST", "/announce?text=x", {"text": "x"}, 400),
        ("DELETE", "/accounts/boss@localhost", None, 403), ("GET", "/check/federation?domain=localhost", None, 404),
    ):  # fmt: skip
        answer = api.ask(method, path, body)
        assert answer.status == wanted, (method, path, answer)
    assert api.ask("PUT", "/accounts/y@localhost", b"a=b", Content_Type="text/plain").status == 415
    wrong = json.loads(api.ask("GET", "/accounts?first=many").body)
    assert wrong["argument"] == "first" and wrong["kind"] == "wrong argument"
    assert api.ask("POST", "/stats", {}).headers["allow"] == "GET"


def test_a_body_is_bounded(web: Callable[..., Web], boss_token: str) -> None:
    answer = Program(web(), boss_token).ask("PUT", "/motd", b'{"text": "' + b"x" * 70_000 + b'"}')
    assert answer.status == 413


def test_long_lists_come_in_pages(api: Program) -> None:
    for number in range(5):
        api.ask("PUT", f"/accounts/page{number}@localhost", {"password": "secret-secret"})
    path, found = "/accounts?limit=2", []
    while path:
        answer = json.loads(api.ask("GET", path.removeprefix(BASE)).body)
        assert 0 < len(answer["result"]) <= 2
        found += [row["jid"] for row in answer["result"]]
        path = answer["next"]
    assert len(found) == len(set(found)) == answer["total"]
    assert {f"page{number}@localhost" for number in range(5)} <= set(found)


def test_without_a_right_token_nothing_is_told(
    web: Callable[..., Web], boss_token: str, api: Program
) -> None:
    document = json.loads(api.ask("GET", "/openapi.json").body)
    paths = [(method.upper(), path.replace("{", "x").replace("}", "@localhost"))
             for path, methods in document["paths"].items() for method in methods]  # fmt: skip
    stranger = Program(web(), None)
    for method, path in [
        *paths,
        ("GET", "/openapi.json"),
        ("GET", ""),
        ("GET", "/dance"),
        ("POST", "/accounts"),
    ]:
        answer = stranger.ask(method, path)
        assert answer.status == 401 and answer.headers["www-authenticate"].startswith("Bearer"), (
            method,
            path,
            answer,
        )
    half, upper = boss_token[:-1], boss_token.upper()
    for text in (f"Bearer {half}", f"Basic {boss_token}", "Bearer ", "Bearer é", f"Bearer {upper}"):
        assert stranger.ask("GET", "/stats", Authorization=text).status == 401
    assert stranger.ask("GET", "/stats", Authorization=f"bearer {boss_token}").status == 200


def test_wrong_tokens_are_few_and_right_ones_are_heard(web: Callable[..., Web], api: Program) -> None:
    guesser = Program(web("http"), "jabberd_0123456789abcdef_guess")
    tries = [guesser.ask("GET", "/stats", X_Forwarded_For="192.0.2.7") for _ in range(14)]
    assert [each.status for each in tries] == [401] * 12 + [429] * 2 and tries[-1].headers["retry-after"]
    again = Program(web("http"), api.token)
    assert again.ask("GET", "/stats", X_Forwarded_For="192.0.2.7").status == 200


def test_no_token_travels_in_the_clear(web: Callable[..., Web], boss_token: str) -> None:
    program = Program(web("http"), boss_token)
    answer = program.ask("GET", "/stats", X_Forwarded_For="192.0.2.7", X_Forwarded_Proto="http")
    assert answer.status == 403


def test_a_plain_user_is_refused_on_every_route_of_administrators(
    plain: Program, api: Program, user: Client
) -> None:
    mine = json.loads(plain.ask("GET", "/openapi.json").body)["paths"]
    every = json.loads(api.ask("GET", "/openapi.json").body)["paths"]
    values = {"jid": "boss@localhost", "room": "a@conference.localhost", "node": "a", "password": "secret-secret",
              "owner": "boss@localhost", "to": "boss@localhost", "text": "x", "jids": "x.example", "body": "x",
              "nick": "x", "affiliation": "none", "setting": "x", "value": "x", "id": "x", "domain": "x.example",
              "address": "x.example"}  # fmt: skip
    walked = 0
    for path, methods in every.items():
        for method, operation in methods.items():
            if operation["operationId"] in {
                each["operationId"] for some in mine.values() for each in some.values()
            }:
                continue
            body = (
                operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            )
            for name, value in values.items():
                path = path.replace(f"{{{name}}}", quote(value))
            query = "&".join(f"{each['name']}={quote(values.get(each['name'], 'x'))}" for each in operation["parameters"]
                             if each["in"] == "query" and each.get("required"))  # fmt: skip
            given = None if body is None else {name: values.get(name, "x") for name in body["required"]}
            answer = plain.ask(method.upper(), f"{path}?{query}" if query else path, given)
            assert answer.status == 403, (method, path, answer)
            walked += 1
    assert walked > 30
    for path in ("/sessions/boss@localhost", "/archive/boss@localhost", "/pep?jid=boss@localhost", "/tokens"):
        assert plain.ask("GET", path).status == 403, path
    assert [row["jid"] for row in plain.get(f"/sessions/{user.bare}")] == [user.jid]


def test_scopes_bound_a_token(web: Callable[..., Web], place: Place) -> None:
    def program(scopes: str) -> Program:
        return Program(web(), made(place.server, BOSS, "--scopes", scopes))

    reader, rooms = program("*:read"), program("rooms accounts:read")
    assert reader.ask("GET", "/accounts").status == 200
    assert reader.ask("PUT", "/accounts/z@localhost", {"password": "secret-secret"}).status == 403
    assert reader.ask("GET", "/tokens").status == reader.ask("GET", f"/archive/{BOSS}").status == 403
    assert rooms.ask("GET", "/rooms").status == rooms.ask("GET", "/accounts").status == 200
    assert (
        rooms.ask("POST", "/accounts/disable", {"jid": BOSS}).status
        == rooms.ask("GET", "/stats").status
        == 403
    )
    assert rooms.ask("POST", "/tokens", {"jid": BOSS, "scopes": "*"}).status == 403
    for wrong in ("dance", "accounts:write", "", "*:read:read"):
        place.server.ctl("tokens", "add", BOSS, "--scopes", wrong, code=1)


def test_a_token_with_some_scopes_does_not_become_one_with_all(
    web: Callable[..., Web], place: Place, account: Any
) -> None:
    """Who sets the password of an administrator, or names one, can log in and do everything."""
    mine, other = account("helper", place).bare, account("nobody", place).bare

    def tried(token: str, *run: Any) -> int:
        return Program(web(), token).ask(*run).status

    some = made(place.server, BOSS, "--scopes", "accounts admins *:read")
    password = {"password": "another-secret"}
    for who in (BOSS, "Boss@LOCALHOST"):
        assert tried(some, "PUT", f"/accounts/{who}", password) == 403
        assert tried(some, "POST", "/accounts/passwd", {"jid": who, **password}) == 403
        assert tried(some, "DELETE", f"/accounts/{who}") == 403
    assert tried(some, "PUT", "/admins", {"jids": f"{BOSS}\n{mine}"}) == 403
    assert tried(some, "GET", "/admins") == tried(some, "PUT", f"/accounts/{other}", password) == 200
    assert (
        tried(some, "DELETE", "/accounts/..x") == tried(some, "POST", "/accounts/passwd", {"jid": 7}) == 400
    )
    assert tried(some, "POST", "/accounts/passwd", password) == 400
    both = made(place.server, BOSS, "--scopes", "accounts config totp invites")
    assert tried(both, "POST", "/accounts/reset", {"jid": BOSS}) == 403
    assert tried(both, "POST", "/accounts/reset", {"jid": other}) == 200
    changes = json.dumps({"hosts.localhost.admins": [BOSS, mine]})
    assert tried(both, "POST", "/config/apply", {"changes": changes}) == 403
    assert tried(both, "POST", "/config/undo", {}) == tried(both, "DELETE", f"/totp/{BOSS}") == 403
    assert tried(both, "POST", "/invites", {"name": "x" + other.partition("@")[0], "host": "localhost"}) in (
        200,
        201,
    )
    own = made(place.server, mine, "--scopes", "accounts")
    assert tried(own, "POST", "/accounts/passwd", {"jid": mine, **password}) == 403
    whole = made(place.server, mine, "--scopes", "*")
    assert tried(whole, "POST", "/accounts/passwd", {"jid": mine, **password}) == 200
    Client(place.server.address("c2s"), "localhost").login("boss", "secret").close()


def test_a_token_ends_when_it_is_removed_or_old_or_its_account_cannot_log_in(
    web: Callable[..., Web], place: Place, account: Any
) -> None:
    who = account("maker", place)
    ctl = place.server.ctl
    token = made(place.server, who.bare, "--note", "cron")
    program = Program(web(), token)
    assert program.ask("GET", f"/sessions/{who.bare}").status == 200
    ctl("accounts", "disable", who.bare)
    assert program.ask("GET", f"/sessions/{who.bare}").status == 401
    ctl("accounts", "enable", who.bare)
    assert program.ask("GET", f"/sessions/{who.bare}").status == 200
    (row,) = json.loads(ctl("tokens", "list", "--jid", who.bare, "--json"))
    assert row["note"] == "cron" and token.split("_")[1] == row["id"] and token not in json.dumps(row)
    ctl("tokens", "remove", who.bare, row["id"])
    assert Program(web(), token).ask("GET", f"/sessions/{who.bare}").status == 401
    assert "no such token" in ctl("tokens", "remove", who.bare, row["id"], code=1)
    data = b"".join(each.read_bytes() for each in place.server.data.glob("jabberd.sqlite*"))
    assert token.encode() not in data and token.split("_", 2)[2].encode() not in data


def test_messages_are_sent_and_read_as_json(plain: Program, user: Client, boss: Client) -> None:
    sent = plain.ask("POST", "/messages/send", {"jid": user.bare, "to": boss.bare, "body": "a < b"})
    assert sent.status == 200
    boss.gets(f"<message from='{user.bare}' type='chat'><body>a &lt; b</body></message>")
    stanza = {
        "@type": "normal",
        "subject": "News",
        "body": "Verona",
        "x": {"@xmlns": "urn:example", "y": ["1", "2"]},
    }
    assert (
        plain.ask("POST", "/messages/send", {"jid": user.bare, "to": boss.bare, "stanza": stanza}).status
        == 200
    )
    boss.gets(
        f"<message from='{user.bare}' type='normal'><body>Verona</body><subject>News</subject>"
        "<x xmlns='urn:example'><y>1</y><y>2</y></x></message>"
    )
    kept = plain.get(f"/archive/{user.bare}?peer={boss.bare}")
    assert [each["stanza"]["message"]["body"] for each in kept] == ["a < b", "Verona"]
    assert kept[1]["stanza"]["message"]["x"]["y"] == ["1", "2"]
    before = plain.get(f"/archive/{user.bare}?last=1&before={kept[1]['id']}")
    assert [each["id"] for each in before] == [kept[0]["id"]]
    for wrong in ({"@from": BOSS, "body": "x"}, {"@to": "x@y", "body": "x"}, {"!DOCTYPE x": "x"}, {"a><b": "x"}, {"": "x"}, [],
                  "{", {"@type": "error"}, {"@xmlns": "urn:example"},
                  {"body": {"#text": 1, "@x": None}, "?x": "y", "-": 1}):  # fmt: skip
        answer = plain.ask("POST", "/messages/send", {"jid": user.bare, "to": boss.bare, "stanza": wrong})
        assert answer.status == 400, (wrong, answer)
    assert plain.ask("POST", "/messages/send", {"jid": boss.bare, "to": user.bare, "body": "x"}).status == 403
    boss.sync()
    assert "Verona" not in boss.account.place.server.tail()


def audit(server: ServerProcess, start: int) -> list[dict[str, str]]:
    """The lines of the log about commands, taken apart."""
    lines = (line for line in server.tail(start).splitlines() if "via=" in line)
    return [
        dict(part.split("=", 1) for part in line.split(" ") if "=" in part) | {"line": line} for line in lines
    ]


def test_one_command_is_the_same_through_all_faces(
    api: Program, boss: Client, place: Place, account: Any
) -> None:
    server, who = place.server, account("same", place)

    def arguments(line: str) -> str:
        return line.partition("arguments=")[2].partition(" result=")[0]

    start = server.log.stat().st_size
    server.ctl("accounts", "disable", who.bare)
    assert status(run(boss, "accounts disable", {"jid": who.bare})) == "completed"
    assert json.loads(api.ask("POST", "/accounts/disable", {"jid": who.bare}).body) == {"result": None}
    found = [each for each in audit(server, start) if "disable" in each["line"]]
    assert [each["via"] for each in found] == ["jabberctl", "ad-hoc", "http"]
    assert len({arguments(each["line"]) for each in found}) == 1 and {each["result"] for each in found} == {
        "done"
    }
    assert [each["by"] for each in found[1:]] == [boss.jid, BOSS]
    by_ctl = json.loads(server.ctl("accounts", "show", who.bare, "--json"))
    by_form, by_web = fields(run(boss, "accounts show", {"jid": who.bare})), api.get(f"/accounts/{who.bare}")
    assert by_ctl == by_web and set(by_form) == set(by_ctl)
    assert by_form["created"] == [by_ctl["created"]] and by_form["disabled"] == ["1"]


def examples(schema: dict[str, Any]) -> Iterator[Any]:
    """Right, wrong and hostile values."""
    yield from schema.get("enum", ())
    yield from (
        "boss@localhost",
        "a@conference.localhost",
        "",
        "x" * 1000,
        "\u202e\x85",
        "1",
        "-1",
        "true",
        "10s",
        "..x",
        "é/;'\"<",
    )
    yield from ("é/;'\"<", 0, -1, 10**30, 1.5, True, None, [], {}, {"body": "x"})


def test_whatever_a_program_sends_the_answer_is_one_of_those_in_the_document(
    web: Callable[..., Web], boss_token: str, api: Program
) -> None:
    """Each route with each kind of value in each argument, one after the other."""
    document = json.loads(api.ask("GET", "/openapi.json").body)
    assert document["openapi"] == "3.1.0"
    names = set()
    program = Program(web(), boss_token)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            names.add(operation["operationId"])
            if operation["operationId"] in ("stop", "restart", "reload", "accounts_delete", "admins_set", "blacklist_set",
                                            "blacklist_add", "whitelist_set", "tokens_remove", "accounts_disable",
                                            "accounts_suspend",
                                            "accounts_kick", "accounts_passwd", "check", "status", "accounts_add", "check_dns",
                                            "check_federation", "check_ports"):  # fmt: skip
                continue  # other tests ask them; these would end this one
            body = (
                operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            )
            arguments = {each["name"]: each for each in operation["parameters"]}
            for value in list(examples({})):
                text = quote(str(value), safe="")
                there = path
                for name, each in arguments.items():
                    if each["in"] == "path":
                        there = there.replace(f"{{{name}}}", text)
                query = "&".join(
                    f"{name}={text}" for name, each in arguments.items() if each["in"] == "query"
                )
                given = None if body is None else dict.fromkeys(body["properties"], value)
                answer = program.ask(method.upper(), f"{there}?{query}" if query else there, given)
                assert str(answer.status) in operation["responses"] and answer.status != 500, (
                    method,
                    there,
                    value,
                    answer,
                )
    assert [api.ask("DELETE", path).status for path in ("/motd", "/welcome")] == [200, 200]
    assert {"accounts_list", "rooms_create", "messages_send", "tokens_add"} <= names and len(names) > 50
