"""XEP-0004 and XEP-0068."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jabberd_py.xmpp import forms
from jabberd_py.xmpp.element import Element, from_text
from jabberd_py.xmpp.forms import Form


def x(inner, type="submit"):
    return from_text(f"<x xmlns='jabber:x:data' type='{type}'>{inner}</x>")


def test_a_form_as_it_is_written():
    form = (
        Form("form", title="Bot", instructions="Fill me in!", form_type="jabber:bot")
        .field(None, "fixed", value="Section 1")
        .field("public", "boolean", "Public?", False, required=True)
        .field("limit", "text-single", value=20, desc="How many")
        .field("features", "list-multi", "What", ["news", "search"], [("news", "News"), ("search", "Search")])
        .field("empty", "jid-multi")
    )
    assert str(form.element()) == (
        "<x xmlns='jabber:x:data' type='form'><title>Bot</title><instructions>Fill me in!</instructions>"
        "<field var='FORM_TYPE' type='hidden'><value>jabber:bot</value></field>"
        "<field type='fixed'><value>Section 1</value></field>"
        "<field var='public' type='boolean' label='Public?'><value>0</value><required/></field>"
        "<field var='limit' type='text-single'><value>20</value><desc>How many</desc></field>"
        "<field var='features' type='list-multi' label='What'><value>news</value><value>search</value>"
        "<option label='News'><value>news</value></option>"
        "<option label='Search'><value>search</value></option>"
        "</field><field var='empty' type='jid-multi'/></x>"
    )


def test_results_in_a_table():
    rows = [{"name": "Comune di Verona", "url": "http://www.comune.verona.it/"}, {"name": "Tourism"}]
    form = Form("result").table([("name", "Name"), ("url", "URL")], rows)
    assert str(form.element()) == (
        "<x xmlns='jabber:x:data' type='result'>"
        "<reported><field var='name' label='Name'/><field var='url' label='URL'/></reported>"
        "<item><field var='name'><value>Comune di Verona</value></field>"
        "<field var='url'><value>http://www.comune.verona.it/</value></field></item>"
        "<item><field var='name'><value>Tourism</value></field><field var='url'/></item></x>"
    )


def test_read():
    form = x(
        "<field var='FORM_TYPE' type='hidden'><value>jabber:bot</value></field>"
        "<field type='fixed'><value>Section</value></field>"
        "<field var='lines'><value>one</value><value>two</value><value/></field>"
        "<field var='none'/><field var='other' xmlns='other'><value>x</value></field>"
    )
    expected = {"FORM_TYPE": ["jabber:bot"], "lines": ["one", "two", ""], "none": []}
    assert forms.read(form) == forms.read(form, "jabber:bot") == expected
    assert forms.read(x("", "cancel")) == {}


@pytest.mark.parametrize(
    "form",
    [
        Element("x", "jabber:x:oob", type="submit"),
        Element("y", forms.NS, type="submit"),
        Element("x", forms.NS),
        x("", "junk"),
        x("<field var='a'/><field var='a'/>"),
        x("".join(f"<field var='{n}'/>" for n in range(forms.MAX_FIELDS + 1))),
        x("<field var='a'>" + "<value/>" * (forms.MAX_VALUES + 1) + "</field>"),
    ],
)
def test_not_a_form(form):
    with pytest.raises(ValueError):
        forms.read(form)


@pytest.mark.parametrize(
    "value", ["", "<value/>", "<value>jabber:other</value>", "<value>jabber:bot</value><value/>"]
)
def test_a_form_of_another_kind(value):
    for inner in ("", f"<field var='FORM_TYPE'>{value}</field>"):
        with pytest.raises(ValueError, match="FORM_TYPE"):
            forms.read(x(inner), "jabber:bot")


def test_booleans():
    assert [forms.boolean([text]) for text in ("1", "true", "0", "false")] == [True, True, False, False]
    for values in ([], [""], ["TRUE"], ["yes"], ["1", "1"]):
        with pytest.raises(ValueError):
            forms.boolean(values)


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20)


@given(st.dictionaries(texts, st.lists(texts, max_size=5), max_size=10))
def test_what_is_written_is_read(values):
    form = Form("submit")
    for var, value in values.items():
        form.field(var, value=value)
    assert forms.read(form.element()) == values
    sent = str(form.element())
    if not any(ord(c) in (0xFFFE, 0xFFFF) for c in sent):
        assert forms.read(from_text(sent)) == values
