"""Text and attributes as they stand in XML."""


def escape(text: str) -> str:
    """Text as it stands between tags."""
    if "&" in text:
        text = text.replace("&", "&amp;")
    if "<" in text:
        text = text.replace("<", "&lt;")
    if ">" in text:
        text = text.replace(">", "&gt;")
    return text.replace("\r", "&#13;") if "\r" in text else text


ATTRIBUTE = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&apos;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)


_pair, _glue = "='".join, "' ".join


def attributes(attrs: dict[str, str]) -> str:
    """`` a='1' b='2'``; a key ``{uri}name`` gets a prefix of its own."""
    flat = f" {_glue(map(_pair, attrs.items()))}'" if attrs else ""  # in C, all of it
    # nearly always nothing needs escaping; seven memchr calls are cheaper than looking at each value
    if (
        "&" not in flat
        and "<" not in flat
        and "{" not in flat
        and "\n" not in flat
        and "\t" not in flat
        and "\r" not in flat
        and flat.count("'") == 2 * len(attrs)
    ):
        return flat
    out = []
    for number, (key, value) in enumerate(attrs.items()):
        value = value.translate(ATTRIBUTE)
        if key[0] == "{":
            uri, name = key[1:].rsplit("}", 1)
            out.append(f" xmlns:a{number}='{uri.translate(ATTRIBUTE)}' a{number}:{name}='{value}'")
        else:
            out.append(f" {key}='{value}'")
    return "".join(out)
