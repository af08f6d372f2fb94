"""Administration by any client: the commands of `commands.Registry` as ad-hoc commands (XEP-0050, XEP-0133) and over HTTP."""
