"""XEP-0114: Jabber Component Protocol: external services, each answering for a domain of its own."""
