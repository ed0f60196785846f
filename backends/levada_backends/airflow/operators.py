"""The source of the small operators at the top of a generated file, and which kinds need which."""

from __future__ import annotations

import re

from .options import DOCKER, KUBERNETES, PROCESS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_WORDS = '''
def words_of(task):
    """What `python -m levada` is told to do a task. Nothing passes through a shell."""
    words = [*task.levada, "--pipeline", PIPELINE, "--node", task.node or task.task_id]
    for folder in SOURCES:
        words += ["--path", folder]
    for clause in task.loops:  # "for d in params.depths" is --for "d in params.depths"
        word, text = clause.split(" ", 1)
        words += [f"--{word}", text]
    for name in task.checks:
        words += ["--check", name]
    return words if task.item is None else [*words, "--map-index", task.item["index"]]


def xcom_of(result):
    """A result without the few things that Airflow's database does not take."""
    if result is None:
        raise AirflowException("it has left no result: see the log above")
    text = json.dumps(result, ensure_ascii=False).replace("\\\\u0000", "\\\\ufffd")
    text = text.encode("utf-8", "replace").decode()
    return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < 19 else digits)
'''

_VALUES = '''
def values_of(texts):
    """The named values that these expressions use, directly or through others."""
    found, left = {}, list(texts)
    while left:
        for name in re.findall(r"[A-Za-z_][\\w.]*", left.pop()):
            while name and name not in VALUES:
                name = name.rpartition(".")[0]
            if name and name not in found:
                found[name] = VALUES[name]
                left.append(VALUES[name])
    return found
'''
#: The line of `words_of` that passes them on, and the line that it stands behind.
_CHECKED = """\
        words += ["--check", name]
"""
_WITH_VALUES = """\
    for name, text in values_of([*task.levada, *task.loops, *task.checks]).items():
        words += ["--value", f"{name}={text}"]
"""

_PROCESS = '''
class Command(BaseOperator):
    """Runs `python -m levada` in a process of its own.

    Its result is JSON in a file; all that it prints is in the task's log.
    """

    template_fields = ("env",)
    env = ENVIRONMENT

    def __init__(self, loops=(), checks=(), item=None, node=None, **kwargs):
        super().__init__(**kwargs)
        self.loops, self.checks, self.item, self.node = loops, checks, item, node

    def execute(self, context):
        self.process = SubprocessHook()
        env = {**os.environ, **self.env}
        with TemporaryDirectory() as folder:
            result = Path(folder, "result.json")
            command = [PYTHON, "-m", "levada", *words_of(self), "--result", str(result)]
            code = self.process.run_command(command, env=env, cwd=PROJECT).exit_code
            if code == 65:  # it would fail again
                raise AirflowFailException("a permanent error: see the log above")
            if code != 0:
                raise AirflowException(f"exit code {code}: see the log above")
            return xcom_of(json.loads(result.read_text(encoding="utf-8")))

    def on_kill(self):
        self.process.send_sigterm()
'''

_DOCKER = '''
class DockerCommand(DockerOperator):
    """Runs `python -m levada` in a container, which leaves its result as JSON in a file."""

    template_fields = ("environment",)
    pickling_library = json  # reads the result

    def __init__(
        self,
        image,
        secrets=(),
        mounts=(),
        loops=(),
        checks=(),
        item=None,
        node=None,
        **kwargs,
    ):
        self.loops, self.checks, self.item, self.node = loops, checks, item, node
        super().__init__(
            image=image,
            entrypoint=["python"],
            environment={**ENVIRONMENT, "LEVADA_STORE": STORE, "LEVADA_IMAGE": image},
            # The worker's own variables of these names; Airflow shows and keeps none of them.
            private_environment={name: os.environ[name] for name in secrets if name in os.environ},
            mounts=[*MOUNTS, *mounts],
            mount_tmp_dir=False,
            auto_remove="force",
            retrieve_output=True,
            retrieve_output_path="/tmp/levada-result.json",
            skip_on_exit_code=65,
            **DOCKER,
            **kwargs,
        )

    def execute(self, context):
        self.command = ["-m", "levada", *words_of(self), "--result", self.retrieve_output_path]
        try:
            return xcom_of(super().execute(context))
        except AirflowSkipException as error:  # it would fail again
            raise AirflowFailException("a permanent error: see the log above") from error
'''

