"""QR codes as SVG in a page."""

from __future__ import annotations

import segno
from markupsafe import Markup

LONGEST = 1000
"""Characters of a text for a QR code: a phone cannot read more in one."""


def svg(text: str, label: str = "QR code") -> Markup:
    """The picture; white around, since cameras need it. Raises ValueError: too long."""
    if len(text) > LONGEST:
        raise ValueError("too long for a QR code")
    made = segno.make(text, error="m", micro=False)
    picture = made.svg_inline(
        scale=4, border=4, dark="#000", light="#fff", omitsize=True, svgclass=None, lineclass=None
    )
    return Markup('<div class="qr" role="img" aria-label="{}">{}</div>').format(label, Markup(picture))
