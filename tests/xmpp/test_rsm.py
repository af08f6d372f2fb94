"""XEP-0059."""

import pytest

from jabberd_py.xmpp import rsm
from jabberd_py.xmpp.element import Element, from_text
from jabberd_py.xmpp.rsm import Page


def page(inner):
    return rsm.read(from_text(f"<query xmlns='some:search'><set xmlns='{rsm.NS}'>{inner}</set></query>"))


@pytest.mark.parametrize(
    ("inner", "wanted"),
    [
        ("", Page()),
        ("<max>10</max>", Page(10)),
        ("<max> 0\n</max>", Page(0)),
        ("<max>10</max><after>stpeter@jabber.org</after>", Page(10, after="stpeter@jabber.org")),
        ("<max>10</max><before>peter@pixyland.org</before>", Page(10, before="peter@pixyland.org")),
        ("<max>10</max><before/>", Page(10, before="")),
        ("<max>10</max><index>371</index>", Page(10, index=371)),
        ("<max xmlns='other'>junk</max>", Page()),
        ("<max>2147483647</max>", Page(2**31 - 1)),
        ("<max>9999999999</max>", Page(2**31 - 1)),
        (f"<max>{'9' * 5000}</max>", Page(2**31 - 1)),  # more digits than Python converts
        ("<max>00000000000000000000</max>", Page(0)),
    ],
)
def test_a_request(inner, wanted):
    assert page(inner) == wanted


@pytest.mark.parametrize(
    "inner",
    [
        "<max/>",
        "<max>-1</max>",
        "<max>1.5</max>",
        "<max>ten</max>",
        "<max>\u0661</max>",
        "<max>\u00b2</max>",
        "<index>x</index>",
        "<after/>",
        "<before/><after>x</after>",
        "<index>1</index><after>x</after>",
        f"<after>{'x' * 1025}</after>",
    ],
)
def test_junk(inner):
    with pytest.raises(ValueError):
        page(inner)


def test_a_request_without_pages():
    assert rsm.read(Element("query", "some:search")) is None


def test_limit():
    assert [p.limit(20, 50) for p in (Page(), Page(0), Page(30), Page(1000))] == [20, 0, 30, 50]


def test_an_answer():
    assert str(rsm.answer("a", "b", count=800, index=0)) == (
        f"<set xmlns='{rsm.NS}'><first index='0'>a</first><last>b</last><count>800</count></set>"
    )
    assert str(rsm.answer("a", "b")) == f"<set xmlns='{rsm.NS}'><first>a</first><last>b</last></set>"
    assert str(rsm.answer(count=0)) == f"<set xmlns='{rsm.NS}'><count>0</count></set>"