_POD = '''
def pod_of(pod, container):
    """A pod as Kubernetes writes it: what all have, and what this one has besides."""
    main = {"name": "base", **CONTAINER, **container}
    main["volumeMounts"] = [*CONTAINER["volumeMounts"], *container.get("volumeMounts", [])]
    volumes = [*POD["volumes"], *pod.get("volumes", [])]
    return {"spec": {**POD, **pod, "volumes": volumes, "containers": [main]}}


class PodCommand(KubernetesPodOperator):
    """Runs `python -m levada` in a pod, which leaves its result as JSON for the sidecar."""

    template_fields = ("env_vars",)

    def __init__(
        self,
        image,
        pod=None,
        container=None,
        loops=(),
        checks=(),
        item=None,
        node=None,
        **kwargs,
    ):
        self.loops, self.checks, self.item, self.node = loops, checks, item, node
        super().__init__(
            image=image,
            cmds=["python"],
            env_vars={**ENVIRONMENT, "HOME": "/tmp", "LEVADA_STORE": STORE, "LEVADA_IMAGE": image},
            pod_template_dict=pod_of(pod or {}, container or {}),
            do_xcom_push=True,
            skip_on_exit_code=65,
            log_events_on_failure=True,
            log_pod_spec_on_failure=False,
            **{"deferrable": False, **KUBERNETES, **kwargs},
        )

    def build_pod_request_obj(self, context=None, **kwargs):
        result = "/airflow/xcom/return.json"
        self.arguments = ["-m", "levada", *words_of(self), "--result", result]
        pod = super().build_pod_request_obj(context, **kwargs)
        main = pod.spec.containers[0]
        for container in pod.spec.containers:  # the sidecar, too
            container.security_context = main.security_context
        # Kubernetes would expand `$(NAME)`.
        main.args = [word.replace("$", "$$") for word in main.args]
        for variable in main.env:
            if variable.value:
                variable.value = variable.value.replace("$", "$$")
        return pod
'''

_POD_WAITS = """
    def execute(self, context):
        try:
            return xcom_of(super().execute(context))
        except AirflowSkipException as error:  # it would fail again
            raise AirflowFailException("a permanent error: see the log above") from error
"""

_POD_DEFERS = """
    def execute(self, context):
        return self.outcome(super().execute, context)

    def trigger_reentry(self, context, event):  # where a deferred task goes on
        return self.outcome(super().trigger_reentry, context, event)

    def outcome(self, run, *arguments):
        try:
            result = run(*arguments)
        except AirflowSkipException as error:  # it would fail again
            raise AirflowFailException("a permanent error: see the log above") from error
        # After a deferral the pod may be gone; what it gave is in the store all the same.
        return None if result is None and self.deferrable else xcom_of(result)
"""

_STEP = '''
class Step(Command):
    """Calls a step's function with its inputs, each an expression over what there is so far."""

    def __init__(self, step, code, inputs=None, outputs=(), settings=None, **kwargs):
        super().__init__(**kwargs)
        self.levada = [step, "--code", code]  # a difference is a warning
        for name, text in (inputs or {}).items():
            self.levada += ["--input", f"{name}={text}"]
        if outputs:
            self.levada += ["--outputs", ",".join(outputs)]
        if settings:
            self.levada += ["--settings", json.dumps(settings)]
'''

_PROGRAM = '''
class Program(Step):
    """Runs a program of an image that is not Levada's, by Docker: files are all that it sees."""

    def __init__(self, container, **kwargs):
        super().__init__(**kwargs)
        self.levada += ["--container", json.dumps(container)]
'''

