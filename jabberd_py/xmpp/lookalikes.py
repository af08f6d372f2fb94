"""Names that people take for one another."""

from __future__ import annotations

import unicodedata

_LOOKALIKES = str.maketrans(
    "аеорсухіјѕԁһӏԛԝвкмнт"
    "αβγεηικμνορτυχζ"
    "օսոհցյզ"
    "ıɑɡɩʟᴀʙᴄᴅᴇɢʜɪᴊᴋᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ",
    "aeopcyxijsdhlqwbkmht"
    "abyenikmvoptuxz"
    "ounhgjq"
    "iagilabcdeghijkmnoprstuvwyz",
)  # fmt: skip
"""Letters of Cyrillic, Greek and Armenian, small capitals, and the Latin letters that they look like."""
_ALIKE = str.maketrans("i1|0", "lllo", "\u2800")
"""Letters and digits that look alike in one case or the other, I and l above all; and a blank that is no space."""
_PAIRS = (("rn", "m"), ("vv", "w"))


def skeleton(name: str) -> str:
    """What names have in common that people take for the same: case, width, spaces, letters of other scripts that look alike
    (XEP-0045 section 13.7, mimicking)."""
    folded = unicodedata.normalize("NFKC", name).casefold().translate(_LOOKALIKES).translate(_ALIKE)
    shape, before = "", ""
    for each in folded:
        category = unicodedata.category(each)
        # a mark that NFKC has not joined to its letter stands on none of its usual ones; scripts of Asia need theirs
        if (
            not each.isspace()
            and category not in ("Cf", "Cc")
            and not (category == "Mn" and before < "\u0530")
        ):
            shape += each
            before = each
    for pair, single in _PAIRS:
        shape = shape.replace(pair, single)
    return name if shape == name else shape  # one text is kept, not two
