"""Install the servers: `python -m tests.engines.object_stores install`."""

import sys

from . import programs

if sys.argv[1:] != ["install"]:
    sys.exit(f"usage: {programs.INSTALL}")
programs.install()
