"""Why an expression has no value while compiling, and what to write instead."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from typing import Final

    from . import modules as m


class NotConstantError(Exception):
    """An expression has no value before the run.

    ``rule`` is the diagnostic it deserves, ``help`` what to write instead. ``stopped`` is the
    place within a function of the project that could not be evaluated, with what is wrong there.
    """

    def __init__(
        self,
        node: ast.AST,
        why: str,
        rule: str = "not-constant",
        module: m.Module | None = None,
        *,
        help: str = "",  # noqa: A002
        stopped: tuple[m.Module, ast.AST, str] | None = None,
    ) -> None:
        super().__init__(why)
        self.node = node
        self.why = why
        self.rule = rule
        self.module = module
        self.help = help
        self.stopped = stopped


_FILES: Final = (
    "reads a file, and only YAML, JSON, TOML and text are read while compiling",
    "read it in a step; `yaml.safe_load(open(…))`, `json.load(open(…))` and "
    '`tomllib.load(open(…, "rb"))` can be constants',
)
_CLOCK: Final = (
    "gives another time in each run, and a constant is the same in all of them",
    "call it in the pipeline, where it is taken once a run, or make it a parameter of the pipeline",
)
_CHANCE: Final = (
    "gives another value each time, and a constant is the same in all runs",
    "make it in a step, or make a seed a parameter of the pipeline",
)
_MACHINE: Final = (
    "depends on the machine that compiles",
    "call it in a step, or make the value a parameter of the pipeline",
)
_PLACE: Final = (
    "is where the module lies on the machine that compiles",
    'write the path as it is in the project: `Path("data")`',
)
_CALLBACK: Final = (
    "calls a function that would have to be run",
    "write a comprehension: `[f(x) for x in xs if x]`",
)
_DEFAULTS: Final = (
    "makes values when they are asked for, and a dict of a pipeline does not",
    "start with `d = {}`, and write `d.setdefault(key, []).append(x)` or `d.get(key, 0)`",
)
_DYNAMIC: Final = ("is not available while compiling", "write the value, or make it in a step")
_PATTERN: Final = (
    "is not available while compiling, since a pattern can take any time",
    "use methods of texts (`split`, `replace`, `removeprefix`), or do it in a step",
)
_OUTPUT: Final = ("is done for its effect, and nothing is run while compiling", "call it in a step")
_LOG: Final = (
    "is done for its effect, and nothing is run while compiling",
    "log in a step: what a step logs is in its log",
)
#: By the qualified name of what is used, or a beginning of it with `.` or `_` at its end: what is
#: wrong, and a way out.
_REFUSALS: Final = {
    **dict.fromkeys(
        (
            "builtins.open",
            "configparser.",
            "importlib.resources.",
            "io.open",
            "json.load",
            "numpy.load",
            "omegaconf.OmegaConf.load",
            "pandas.read_",
            "polars.read_",
            "pickle.load",
            "tomllib.load",
            "yaml.full_load",
            "yaml.load",
            "yaml.safe_load",
            "toml.load",
            "joblib.load",
            "torch.load",
        ),
        _FILES,
    ),
    **dict.fromkeys(
        (
            "datetime.datetime.now",
            "datetime.datetime.today",
            "datetime.datetime.utcnow",
            "datetime.date.today",
            "time.",
            "pendulum.now",
            "pandas.Timestamp.now",
            "pandas.Timestamp.today",
        ),
        _CLOCK,
    ),
    **dict.fromkeys(
        ("random.", "secrets.", "numpy.random.", "os.urandom", "uuid.uuid1", "uuid.uuid4"),
        _CHANCE,
    ),
    **dict.fromkeys(
        (
            "builtins.input",
            "getpass.",
            "os.",
            "pathlib.Path.cwd",
            "pathlib.Path.home",
            "platform.",
            "shutil.",
            "socket.",
            "sys.",
            "tempfile.",
            "subprocess.",
        ),
        _MACHINE,
    ),
    **dict.fromkeys(("builtins.print", "warnings."), _OUTPUT),
    **dict.fromkeys(("logging.", "loguru.", "structlog."), _LOG),
    "builtins.__file__": _PLACE,
    "collections.defaultdict": _DEFAULTS,
    **dict.fromkeys(("builtins.filter", "builtins.map", "functools.reduce"), _CALLBACK),
    **dict.fromkeys(("builtins.eval", "builtins.exec", "builtins.type"), _DYNAMIC),
    **dict.fromkeys(("re.", "regex."), _PATTERN),
}
_ENVIRONMENT: Final = ("os.environ", "os.environb", "os.getenv")


def reads_environment(qualified: str) -> bool:
    """Whether a name of ``os`` is about the variables of the environment."""
    return any(qualified == name or qualified.startswith(f"{name}.") for name in _ENVIRONMENT)


def refusal(qualified: str) -> tuple[str, str] | None:
    """Return why something cannot be called while compiling, and what to write instead."""
    for name, found in _REFUSALS.items():
        if qualified == name or (name.endswith((".", "_")) and qualified.startswith(name)):
            return found
    return None
