"""One key of the configuration changes; every other byte of the file stays."""

from pathlib import Path

import pytest
import yaml

from jabberd_py.config import sample
from jabberd_py.config.write import get_key, rename_key, set_key, unset_key
from jabberd_py.options import options_of
from jabberd_py.schema import schema

SCHEMA = schema()
SAMPLE = sample(SCHEMA)


def changes(before: str, after: str) -> tuple[list[str], list[str]]:
    """(lines that are gone, lines that have come)"""
    old, new = before.splitlines(), after.splitlines()
    return [line for line in old if line not in new], [line for line in new if line not in old]


def every_path() -> list[tuple[str, ...]]:
    places = {(): SCHEMA.top, **{(name,): each for name, each in SCHEMA.sections.items()}}
    places |= {("modules", name): each for name, each in SCHEMA.modules.items()}
    places |= {("hosts", "localhost"): SCHEMA.host}
    for name, service in SCHEMA.services.items():
        places[("services", name)] = service
        for own, module in service.own_modules().items():
            places[("services", name, "modules", own)] = module
    return [(*place, name) for place, owner in places.items() for name in options_of(owner)]


def test_every_option_of_the_sample_is_set_below_its_own_comment_and_goes_without_a_trace() -> None:
    lines = SAMPLE.split("\n")
    for path in every_path()[::9]:  # all would take a minute; they differ in nothing
        after = set_key(SAMPLE, path, "a: b, # c")
        assert get_key(after, path) == "a: b, # c"
        new = after.split("\n")
        at = next(n for n, line in enumerate(new) if n >= len(lines) or line != lines[n])
        assert new[at].strip() == f"{path[-1]}: 'a: b, # c'"
        assert new[at - 1].startswith(new[at].partition(path[-1])[0] + f"#{path[-1]}:"), path
        assert new[:at] + new[at + 1 :] == lines
        assert unset_key(after, path) == SAMPLE


BRACES = "c2s:   {port:   5222 ,  address: [ '::' ]}   # braces"
WILD = """\
# mine
c2s:   {port:   5222 ,  address: [ '::' ]}   # braces

s2s:
    enabled:    yes      # four columns
    "ca":  'a.pem'
modules:
    mam: yes   # short
    echo:
hosts:
    a.org:   # the first
        admins:
        - romeo@a.org   # me
        - juliet@a.org  # you

  # astray
    b.org: ~
http:
    url: |
        https://example.org

log: {
  level: info,   # quiet
  format: text
}
"""