_DOCKER_PROGRAM = '''
class DockerProgram(DockerStep):
    """Runs a program of another image, between containers that stage and collect its files."""

    def __init__(
        self,
        container,
        settings,
        secrets=(),
        mounts=(),
        cpus=1.0,
        mem_limit=None,
        device_requests=None,
        **kwargs,
    ):
        super().__init__(settings=settings, **kwargs)
        self.levada += ["--container", json.dumps(container)]
        self.program = {
            "image": settings["image"],
            "entrypoint": container["command"],
            "command": container["args"],
            "environment": {"HOME": "/tmp", **settings.get("environment", {})},
            "_private_environment": {name: os.environ[name] for name in secrets},
            "mounts": list(mounts),
            "cpus": cpus,
            "mem_limit": mem_limit,
            "device_requests": device_requests,
            "skip_on_exit_code": [],
        }

    def execute(self, context):
        volume = self.cli.create_volume()["Name"]
        files = Mount("/levada", volume)
        self.mounts = [*self.mounts, files]
        try:
            # A new volume is root's, and the containers need not be.
            opened = ["-c", "import os; os.chmod('/levada', 0o1777)"]
            self.run_container(context, user="0", command=opened)
            self.run_container(context, command=["-m", "levada", *words_of(self), "--stage"])
            mounts = [*self.program["mounts"], files]
            try:
                self.run_container(context, **{**self.program, "mounts": mounts})
            except AirflowException as error:  # to be recorded
                self.environment["LEVADA_PROGRAM_ERROR"] = f"the program failed: {error}"
            self.environment["LEVADA_PROGRAM_FOLDER"] = "/levada"
            return super().execute(context)
        except AirflowSkipException as error:  # it would fail again
            raise AirflowFailException("a permanent error: see the log above") from error
        finally:
            self.cli.remove_volume(volume, force=True)

    def run_container(self, context, **changes):
        """Runs a container that differs from the operator's in this."""
        before = {name: getattr(self, name) for name in changes}
        vars(self).update(changes)
        try:
            DockerOperator.execute(self, context)
        finally:
            vars(self).update(before)
'''

_POD_PROGRAM = '''
class PodProgram(PodStep):
    """Runs a program of another image as the last init container of its pod.

    The one before it stages the program's files, the pod's container collects them.
    """

    def __init__(self, container_step, **kwargs):
        super().__init__(init_container_logs=True, **kwargs)
        self.levada += ["--container", json.dumps(container_step)]

    def build_pod_request_obj(self, context=None, **kwargs):
        pod = super().build_pod_request_obj(context, **kwargs)
        main, stage = pod.spec.containers[0], pod.spec.init_containers[0]
        stage.image, stage.command, stage.env = main.image, main.command, main.env
        stage.args = [*main.args, "--stage"]
        stage.security_context, stage.volume_mounts = main.security_context, main.volume_mounts
        return pod
'''

_LINK = '''
def record_url(task, ti):
    """Where the record of an attempt is, or will be."""
    run_id, attempt = ti.run_id, str(ti.try_number)
    step, item = task.node or task.task_id, task.item["index"] if task.item else ""
    names = {"pipeline": PIPELINE, "run_id": run_id, "step": step, "item": item, "attempt": attempt}
    folders = [quote(name, safe="+:@=").replace("~", "%7E") for name in (PIPELINE, run_id, step)]
    path = "/".join(["runs", *folders, *([f"[{item}]"] if item else []), attempt])  # in the store
    names = {name: quote(value, safe="") for name, value in names.items()}
    return RECORD.format(path=quote(path), **names)


class RecordLink(BaseOperatorLink):
    """The button of a task that leads to its record."""

    __module__ = "levada_record_link"  # the plugin that Airflow 2 needs for it
    name = "Record"
    xcom_key = "record_url"

    def get_link(self, operator, *, ti_key):
        return record_url(operator, ti_key)
'''

#: Steps that are linked: what stands before and after the rest.
_STEP_LINKS = '''so far."""

    operator_extra_links = (RecordLink(),)
'''
_STEP_LINKED = """
    def execute(self, context):
        url = record_url(self, context["ti"])
        self.log.info("Record: %s", url)
        context["ti"].xcom_push(RecordLink.xcom_key, url)  # at once, and for Airflow 2
        return super().execute(context)
"""

_ITEMS = '''
class Items(Command):
    """Lists what the mapped tasks below it run for: `{"index": "0", "label": "d=4"}` each.

    With `fail_items`, an error in an expression is the failure of that item alone.
    """

    def __init__(self, loops, fail_items=False, **kwargs):
        name = shorten(" ".join(loops), 60, placeholder="…")
        super().__init__(task_display_name=name, loops=loops, **kwargs)
        self.levada = ["items", "--fail-items"] if fail_items else ["items"]
'''

