"""Preparation of the three parts of an address (RFC 7622), and of passwords (RFC 8265).

Every function returns the canonical text or raises ValueError; a canonical address prepares to itself. Plain
ASCII takes a regular expression, all else PRECIS and IDNA. Lengths are checked first, so that a hostile text
costs milliseconds at most.
"""

import re
import stringprep
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv6Address
from unicodedata import ucd_3_2_0

import idna
from precis_i18n import get_profile

from .protocols import RFC

PROTOCOLS = (RFC(4013, "SASLprep"), RFC(8265, "PRECIS: user names and passwords"))

MAX_BYTES = 1023  # of each part, RFC 7622 3.1
MAX_PASSWORD = 255  # bytes
_not_in_sasl = (
    stringprep.in_table_c12, stringprep.in_table_c21_c22, stringprep.in_table_c3, stringprep.in_table_c4,
    stringprep.in_table_c5, stringprep.in_table_c6, stringprep.in_table_c7, stringprep.in_table_c8,
    stringprep.in_table_c9,
)  # fmt: skip

_username = get_profile("UsernameCaseMapped")
_opaque = get_profile("OpaqueString")

_ascii_node = re.compile(r"[!#$%()*+,\-.0-9;=?A-Z\[\\\]^_`a-z{|}~]+").fullmatch  # without "&'/:<>@ and space
_not_in_node = re.compile(r"[\"&'/:<>@\s]").search
_ascii_printable = re.compile(r"[ -~]+").fullmatch
# Arabic digits and the Katakana middle dot: each makes PRECIS look at the whole text
_costly = re.compile("[\u0660-\u0669\u06f0-\u06f9\u30fb]").findall
MAX_COST = 4096  # such characters times all characters: a few milliseconds
_code_point = re.compile(r"U\+([0-9A-F]{4,6})").search
_LABEL = r"(?!..--)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"  # "xn--" and its kind are left to idna
_ascii_domain = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?").fullmatch


def nodeprep(text: str) -> str:
    """The local part of an address: a user's or a room's name (RFC 7622 3.3)."""
    _bound(text, "node")
    if _ascii_node(text):
        return text.lower()
    node = _stable(_username.enforce, text, "node")
    if wrong := _not_in_node(node):  # looked for afterwards: a full-width @ becomes a plain one
        raise ValueError(f"{wrong[0]!r} may not be in the node")
    return node


def resourceprep(text: str) -> str:
    """The resource of an address: a session's name or a nickname in a room (RFC 7622 3.4)."""
    _bound(text, "resource")
    return text if _ascii_printable(text) else _stable(_opaque.enforce, text, "resource")


def domainprep(text: str) -> str:
    """The domain of an address, with U-labels; IPv4 and [IPv6] are domains too (RFC 7622 3.2)."""
    _bound(text, "domain")
    if _ascii_domain(text):
        return text.lower().removesuffix(".")
    if text[0] == "[" and text[-1] == "]" and "%" not in text:
        return f"[{IPv6Address(text[1:-1])}]"
    return _bound(_stable(_idna, text, "domain"), "domain")


def passprep(text: str) -> str:
    """A password as it is hashed (RFC 8265 4.2); what PRECIS refuses is taken as it stands."""
    _bound(text, "password", MAX_PASSWORD)
    if _ascii_printable(text):
        return text
    try:
        return _opaque.enforce(text)
    except UnicodeError:
        return text


def strict_password(text: str) -> str:
    """A new password, as it stands. One is refused that no client could prepare: neither by PRECIS (RFC 8265 4.2) nor by
    SASLprep, which drops a soft hyphen, say. Raises ValueError, which does not repeat any of it."""
    _bound(text, "password", MAX_PASSWORD)
    if not _ascii_printable(text):
        try:
            _opaque.enforce(text)
        except UnicodeError:
            with suppress(ValueError):
                saslprep(text)
                return text
            raise ValueError("password has a character that passwords may not have (RFC 8265)") from None
    return text


def saslprep(text: str) -> str:
    """A password as older clients prepare it (RFC 4013, which stringprep's Unicode 3.2 belongs to). Characters that Unicode
    3.2 does not know pass (RFC 3454 section 7). Raises ValueError where clients would refuse the password."""
    mapped = "".join(
        " " if stringprep.in_table_c12(each) else each for each in text if not stringprep.in_table_b1(each)
    )
    done = ucd_3_2_0.normalize("NFKC", mapped)
    if not done or any(prohibited(each) for each in done for prohibited in _not_in_sasl):
        raise ValueError("this character may not be in a password")
    right_to_left = [stringprep.in_table_d1(each) for each in done]
    mixed = any(map(stringprep.in_table_d2, done)) or not (right_to_left[0] and right_to_left[-1])
    if any(right_to_left) and mixed:  # RFC 3454 section 6
        raise ValueError("a password does not mix both directions of writing")
    return done


def password_forms(text: str) -> list[str]:
    """All that clients make of one password before they hash it: by RFC 8265 (`passprep`), by RFC 4013 (`saslprep`), and
    nothing. One form, if it is printable ASCII. Raises ValueError as `passprep` does."""
    forms = [passprep(text)]
    if not _ascii_printable(text):
        with suppress(ValueError):
            forms.append(saslprep(text))
        forms.append(text)
    return list(dict.fromkeys(forms))


def _idna(text: str) -> str:
    return idna.decode(idna.encode(text, uts46=True)).removesuffix(".")


def _stable(prepare: Callable[[str], str], text: str, part: str) -> str:
    """`prepare(text)`, provided that preparing it again changes nothing: an address has one spelling."""
    if len(_costly(text)) * len(text) > MAX_COST:
        raise ValueError(f"{part} has too many Arabic digits or Katakana dots")
    try:
        done = prepare(text)
        again = prepare(done)
    except UnicodeError as error:
        raise ValueError(_reason(error, part)) from None
    if done != again:
        raise ValueError(f"{part} has no stable form")
    return _bound(done, part)


def _reason(error: UnicodeError, part: str) -> str:
    """Which character is wrong, where it is a single one; never the whole text, which may be long."""
    if isinstance(error, UnicodeEncodeError):
        if error.end - error.start == 1:
            return f"{error.object[error.start]!r} may not be in the {part}"
        return f"{part} not allowed: {error.reason}"
    if isinstance(error, idna.InvalidCodepoint) and (found := _code_point(str(error))):
        return f"{chr(int(found[1], 16))!r} may not be in the {part}"
    return f"{part} not allowed: {str(error)[:100]}"


def _bound(text: str, part: str, limit: int = MAX_BYTES) -> str:
    if not text:
        raise ValueError(f"{part} is empty")
    if len(text) > limit or not text.isascii() and len(text.encode("utf-8", "surrogatepass")) > limit:
        raise ValueError(f"{part} is longer than {limit} bytes")
    return text
