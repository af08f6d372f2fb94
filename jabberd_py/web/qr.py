"""QR codes as SVG in a page."""

from __future__ import annotations

from functools import lru_cache

import gevent
import segno
from markupsafe import Markup

LONGEST = 300
"""Bytes of a text for a QR code: a phone cannot read more from a screen, and the work grows with them."""


def svg(text: str, label: str = "QR code") -> Markup:
    """The picture; white around, since cameras need it. Empty: the text is too long. Blocks, since a thread draws it."""
    if len(text.encode()) > LONGEST:
        return Markup("")
    picture = gevent.get_hub().threadpool.apply(_drawn, (text,))
    return Markup('<div class="qr" role="img" aria-label="{}">{}</div>').format(label, Markup(picture))


@lru_cache(maxsize=100)
def _drawn(text: str) -> str:
    made = segno.make(text, error="m" if len(text) < 150 else "l", micro=False)
    return str(
        made.svg_inline(
            scale=4, border=4, dark="#000", light="#fff", omitsize=True, svgclass=None, lineclass=None
        )
    )
