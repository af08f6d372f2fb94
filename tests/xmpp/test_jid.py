"""Addresses: RFC 7622, the examples of its section 3.5 and hostile texts."""

import contextlib
import copy
import pickle
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jabberd_py.xmpp import jid, prep

ASCII = "".join(map(chr, range(0x20, 0x7F)))


@pytest.mark.parametrize(
    ("text", "node", "domain", "resource"),
    [
        ("juliet@example.com", "juliet", "example.com", None),
        ("juliet@example.com/foo", "juliet", "example.com", "foo"),
        ("juliet@example.com/foo bar", "juliet", "example.com", "foo bar"),
        ("juliet@example.com/foo@bar", "juliet", "example.com", "foo@bar"),
        ("foo\\20bar@example.com", "foo\\20bar", "example.com", None),
        ("fussball@example.com", "fussball", "example.com", None),
        ("fu\xdfball@example.com", "fu\xdfball", "example.com", None),
        ("π@example.com", "π", "example.com", None),
        ("Σ@example.com/foo", "σ", "example.com", "foo"),
        ("king@example.com/♚", "king", "example.com", "♚"),
        ("example.com", None, "example.com", None),
        ("example.com/foobar", None, "example.com", "foobar"),
        ("a.example.com/b@example.net", None, "a.example.com", "b@example.net"),
        ("Romeo@Montague.NET./Orchard", "romeo", "montague.net", "Orchard"),
        ("romeo@Stra\xdfe.example", "romeo", "stra\xdfe.example", None),
        ("romeo@xn--strae-oqa.example", "romeo", "stra\xdfe.example", None),
        ("romeo@b\xfccher。example.", "romeo", "b\xfccher.example", None),
        ("romeo@127.0.0.1", "romeo", "127.0.0.1", None),
        ("romeo@[::0:1]/x", "romeo", "[::1]", "x"),
        ("Ｒomeo@example.com", "romeo", "example.com", None),
        ("a@b/ ", "a", "b", " "),
        ("a@b/c/d", "a", "b", "c/d"),
        ("a@b/e\u0301", "a", "b", "\xe9"),
    ],
)
def test_parts(text, node, domain, resource):
    address = jid.parse(text)
    assert (address.node, address.domain, address.resource) == (node, domain, resource)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "@",
        '"juliet"@example.com',
        "foo bar@example.com",
        "juliet@example.com/",
        "@example.com",
        "@example.com/x",
        "/foobar",
        "henry\u2163@example.com",
        "♚@example.com",
        "juliet@",
        "a@b@c",
        "a@b@c/d",
        "juliet＠x@example.com",
        "a@.",
        "a@b..",
        "a@b..c",
        "a@-b",
        "a@b-",
        "a@b c",
        "a@" + "x" * 64,
        "a@xn--a",
        "a@xn--strae-oqa-.example",
        "a@☃.net",
        "a@[::1",
        "a@[fe80::1%eth0]",
        "a@[127.0.0.1]",
        "a@b/\n",
        "a@b\n",
        "a\n@b",
        "a@b/\x00",
        "a@b/\ud800",
        "\ud800@b",
        "a@\ud800",
        "<a>@b",
    ],
)
def test_not_an_address(text):
    with pytest.raises(ValueError):
        jid.parse(text)


@pytest.mark.parametrize("character", ASCII)
def test_ascii_in_each_part_is_as_precis_says(character):
    """The fast path and the profile agree on every printable ASCII character."""
    allowed = character not in "\"&'/:<>@ "
    for text, fails in ((f"a{character}b", not allowed), (f"\xe9{character}b", not allowed)):
        if fails:
            with pytest.raises(ValueError):
                prep.nodeprep(text)
        else:
            assert prep.nodeprep(text) == text.lower()
    assert prep.resourceprep(f"\xe9{character}") == f"\xe9{character}"
    assert prep.resourceprep(character) == character


@pytest.mark.parametrize("prepare", [prep.nodeprep, prep.resourceprep])
def test_a_part_has_at_most_1023_bytes(prepare):
    assert prepare("x" * 1023) == "x" * 1023
    assert prepare("\xe9" * 511) == "\xe9" * 511
    for text in ("x" * 1024, "\xe9" * 512):
        with pytest.raises(ValueError, match="1023"):
            prepare(text)


def test_the_longest_address_there_is():
    domain = ".".join(["d" * 63] * 16)[:1023]
    text = f"{'n' * 1023}@{domain}/{'r' * 1023}"
    assert str(jid.parse(text)) == text
    with pytest.raises(ValueError):
        jid.parse(text + "r")


