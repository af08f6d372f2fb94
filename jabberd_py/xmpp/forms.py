"""Data forms (XEP-0004), with the kind of form in FORM_TYPE (XEP-0068)."""

from collections.abc import Iterable

from .element import Element
from .protocols import XEP

PROTOCOLS = (
    XEP(4, "2.13.2", "Data Forms"),
    XEP(68, "1.3.0", "Field Standardization for Data Forms"),
    XEP(122, "1.0.2", "Data Forms Validation", missing="datatypes and ranges of numbers only"),
)

NS = "jabber:x:data"
VALIDATE = "http://jabber.org/protocol/xdata-validate"
MAX_FIELDS = 200
MAX_VALUES = 2000  # of all fields together; a text-multi has one for each line

Value = str | int | bool | Iterable[str] | None
"""A boolean becomes "1" or "0"; None is a field without a value, an iterable has one value for each text."""


class Form:
    """A form in the making: `Form("form", title="Search").field("user", label="Name").element()`."""

    def __init__(
        self,
        type: str = "form",
        title: str | None = None,
        instructions: str | None = None,
        form_type: str | None = None,
    ) -> None:
        """`type` is "form", "submit", "result" or "cancel"."""
        self._x = Element("x", NS, type=type)
        for name, text in (("title", title), ("instructions", instructions)):
            if text is not None:
                self._x.append(Element(name, NS, text))
        if form_type is not None:
            self.field("FORM_TYPE", "hidden", value=form_type)

    def field(
        self,
        var: str | None,
        type: str | None = None,
        label: str | None = None,
        value: Value = None,
        options: Iterable[tuple[str, str]] = (),
        required: bool = False,
        desc: str | None = None,
        range: tuple[int, int] | None = None,
        datatype: str | None = None,
    ) -> "Form":
        """Add a field; `options` are (value, label) pairs. `range`: the least and the most that a whole number may be;
        `datatype`: what kind of text it is (XEP-0122). Returns the form itself."""
        field = Element("field", NS, *_values(value), var=var, type=type, label=label)
        if range is not None:
            bounds = Element("range", VALIDATE, min=str(range[0]), max=str(range[1]))
            field.append(Element("validate", VALIDATE, bounds, datatype="xs:integer"))
        elif datatype is not None:
            field.append(Element("validate", VALIDATE, Element("basic", VALIDATE), datatype=datatype))
        if desc is not None:
            field.append(Element("desc", NS, desc))
        if required:
            field.append(Element("required", NS))
        for choice, text in options:
            field.append(Element("option", NS, Element("value", NS, choice), label=text))
        self._x.append(field)
        return self

    def table(self, columns: Iterable[tuple[str, str]], rows: Iterable[dict[str, Value]]) -> "Form":
        """Add results: (var, label) of each column, and rows by var (3.4). Returns the form itself."""
        head = [Element("field", NS, var=var, label=label) for var, label in columns]
        self._x.append(Element("reported", NS, *head))
        for row in rows:
            cells = [
                Element("field", NS, *_values(row.get(field.attrs["var"])), var=field.attrs["var"])
                for field in head
            ]
            self._x.append(Element("item", NS, *cells))
        return self

    def element(self) -> Element:
        """<x/>, done."""
        return self._x


def read(x: Element, form_type: str | None = None) -> dict[str, list[str]]:
    """The values of each field of a form, as they were sent; fields without a `var` are left out.

    ValueError if it is no form, not of that FORM_TYPE, too long, or names a field twice.
    """
    if (x.name, x.ns) != ("x", NS) or x.type not in ("form", "submit", "result", "cancel"):
        raise ValueError("not a data form")
    values: dict[str, list[str]] = {}
    total = 0
    for field in x.all("field", NS):
        var = field.attrs.get("var")
        if var is None:
            continue
        if var in values:
            raise ValueError(f"field {var} is there twice")
        values[var] = [value.text for value in field.all("value", NS)]
        total += len(values[var])
        if len(values) > MAX_FIELDS or total > MAX_VALUES:
            raise ValueError("too many fields or values")
    if form_type is not None and values.get("FORM_TYPE") != [form_type]:
        raise ValueError(f"FORM_TYPE is not {form_type}")
    return values


def boolean(values: list[str]) -> bool:
    """What a boolean field says; ValueError if it says something else (XEP-0004 3.3)."""
    try:
        (value,) = values
        return {"1": True, "true": True, "0": False, "false": False}[value]
    except (KeyError, ValueError):
        raise ValueError("not a boolean") from None


def _values(value: Value) -> list[Element]:
    if value is None:
        return []
    if isinstance(value, bool):
        value = "1" if value else "0"
    texts = [str(value)] if isinstance(value, str | int) else value
    return [Element("value", NS, text) for text in texts]
