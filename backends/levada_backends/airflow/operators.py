"""The source of the small operators at the top of a generated file, and which kinds need which."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_COMMAND = '''
def xcom_of(result):
    """JSON text as a value, without the few things that Airflow's database does not take."""
    text = json.dumps(json.loads(result), ensure_ascii=False).replace("\\\\u0000", "\\\\ufffd")
    text = text.encode("utf-8", "replace").decode()
    return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < 19 else digits)


class Command(BaseOperator):
    """Runs `python -m levada` in a process of its own; nothing passes through a shell.

    Its result is JSON in a file; all that it prints is in the task's log.
    """

    template_fields = ("env",)

    def __init__(self, arguments, node=None, loops=(), item=None, **kwargs):
        super().__init__(**kwargs)
        self.arguments = arguments
        self.node = node
        self.loops = loops
        self.item = item
        self.env = ENVIRONMENT

    def command(self):
        command = [PYTHON, "-m", "levada", *self.arguments, "--pipeline", PIPELINE]
        command += ["--node", self.node or self.task_id]
        for folder in SOURCES:
            command += ["--path", folder]
        for clause in self.loops:  # "for d in params.depths" is --for "d in params.depths"
            word, text = clause.split(" ", 1)
            command += [f"--{word}", text]
        if self.item is not None:
            command += ["--map-index", self.item["index"]]
        return command

    def execute(self, context):
        self.process = SubprocessHook()
        env = {**os.environ, **self.env}
        with TemporaryDirectory() as folder:
            result = Path(folder, "result.json")
            command = [*self.command(), "--result", str(result)]
            code = self.process.run_command(command, env=env, cwd=PROJECT).exit_code
            if code == 65:  # it would fail again
                raise AirflowFailException("a permanent error: see the log above")
            if code != 0:
                raise AirflowException(f"exit code {code}: see the log above")
            return xcom_of(result.read_text(encoding="utf-8"))

    def on_kill(self):
        self.process.send_sigterm()
'''

_STEP = '''
class Step(Command):
    """Calls a step's function with its inputs, each an expression over what there is so far."""

    def __init__(self, step, code, inputs=None, outputs=(), settings=None, **kwargs):
        arguments = [step, "--code", code]  # a difference is a warning
        for name, text in (inputs or {}).items():
            arguments += ["--input", f"{name}={text}"]
        if outputs:
            arguments += ["--outputs", ",".join(outputs)]
        if settings:
            arguments += ["--settings", json.dumps(settings)]
        super().__init__(arguments=arguments, **kwargs)
'''

_ITEMS = '''
class Items(Command):
    """Lists what the mapped tasks below it run for: `{"index": "0", "label": "d=4"}` each.

    With `fail_items`, an error in an expression is the failure of that item alone.
    """

    def __init__(self, fail_items=False, **kwargs):
        arguments = ["items", "--fail-items"] if fail_items else ["items"]
        super().__init__(arguments=arguments, **kwargs)
'''

_BRANCH = '''
class Branch(Command, BranchMixIn):
    """Decides a condition exactly as Python would, and skips the side that is not taken."""

    inherits_from_skipmixin = True

    def __init__(self, condition, then=(), otherwise=(), **kwargs):
        super().__init__(arguments=["decide", "--expression", condition], **kwargs)
        self.then = then
        self.otherwise = otherwise

    def execute(self, context):
        taken = super().execute(context)
        skipped = self.otherwise if taken else self.then
        self.do_branch(context, sorted(self.downstream_task_ids - set(skipped)))
        return taken
'''

_OUTPUTS = '''
class Outputs(Command):
    """Records what the pipeline returns, and that the run is over."""

    def __init__(self, outputs, is_tuple=False, **kwargs):
        arguments = ["outputs"]
        for name, text in outputs.items():
            arguments += ["--output", f"{name}={text}"]
        super().__init__(arguments=[*arguments, *(["--tuple"] if is_tuple else [])], **kwargs)
'''

_REACHED = '''
def states_of(body, context):
    """The states of these tasks in this run; an error if the run did not get to them."""
    run = context["dag_run"]
    if hasattr(run, "get_task_instances"):  # Airflow 2
        states = {ti.state for ti in run.get_task_instances() if ti.task_id in body}
    else:
        found = context["ti"].get_task_states(run.dag_id, task_ids=body, run_ids=[run.run_id])
        states = set(found.get(run.run_id, {}).values())
    if "upstream_failed" in states and not states & {"failed", "success"}:
        raise AirflowFailException("not reached: something before it failed")
    return states
'''

_EXCEPT = '''
class Except(BaseOperator, BranchMixIn):
    """Waits for the end of a `try`; goes on to the handler only if a task of it failed."""

    inherits_from_skipmixin = True

    def __init__(self, body, then=(), **kwargs):
        super().__init__(trigger_rule="all_done", **kwargs)
        self.body = body
        self.then = then

    def execute(self, context):
        states = states_of(self.body, context)
        if "upstream_failed" in states and "failed" not in states:
            raise AirflowFailException("something before the try failed")
        skipped = [] if "failed" in states else self.then
        self.do_branch(context, sorted(self.downstream_task_ids - set(skipped)))
        return "failed" in states
'''

_FINALLY = '''
class Finally(BaseOperator):
    """Waits for the end of a `try`, however it ended; what follows it always runs."""

    def __init__(self, body, **kwargs):
        super().__init__(trigger_rule="all_done", **kwargs)
        self.body = body

    def execute(self, context):
        states_of(self.body, context)
'''

_ITEMS_AFTER = '''
class ItemsAfter(Items):
    """Lists items once these tasks are over, however they ended, for each item by itself.

    The lists that these went over, the tasks in `lists`, must be there.
    With `always`, even if something before them has cut them off half-way.
    """

    def __init__(self, body, lists=(), always=False, **kwargs):
        super().__init__(trigger_rule="all_done", **kwargs)
        self.body = body
        self.lists = lists
        self.always = always

    def execute(self, context):
        if states_of(self.lists, context) & {"failed", "upstream_failed"}:
            raise AirflowFailException("no list of items: see the logs of these tasks")
        states = states_of(self.body, context)
        if "upstream_failed" in states and "failed" not in states and not self.always:
            raise AirflowFailException("something before the try failed")
        return super().execute(context)
'''

#: kind of task -> the operator that it is, and the pieces of source that this needs
KINDS = {
    "step": ("Step", (_COMMAND, _STEP)),
    "items": ("Items", (_COMMAND, _ITEMS)),
    "branch": ("Branch", (_COMMAND, _BRANCH)),
    "except": ("Except", (_REACHED, _EXCEPT)),
    "finally": ("Finally", (_REACHED, _FINALLY)),
    "items_after": ("ItemsAfter", (_COMMAND, _ITEMS, _REACHED, _ITEMS_AFTER)),
    "outputs": ("Outputs", (_COMMAND, _OUTPUTS)),
    "finish": ("EmptyOperator", ()),
}

_ORDER = (_COMMAND, _STEP, _ITEMS, _BRANCH, _OUTPUTS, _REACHED, _EXCEPT, _FINALLY, _ITEMS_AFTER)


def source(kinds: Iterable[str]) -> list[str]:
    """The lines of all definitions that tasks of these kinds need, each after two empty lines."""
    needed = {piece for kind in kinds for piece in KINDS[kind][1]}
    lines: list[str] = []
    for piece in _ORDER:
        if piece in needed:
            lines += ["", *piece.rstrip("\n").split("\n")]
    return lines