def test_characters_that_are_costly_to_check_are_bounded():
    for name in ("\u06f4" * 64, "\u30a2" * 200 + "\u30fb\u30a2" * 9):
        assert prep.nodeprep(name) == name
    for name in ("\u06f4" * 65, "\u30a2" * 200 + "\u30fb\u30a2" * 20):
        with pytest.raises(ValueError, match="too many"):
            prep.nodeprep(name)


def test_preparation_may_not_grow_past_the_limit():
    text = "\u0390" * 511  # lower case already, NFC, two bytes each
    assert prep.nodeprep(text) == text
    with pytest.raises(ValueError):
        prep.nodeprep("\u0130" * 500)  # becomes an i and a combining dot: three bytes for two


def test_bare_and_resource():
    full = jid.parse("romeo@example.net/orchard")
    assert full.bare == jid.parse("romeo@example.net")
    assert full.bare.bare is full.bare
    assert full.bare is jid.parse("romeo@example.net/balcony").bare
    other = full.with_resource("balcony")
    assert str(other) == "romeo@example.net/balcony" and other.bare is full.bare
    with pytest.raises(ValueError):
        full.with_resource("")


def test_equal_by_parts_never_to_a_str():
    one = jid.parse("Romeo@example.net/a")
    assert one == jid.parse("romeo@EXAMPLE.net/a") and hash(one) == hash(jid.parse("romeo@EXAMPLE.net/a"))
    assert one != jid.parse("romeo@example.net/A")
    assert one != "romeo@example.net/a"
    assert {one: 1}.get(jid.parse("romeo@example.net/a")) == 1


def test_a_jid_does_not_change():
    address = jid.parse("romeo@example.net/a")
    with pytest.raises(AttributeError):
        address.node = "juliet"
    with pytest.raises(AttributeError):
        del address.node
    assert copy.deepcopy(address) == address and pickle.loads(pickle.dumps(address)) == address


def test_hot_addresses_come_from_the_cache_and_long_ones_do_not_fill_it():
    assert jid.parse("hot@example.net/a") is jid.parse("hot@example.net/a")
    long = "a@b/" + "x" * 1000
    assert jid.parse(long) == jid.parse(long) and jid.parse(long) is not jid.parse(long)


@pytest.mark.parametrize(
    "unit", ["\xe9", "\u05d0", "\u093c", "\u0301", "\u3002", "\u0130", "xn--", "a.", "\ufdfa", "\u06f4"]
)
def test_hostile_addresses_take_little_time(unit):
    texts = [pattern.format(unit * (1020 // len(unit))) for pattern in ("{}@b", "a@{}", "a@b/{}")] + [
        unit * 1_000_000
    ]
    begin = time.process_time()
    for text in texts:
        with contextlib.suppress(ValueError):
            jid.parse(text)
    assert time.process_time() - begin < 0.1  # seconds, for four addresses


anything = st.one_of(
    st.text(max_size=40),
    st.builds(
        "{}@{}/{}".format,
        st.text(min_size=1, max_size=9),
        st.text(min_size=1, max_size=9),
        st.text(min_size=1, max_size=9),
    ),
)


@given(anything)
def test_parse_is_the_identity_on_what_it_made(text):
    try:
        address = jid.parse(text)
    except ValueError:
        return
    again = jid.parse(str(address))
    assert again == address and (again.node, again.domain, again.resource) == (
        address.node,
        address.domain,
        address.resource,
    )


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_prepared_parts_prepare_to_themselves(text):
    for prepare in (prep.nodeprep, prep.resourceprep, prep.domainprep):
        try:
            done = prepare(text)
        except ValueError:
            continue
        assert prepare(done) == done


@given(st.text(min_size=1, max_size=255))
def test_a_password_is_prepared_or_taken_as_it_stands_or_too_long(text):
    if len(text.encode("utf-8", "surrogatepass")) > prep.MAX_PASSWORD:
        with pytest.raises(ValueError):
            prep.passprep(text)
    else:
        assert prep.passprep(text)


def test_a_password_by_precis():
    assert prep.passprep("pass\u00a0w\u0065\u0301rd") == "pass w\u00e9rd"
    assert prep.passprep("tab\tinside") == "tab\tinside"  # refused by the profile
    with pytest.raises(ValueError):
        prep.passprep("")


def test_a_domain_can_stand_in_an_attribute_as_it_is():
    """Stream headers count on it. Whatever a compatibility form may become: it is no quote, bracket or space."""
    for code in [*range(0x20, 0x3000), *range(0xFE00, 0x10000)]:
        with contextlib.suppress(ValueError):
            assert not set("'\"<>&= \t\r\n/@") & set(prep.domainprep(f"a{chr(code)}b.example")), hex(code)