_BRANCH = '''
class Branch(Command, BranchMixIn):
    """Decides a condition exactly as Python would, and skips the side that is not taken."""

    inherits_from_skipmixin = True

    def __init__(self, condition, then=(), otherwise=(), **kwargs):
        name = shorten(f"if {condition}", 60, placeholder="…")
        super().__init__(task_display_name=name, **kwargs)
        self.levada = ["decide", "--expression", condition]
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
    """Records what the pipeline returns, and that the run has succeeded."""

    def __init__(self, outputs=None, returns="value", **kwargs):
        super().__init__(**kwargs)
        self.levada = ["outputs", "--returns", returns]
        for name, text in (outputs or {}).items():
            self.levada += ["--output", f"{name}={text}"]
'''

_CHECK = '''
class Check(Command):
    """Evaluates values that may raise before what follows: a failure of theirs is not caught."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.levada = ["check"]
'''

_RAISE = '''
class Raise(Command):
    """Fails for good with an exception: of these classes, or the one that is handled."""

    def __init__(self, classes=(), arguments=(), handled=None, **kwargs):
        super().__init__(**kwargs)
        self.levada = ["raise", "--handled", handled] if handled else ["raise"]
        for name in classes:
            self.levada += ["--class", name]
        for text in arguments:
            self.levada += ["--argument", text]
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

    def __init__(self, body=(), then=(), **kwargs):
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

_HANDLE = '''
class Handle(Command, BranchMixIn):
    """Waits for the end of a `try`; goes on to the handler if a task or a value of it failed."""

    inherits_from_skipmixin = True

    def __init__(self, condition, body=(), then=(), **kwargs):
        super().__init__(trigger_rule="all_done", **kwargs)
        self.levada = ["decide", "--expression", condition]
        self.body = body
        self.then = then

    def execute(self, context):
        states = states_of(self.body, context)
        if "upstream_failed" in states and "failed" not in states:
            raise AirflowFailException("something before the try failed")
        failed = "failed" in states or super().execute(context)
        skipped = [] if failed else self.then
        self.do_branch(context, sorted(self.downstream_task_ids - set(skipped)))
        return failed
'''

_FINALLY = '''
class Finally(BaseOperator):
    """Waits for the end of a `try`, however it ended; what follows it always runs."""

    def __init__(self, body=(), **kwargs):
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

    def __init__(self, body=(), lists=(), always=False, **kwargs):
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

_CALLBACK = '''
def callback(reference):
    """A function `module:name`, imported by Airflow's Python when it is called."""

    def call(context):
        module, name = reference.split(":")
        getattr(import_module(module), name)(context)

    return call
'''

_SLA = '''
def sla(**duration):
    """The SLA of a task, which only Airflow 2 has."""
    return timedelta(**duration) if IS_2 else None
'''

_MISSED = '''
def missed(reference):
    """What Airflow 2 calls for SLAs that were missed: a function `module:name`."""

    def call(dag, task_list, blocking_task_list, slas, blocking_tis):
        callback(reference)({"dag": dag, "task_list": task_list, "slas": slas})

    return call
'''

_ANNOUNCE = '''
def announce(context, result):
    """Attaches what a step gave to the event of each asset that it produces."""
    shown = {name: result[name] for name in ("digest", "metrics", "record") if name in result}
    for asset in context["task"].outlets:
        context["outlet_events"][asset].extra = shown
'''

#: kind of task -> the operator that it is, and the pieces of source that this needs
_KINDS = {
    "step": ("Step", (_STEP,)),
    "program": ("Program", (_STEP, _PROGRAM)),
    "items": ("Items", (_ITEMS,)),
    "branch": ("Branch", (_BRANCH,)),
    "items_after": ("ItemsAfter", (_ITEMS, _ITEMS_AFTER)),
    "outputs": ("Outputs", (_OUTPUTS,)),
    "check": ("Check", (_CHECK,)),
    "raise": ("Raise", (_RAISE,)),
    "except": ("Except", (_EXCEPT,)),
    "handle": ("Handle", (_HANDLE,)),
    "finally": ("Finally", (_FINALLY,)),
}
#: Kinds of tasks that run for each item of a loop; the others list the items, or stand outside.
MAPPED = ("step", "raise", "check")

