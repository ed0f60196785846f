"""The module `levada_airflow_<digest>.py`, which has the operators of the DAGs in its folder.

Its name has the digest of its text: DAGs that different versions of Levada have compiled may be in
one folder. Airflow reads the module as it reads every Python file there, and finds no DAG in it.
"""

from __future__ import annotations

from levada.hashing import sha256

from . import operators
from .imports import import_from, imports
from .source_text import Text, call, docstring, statement

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from .operators import Catalog

#: In front of the digest in the name of a module.
PREFIX = "levada_airflow_"

#: How an operator knows whether it runs in Airflow 2.
IS_2 = 'IS_2 = BaseOperator.__module__.startswith("airflow.models")'

_BIND = '''
def bind(*operators, **constants):
    """Give each of these operators the constants of one DAG."""
    constants = {"__module__": __name__, "VALUES": {}, **constants}
    return [type(one)(one.__name__, (one,), constants) for one in operators]
'''

_ABOUT = """The operators of DAGs that Levada has compiled: each runs `python -m levada` for a task.

Made by Levada; compile the pipelines again, rather than change this file.
Source: {digest}"""


def module(executors: Collection[str], catalog: Catalog, airflow: int | None) -> tuple[str, str]:
    """Return the name and the text of the module with the operators for these executors.

    Whatever a pipeline with these executors may need is in it, so that pipelines share it.
    """
    wanted = [*operators.operators(executors), "callback", "announce", "in_order"]
    wanted += ["missed"] if airflow != 3 else []
    wanted += ["sla"] if airflow is None else []
    pieces = catalog.closure(wanted)
    words = {name for piece in pieces for name in piece.imports}
    lines = [*imports(words, airflow), "", *([IS_2] if airflow is None else [])]
    lines += operators.lines([*pieces, operators.Piece(_BIND)], in_module=True)
    text = "\n".join(lines) + "\n"
    digest = sha256(text.encode()).hexdigest()
    about = "\n".join(docstring(_ABOUT.format(digest=f"sha256:{digest}"), 0))
    return PREFIX + digest[:8], f"{about}\n\n{text}"


def import_lines(module: str, names: Iterable[str]) -> list[str]:
    """Return the lines that import these names of a module beside the file."""
    wanted = sorted([*names, "bind"])  # classes before functions, as isort has them
    lines = import_from(module, wanted)
    about = "# What the operators do is in a module beside this file."
    return [about, "sys.path.append(str(Path(__file__).parent))", "", *lines]


def binding(names: Iterable[str], constants: Iterable[str]) -> list[str]:
    """Return the lines that give the constants of a DAG file to the operators of a module."""
    bound = sorted(filter(operators.runs_command, names))
    keywords: dict[str, Text] = {name: name for name in constants}
    value = call("bind", *bound, **keywords)
    comma = "," * (len(bound) == 1)
    return ["", *statement(f"{', '.join(bound)}{comma} = ", value, "", 0)]
