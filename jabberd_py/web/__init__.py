"""Pages for people, in a browser: the console of administrators, one's own account, and what others register in `faces`."""