#: executor -> what its commands are, and the word in front of their names
_COMMANDS = {PROCESS: (_PROCESS, ""), DOCKER: (_DOCKER, "Docker"), KUBERNETES: (_POD, "Pod")}
#: What runs a program of another image, where that is more than a command.
_PROGRAMS = {DOCKER: _DOCKER_PROGRAM, KUBERNETES: _POD_PROGRAM}
_ORDER = (
    *(
        _STEP,
        _PROGRAM,
        _ITEMS,
        _BRANCH,
        _CHECK,
        _RAISE,
        _OUTPUTS,
        _EXCEPT,
        _HANDLE,
        _FINALLY,
        _ITEMS_AFTER,
    ),
)
#: The operators that run a command.
_RUNNING = ("Command", *(name for name, _ in _KINDS.values() if name not in ("Except", "Finally")))
_PREFIXED = re.compile(rf"\b({'|'.join(_RUNNING)})\b")

#: Names that the pieces define.
NAMES = frozenset(
    (
        *("Except", "Finally", "pod_of", "states_of", "words_of", "xcom_of", "values_of"),
        *("announce", "callback", "record_url", "RecordLink", "sla", "missed"),
        *(prefix + name for _, prefix in _COMMANDS.values() for name in _RUNNING),
    )
)


def operator(kind: str, executor: str | None) -> str:
    """The operator of a task; one that runs no command has no executor."""
    name = _KINDS[kind][0]
    return name if executor is None else _COMMANDS[executor][1] + name


def source(
    tasks: Iterable[tuple[str, str | None]],
    called: str,
    *,
    deferrable: bool = False,
    has_values: bool = False,
    linked: bool = False,
) -> list[str]:
    """The lines of all definitions that tasks need, each after two empty lines.

    A task is its kind and its executor; ``called`` is the text that may call a function. Tasks of
    steps are ``linked`` to their records; with ``has_values`` the file has a table of named values.
    """
    wanted: dict[str | None, set[str]] = {}
    for kind, executor in tasks:
        wanted.setdefault(executor, set()).update(_KINDS[kind][1])
    pieces: list[str] = []
    if wanted.keys() - {None}:
        passed = _WORDS.replace(_CHECKED, _CHECKED + _WITH_VALUES)
        pieces += [_VALUES, passed] if has_values else [_WORDS]
    linked = linked and any(_STEP in needed for needed in wanted.values())
    pieces += [_LINK] if linked else []
    if any({_EXCEPT, _HANDLE, _FINALLY, _ITEMS_AFTER} & needed for needed in wanted.values()):
        pieces.append(_REACHED)
    for executor in _COMMANDS:
        if executor in wanted:
            pieces += _pieces(executor, wanted[executor], deferrable=deferrable, linked=linked)
    pieces += [piece for piece in _ORDER if piece in wanted.get(None, ())]
    pieces += [_CALLBACK] if "callback(" in called or "missed(" in called else []
    pieces += [_SLA] if "sla(" in called else []
    pieces += [_MISSED] if "missed(" in called else []
    pieces += [_ANNOUNCE] if "=announce" in called else []
    return [line for piece in pieces for line in ("", *piece.rstrip("\n").split("\n"))]


def _pieces(executor: str, needed: set[str], *, deferrable: bool, linked: bool) -> list[str]:
    """The pieces of one executor, its word in front of their names."""
    command, prefix = _COMMANDS[executor]
    own = [piece for piece in _ORDER if piece in needed]
    if linked:
        step = _STEP.replace('so far."""\n', _STEP_LINKS) + _STEP_LINKED
        own = [step if piece is _STEP else piece for piece in own]
    found = [
        _PROGRAMS[executor]
        if piece is _PROGRAM and executor in _PROGRAMS
        else _PREFIXED.sub(rf"{prefix}\1", piece)
        for piece in own
    ]
    if executor == KUBERNETES:
        command += _POD_DEFERS if deferrable else _POD_WAITS
    if deferrable and executor == KUBERNETES:
        call, deferred = "super().__init__(**kwargs)", "super().__init__(deferrable=True, **kwargs)"
        found = [one.replace(call, deferred) if "class PodStep(" in one else one for one in found]
    return [command, *found]
