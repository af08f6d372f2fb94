"""The Jabber session manager: a host with users, their accounts, sessions and delivery rules."""
