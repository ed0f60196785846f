"""The command line of ``python -m levada``, without argparse: it would cost a third of the time.

Its grammar is in docs/contracts.md, section 7.
"""

from __future__ import annotations

import json

from levada.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

MODES = ("decide", "items", "outputs", "check", "raise")
_REPEATED = (
    *("for", "where", "if", "path", "input", "output", "value", "check", "class", "argument"),
)
_SINGLE = (
    *("pipeline", "run-id", "node", "map-index", "attempt", "project", "store", "params"),
    *(
        "container",
        "settings",
        "code",
        "imports",
        "outputs",
        "result",
        "expression",
        "returns",
        "handled",
    ),
)
_FLAGS = ("ends-pod", "fail-items", "look-up", "stage")
_VARIABLES = {
    "run-id": "LEVADA_RUN_ID",
    "map-index": "LEVADA_MAP_INDEX",
    "attempt": "LEVADA_TRY",
    "params": "LEVADA_PARAMS",
    "store": "LEVADA_STORE",
    "project": "LEVADA_PROJECT",
}
_NEEDED = {
    "step": ("pipeline", "run-id", "node"),
    "decide": ("pipeline", "run-id", "node", "expression"),
    "items": ("pipeline", "run-id", "node"),
    "outputs": ("pipeline", "run-id"),
    "check": ("pipeline", "run-id", "node"),
    "raise": ("pipeline", "run-id", "node"),
}
USAGE = """\
usage: levada-step MODULE:FUNCTION --pipeline NAME --run-id ID --node NODE [--input NAME=EXPR]… …
       levada-step decide  --pipeline NAME --run-id ID --node NODE --expression EXPR …
       levada-step items   --pipeline NAME --run-id ID --node NODE --for "VAR in EXPR" …
       levada-step outputs --pipeline NAME --run-id ID --output NAME=EXPR… [--returns KIND] …
       levada-step check   --pipeline NAME --run-id ID --node NODE --check NAME… …
       levada-step raise   --pipeline NAME --run-id ID --node NODE --class NAME… [--argument EXPR]…
options: --value NAME=EXPR, --check NAME, --for "VAR in EXPR", --where EXPR, --if EXPR,
         --map-index I[.J…], --attempt N, --path DIR, --project DIR, --store URL, --params JSON,
         --settings JSON, --code DIGEST, --imports A,B, --outputs A,B, --result FILE,
         --container JSON, --stage, --look-up, --ends-pod, --fail-items"""


class LoopArguments:
    """One ``--for`` with the ``--where`` and ``--if`` that follow it."""

    __slots__ = ("items", "only", "target", "where")

    def __init__(self, text: str) -> None:
        self.target, found, self.items = text.partition(" in ")
        if not found or not self.items.strip():
            raise UsageError(f'--for wants "VARIABLE in EXPRESSION", not {text!r}')
        self.where: list[str] = []
        self.only: list[str] = []