@pytest.mark.parametrize(
    ("path", "value", "gone", "come"),
    [
        ("c2s.port", 5, BRACES, BRACES.replace("5222", "5")),
        ("c2s.address", ["::1"], BRACES, BRACES.replace("[ '::' ]", "['::1']")),
        ("c2s.motd", "a, b", BRACES, BRACES.replace("}", ", motd: 'a, b'}")),
        ("s2s.enabled", False, "    enabled:    yes      # four columns", "    enabled:    false      # four columns"),
        ("s2s.ca", None, "    \"ca\":  'a.pem'", '    "ca":  null'),
        ("modules.mam.limit", 3, "    mam: yes   # short", "    mam: {enabled: yes, limit: 3}   # short"),
        ("modules.mam.enabled", False, "    mam: yes   # short", "    mam: false   # short"),
        ("modules.echo.enabled", True, "", "        enabled: true"),
        ("modules.ping.enabled", True, "", "    ping:\n        enabled: true"),
        ("hosts.a.org.admins", ["juliet@a.org", "nurse@a.org"], "        - romeo@a.org   # me", "        - nurse@a.org"),
        ("hosts.b.org.admins", ["x@b.org"], "    b.org: ~", "    b.org: \n        admins: ['x@b.org']"),
        ("log.level", "debug", "  level: info,   # quiet", "  level: debug,   # quiet"),
        ("http.url", "http://x", "    url: |\n        https://example.org", "    url: http://x"),
        ("data", "/x", "", "data: /x"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("eol", ["\n", "\r\n"])
def test_a_file_of_somebody_else(path: str, value: object, gone: str, come: str, eol: str) -> None:
    words = path.replace("a.org", "a_org").replace("b.org", "b_org").split(".")
    where = tuple(word.replace("_org", ".org") for word in words)
    text = "\ufeff" + WILD.replace("\n", eol)
    after = set_key(text, where, value)
    assert after.startswith("\ufeff") and after.count("\n") == after.count(eol)
    found = changes(text, after)
    dumped = [line.replace("'", "") for line in found[1]]
    assert found[0] == gone.splitlines()
    assert dumped == come.replace("'", "").splitlines()


def test_a_key_goes() -> None:
    for path, gone in (
        (("c2s", "port"), "{port:   5222 ,  "), (("c2s", "address"), " ,  address: [ '::' ]"),
        (("s2s", "enabled"), "enabled:    yes      "), (("http", "url"), "    url: |\n        https://example.org\n"),
        (("hosts", "b.org"), "    b.org: ~\n"), (("modules", "mam"), "mam: yes   "),
    ):  # fmt: skip
        after = unset_key(WILD, path)
        assert get_key(after, path) is None
        assert len(WILD) - len(after) == len(gone.replace("{", ""))
    assert unset_key(WILD, ("nothing", "there")) == WILD


def test_comments_stay_whatever_happens_to_a_list() -> None:
    text = "admins:\n# the first\n- a@x  # me\n# the second\n- b@x  # you\nport: 1\n"
    assert set_key(text, ("admins",), ["c@x", "b@x", "a@x"]) == (
        "admins:\n# the first\n- c@x\n# the second\n- b@x  # you\n- a@x  # me\nport: 1\n"
    )
    assert (
        set_key(text, ("admins",), ["b@x"]) == "admins:\n# the first\n# the second\n- b@x  # you\nport: 1\n"
    )
    flow = "invites: {per_day: 9,  # flow\n  # mid\n  enabled: yes}  # end\n"
    assert unset_key(flow, ("invites", "per_day")) == "invites: {  # flow\n  # mid\n  enabled: yes}  # end\n"
    assert unset_key("a: 1\nb: 2  # two\n", ("b",)) == "a: 1\n# two\n"


def test_lists_of_hosts_become_mappings() -> None:
    assert set_key("hosts: [a.org, b.org]  # x\n", ("hosts", "b.org", "admins"), ["r@b.org"]) == (
        "hosts: {a.org: , b.org: {admins: [r@b.org]}}  # x\n"
    )
    assert set_key("hosts:\n- a.org  # x\n- b.org\n", ("hosts", "b.org", "admins"), ["r@b.org"]) == (
        "hosts:\n  a.org:  # x\n  b.org:\n    admins: [r@b.org]\n"
    )


def test_a_host_gets_another_name() -> None:
    after = rename_key(SAMPLE, ("hosts", "localhost"), "example.org")
    assert changes(SAMPLE, after) == (["  localhost:"], ["  example.org:"])
    with pytest.raises(ValueError, match="there already"):
        rename_key("hosts: {a: , b: }", ("hosts", "a"), "b")


def test_an_empty_file_and_one_of_comments() -> None:
    assert set_key("", ("c2s", "port"), 1) == "c2s:\n  port: 1\n"
    assert set_key("# only words", ("c2s", "port"), 1) == "# only words\nc2s:\n  port: 1\n"
    assert (
        set_key('{"c2s": {"port": 0}}', ("log", "level"), "info")
        == '{"c2s": {"port": 0}, "log": {"level": "info"}}'
    )


@pytest.mark.parametrize("text", ["a: &x {b: 1}\nc: *x\n", "a: &x\n  b: 1\nc: *x\n"])
def test_what_is_written_once_and_meant_twice_is_not_changed(text: str) -> None:
    with pytest.raises(ValueError, match=r"a\.b: the file is written in a way"):
        set_key(text, ("a", "b"), 2)


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "\tx"])
def test_what_is_no_yaml_is_not_changed(text: str) -> None:
    with pytest.raises(ValueError, match="not YAML"):
        set_key(text, ("a", "b"), 2)


NASTY = ["no", "0123", "12:30", "~", "x: y", "- a", "# c", "'", '"', "{", "a, b]", " lead", "two\nlines", "\u2028",
         "é😀", "\\n", "!tag", "*x", "%", "@", "`"]  # fmt: skip


@pytest.mark.parametrize("value", NASTY)
def test_every_text_comes_back(value: str, tmp_path: Path) -> None:
    for before in ("", "a: {b: 1}\n", "a:\n  b: 1 # c\n"):
        for given, wanted in ((value, value), ([value, "x"], [value, "x"]), ({value: value}, {value: value})):
            after = set_key(before, ("a", "b"), given)
            assert yaml.load(after, Loader=yaml.BaseLoader) == {"a": {"b": wanted}}
