"""The usual publish: one item with one payload, written as most clients write it.

It is read by one expression, and no tree is made of it. That, and what is remembered of publish options (clients send the same
ones each time), makes such a publish a fifth of what the general way costs with options. Any other request is read as a tree
(`verbatim`), with the same result; what is wrong with a request is found there.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from ..xmpp import forms
from ..xmpp.element import Element, from_text
from .names import NS, PUBLISH_OPTIONS

Values = dict[str, list[str]]
"""What a form says: field -> texts."""
NOTHING: Values = {}
_PUBSUB = re.escape(NS.encode())
_expression = re.compile(
    rb"""<pubsub xmlns=(['"])%b\1><publish node=(['"])([^'"&<>\s]++)\2><item id=(['"])([^'"&<>\s]++)\4>"""
    rb"""(<([^\s/>:"'=&]++) xmlns=(?:'[^'"&<>\s]++'|"[^'"&<>\s]++")(?: [^<>'"/]++(?:'[^'<>]*+'|"[^"<>]*+"))*+>.*</\7>)"""
    rb"""</item></publish></pubsub>""" % _PUBSUB,
    re.DOTALL,
).fullmatch
_BEGIN, _END = b"<publish-options>", b"</publish-options></pubsub>"
LONG = 2048
"""Bytes of publish options; longer ones are not remembered."""


class Usual(NamedTuple):
    """``payload``: the whole element, which means the same wherever it stands. Nobody changes the ``options``; the same ones
    are the same object, mostly."""

    node: str
    item: str
    payload: bytes
    options: Values


def read(request: Element) -> Usual | None:
    """The publish, if it is a usual one. Quick."""
    inner = request._inner
    if inner is None or request.attrs.get("type") != "set":
        return None
    options: Values | None = NOTHING
    if inner.endswith(_END):
        begin = inner.rfind(_BEGIN)
        if begin < 0 or len(inner) - begin > LONG:
            return None
        options = _options(inner[begin:])
        inner = inner[:begin] + b"</pubsub>"
    match = _expression(inner)
    if match is None or options is None:
        return None
    _, _, node, _, item, payload, name = match.groups()
    if payload.count(b"<" + name) > 1:
        return None  # perhaps two payloads
    return Usual(node.decode(), item.decode(), payload, options)


@lru_cache(256)
def _options(text: bytes) -> Values | None:
    """The fields of <publish-options/>, with which a request ends; None: it has to be read as a tree."""
    if text.count(b"]]>") or text.count(b"publish-options>") != 2:
        return None  # a CDATA section, perhaps: then not all that looks like a tag is one
    try:
        options = from_text(f"<pubsub xmlns='{NS}'>".encode() + text).payload
        form = None if options is None else options.child("x", forms.NS)
        return None if form is None else fields(form, PUBLISH_OPTIONS)
    except ValueError:
        return None


def fields(form: Element, form_type: str) -> Values:
    """What a form says. A client that submits one says of which kind it is. Raises ValueError."""
    values = forms.read(form, form_type if form.type == "submit" else None)
    values.pop("FORM_TYPE", None)
    return values