class Arguments:
    """What the command line and the environment say.

    ``mode`` is ``step`` or one of MODES; ``module`` and ``function`` name the step. ``inputs``,
    ``results`` and ``definitions`` (of the names in expressions) map names to expressions;
    ``checks`` are names whose expressions have to be evaluated first. ``classes`` and
    ``raised_with`` are those of the exception to raise. With ``fail_items`` an error in an
    expression of ``items`` is the failure of that item alone. ``secrets`` are the variables of the
    secrets of all steps. With ``stage`` a container step's
    inputs are only handed to its program; with ``look_up`` besides, only if the cache does not have
    its outputs. With ``ends_pod`` an attempt that the cache answers ends with an exit code of its
    own, after which a pod starts no other container.
    """

    def __init__(self, words: Sequence[str], variables: Mapping[str, str]) -> None:
        """Read them. Raises UsageError."""
        self.loops: list[LoopArguments] = []
        self.paths: list[str] = []
        self.inputs: dict[str, str] = {}
        self.results: dict[str, str] = {}
        self.definitions: dict[str, str] = {}
        self.checks: list[str] = []
        self.classes: list[str] = []
        self.raised_with: list[str] = []
        self.fail_items = self.stage = self.look_up = self.ends_pod = False
        self._options: dict[str, str] = {}
        self._words = list(words)
        self._read_mode()
        while self._words:
            self._read_option()
        for name, variable in _VARIABLES.items():
            if variables.get(variable):
                self._options.setdefault(name, variables[variable])
        self._check()
        self.engine = _object(variables.get("LEVADA_ENGINE") or "{}", "LEVADA_ENGINE")
        self.source = variables.get("LEVADA_SOURCE") or None
        self.secrets = [word for word in (variables.get("LEVADA_SECRETS") or "").split(",") if word]

    def option(self, name: str) -> str | None:
        """Give the value of an option, None if neither it nor its variable is there."""
        return self._options.get(name)

    def needed(self, name: str) -> str:
        """Give the value of an option that the mode needs."""
        return self._options[name]

    def names(self, name: str) -> list[str] | None:
        """Give a list separated by commas, None if it is not given."""
        text = self._options.get(name)
        return None if text is None else [word for word in text.split(",") if word]

    def object(self, name: str) -> dict[str, Any] | None:
        """Give a JSON object, None if it is not given."""
        text = self._options.get(name)
        return None if text is None else _object(text, f"--{name}")

    @property
    def map_index(self) -> tuple[int, ...]:
        """The iteration of each loop, outermost first; empty for none."""
        text = self._options.get("map-index", "-1").strip()
        if text in ("", "-1", "None"):
            return ()
        parts = text.split(".")
        if not all(part.isascii() and part.isdigit() for part in parts):
            raise UsageError(f'--map-index wants numbers such as "2" or "0.1", not {text!r}')
        return tuple(map(int, parts))

    @property
    def attempt(self) -> int:
        """The number of the attempt, from 1."""
        text = self._options.get("attempt", "1")
        if not text.isascii() or not text.isdigit() or int(text) < 1:
            raise UsageError(f"--attempt wants a number from 1, not {text!r}")
        return int(text)

    def _read_mode(self) -> None:
        first = self._words.pop(0) if self._words else ""
        self.module = self.function = ""
        if first in MODES:
            self.mode = first
            return
        self.mode = "step"
        self.module, found, self.function = first.partition(":")
        if not found or not self.module or not self.function:
            raise UsageError(f"{first!r} is no step: write MODULE:FUNCTION" if first else USAGE)

    def _read_option(self) -> None:
        word = self._words.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or name not in (*_REPEATED, *_SINGLE, *_FLAGS):
            raise UsageError(f"{word!r} is no option of levada-step; see --help")
        if name in _FLAGS:
            setattr(self, name.replace("-", "_"), True)
            return
        if not equals:
            if not self._words:
                raise UsageError(f"--{name} wants a value")
            value = self._words.pop(0)
        self._take(name, value)

    def _take(self, name: str, value: str) -> None:
        if name == "for":
            self.loops.append(LoopArguments(value))
        elif name in ("where", "if"):
            if not self.loops:
                raise UsageError(f"--{name} belongs to the --for before it, but there is none")
            (self.loops[-1].where if name == "where" else self.loops[-1].only).append(value)
        elif name == "path":
            self.paths.append(value)
        elif name in ("input", "output", "value"):
            key, equals, text = value.partition("=")
            if not equals or not key:
                raise UsageError(f"--{name} wants NAME=EXPRESSION, not {value!r}")
            named = {"input": self.inputs, "output": self.results, "value": self.definitions}
            named[name][key] = text
        elif name in ("check", "class", "argument"):
            lists = {"check": self.checks, "class": self.classes, "argument": self.raised_with}
            lists[name].append(value)
        elif name in self._options:
            raise UsageError(f"--{name} is given twice")
        else:
            self._options[name] = value

    def _check(self) -> None:
        for name in _NEEDED[self.mode]:
            if not self._options.get(name):
                variable = _VARIABLES.get(name)
                hint = f" (or set {variable})" if variable else ""
                raise UsageError(f"--{name} is missing{hint}")
        if self.mode == "items" and not self.loops:
            raise UsageError("items wants at least one --for")
        wanted = 0 if self.mode in ("items", "outputs") else len(self.loops)
        if wanted and len(self.map_index) != wanted:
            raise UsageError(
                f"--map-index wants {wanted} number{'s' if wanted > 1 else ''}, one for each --for"
            )
        _ = self.attempt


def _object(text: str, name: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{name} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise UsageError(f"{name} wants a JSON object, not {text[:80]}")
    return found
