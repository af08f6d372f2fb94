"""A small, fast XMPP server in the shape of jabberd 1.x, on greenlets."""

__version__ = "0.1.0"
