"""Group chat (XEP-0045): a core that knows occupants, nicks, roles and affiliations, and one file for each feature."""
