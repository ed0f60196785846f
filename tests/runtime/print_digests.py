"""Print what every function of every module below a folder reaches. Run by many Pythons."""

import re
import sys
from pathlib import Path

from levada import project
from levada.code import Code

root = Path(sys.argv[1])
for path in sorted(root.rglob("*.py")):
    code = Code(project.find(str(path)))
    for name in re.findall(r"^(?:async )?def (\w+)", path.read_text(), re.MULTILINE):
        found = code.step(str(path), name)
        print(path.relative_to(root), name, found.digest, found.imports, found.files)
