"""XMPP as pure values: addresses, elements, errors, forms; no I/O here."""
