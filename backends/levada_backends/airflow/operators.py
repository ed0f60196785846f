"""The source of the small operators that DAG files use, in pieces that say what they need.

A piece names the constants of its DAG as attributes, `self.PIPELINE` or `task.PIPELINE`, for a
module that many DAGs import. In a DAG file they are globals.
"""

from __future__ import annotations

import re

from levada_compiler.slotted import dataclass

from .options import DOCKER, KUBERNETES, PROCESS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True, slots=True)
class Piece:
    """A function or a class, the pieces that it calls and the names that it imports."""

    source: str
    needs: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()


_REQUEST = '''
def request_of(task, **more):
    """What `python -m levada` is to do for a task, as JSON. Nothing passes through a shell."""
    loops = []
    for clause in task.loops:  # "for d in params.depths", and after it "where d > 2"
        word, text = clause.split(" ", 1)
        if word == "for":
            loops.append({"for": text})
        else:
            loops[-1].setdefault(word, []).append(text)
    place = {"pipeline": task.PIPELINE, "node": task.node or task.task_id, "paths": task.SOURCES}
    request = {**task.levada, **place, "loops": loops, "checks": task.checks, **more}
    request["caught"] = task.caught  # a failure of it does not end the run
    if task.item is not None:
        request["map_index"] = [int(number) for number in task.item["index"].split(".")]
'''
#: The line of `request_of` that passes on the named values, where the pipeline has any.
_REQUEST_VALUES = """\
    request["values"] = values_of(task, json.dumps(request, ensure_ascii=False))
"""
_REQUEST_END = """\
    return json.dumps(request)
"""

_XCOM = '''
def xcom_of(result):
    """A result without the few things that Airflow's database does not take."""
    if result is None:
        raise AirflowException("it has left no result: see the log above")
    text = json.dumps(result, ensure_ascii=False).replace("\\\\u0000", "\\\\ufffd")
    text = text.encode("utf-8", "replace").decode()
    return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < 19 else digits)
'''

_VALUES = '''
def values_of(task, text):
    """The named values that the expressions in a text use, directly or through others."""
    found, left = {}, [text]
    while left:
        for name in re.findall(r"[\\w.\\u0080-\\U0010ffff]+", left.pop()):
            while name and name not in task.VALUES:
                name = name.rpartition(".")[0]
            if name and name not in found:
                found[name] = task.VALUES[name]
                left.append(task.VALUES[name])
    return found
'''

_PROCESS = '''
class Command(BaseOperator):
    """Runs `python -m levada` in a process of its own.

    Its result is JSON in a file; all that it prints is in the task's log.
    """

    template_fields = ("env",)

    def __init__(self, loops=(), checks=(), item=None, node=None, caught=False, **kwargs):
        super().__init__(**kwargs)
        self.loops, self.checks, self.item, self.node = loops, checks, item, node
        self.caught = caught
        self.env = self.ENVIRONMENT

    def execute(self, context):
        self.process = SubprocessHook()
        env = {**os.environ, **self.env}
        with TemporaryDirectory() as folder:
            # In a file: an argument and a variable of a process are at most 128 KiB.
            request, result = Path(folder, "request.json"), Path(folder, "result.json")
            params = json.loads(env.pop("LEVADA_PARAMS"))
            request.write_text(request_of(self, params=params, result=str(result)))
            command = [self.PYTHON, "-m", "levada", f"@{request}"]
            code = self.process.run_command(command, env=env, cwd=self.PROJECT).exit_code
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
        caught=False,
        **kwargs,
    ):
        self.loops, self.checks, self.item, self.node = loops, checks, item, node
        self.caught = caught
        super().__init__(
            image=image,
            entrypoint=["python"],
            environment={
                **self.ENVIRONMENT,
                "LEVADA_STORE": self.STORE,
                "LEVADA_IMAGE": image,
            },
            # The worker's own variables of these names; Airflow shows and keeps none of them.
            private_environment={name: os.environ[name] for name in secrets if name in os.environ},
            mounts=[*self.MOUNTS, *mounts],
            mount_tmp_dir=False,
            auto_remove="force",
            retrieve_output=True,
            retrieve_output_path="/tmp/levada-result.json",
            skip_on_exit_code=65,
            **self.DOCKER,
            **kwargs,
        )

    def execute(self, context):
        self.command = self.command_of()
        try:
            return xcom_of(super().execute(context))
        except AirflowSkipException as error:  # it would fail again
            raise AirflowFailException("a permanent error: see the log above") from error

    def command_of(self, **more):
        return ["-m", "levada", request_of(self, result=self.retrieve_output_path, **more)]
'''

_POD = '''
def pod_of(task, pod, container):
    """A pod as Kubernetes writes it: what all have, and what this one has besides."""
    main = {"name": "base", **task.CONTAINER, **container}
    main["volumeMounts"] = [*task.CONTAINER["volumeMounts"], *container.get("volumeMounts", [])]
    volumes = [*task.POD["volumes"], *pod.get("volumes", [])]
    return {"spec": {**task.POD, **pod, "volumes": volumes, "containers": [main]}}


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
        caught=False,
        **kwargs,
    ):
        self.loops, self.checks, self.item, self.node = loops, checks, item, node
        self.caught = caught
        super().__init__(
            image=image,
            cmds=["python"],
            env_vars={
                **self.ENVIRONMENT,
                "HOME": "/tmp",
                "LEVADA_STORE": self.STORE,
                "LEVADA_IMAGE": image,
            },
            pod_template_dict=pod_of(self, pod or {}, container or {}),
            do_xcom_push=True,
            skip_on_exit_code=65,
            log_events_on_failure=True,
            log_pod_spec_on_failure=False,
            **{"deferrable": False, **self.KUBERNETES, **kwargs},
        )

    def build_pod_request_obj(self, context=None, **kwargs):
        self.arguments = self.arguments_of()
        pod = super().build_pod_request_obj(context, **kwargs)
        main = pod.spec.containers[0]
        for container in pod.spec.containers:  # the sidecar, too
            container.security_context = main.security_context
        for variable in main.env:
            if variable.value:
                variable.value = variable.value.replace("$", "$$")
        return pod

    def arguments_of(self, **more):
        request = request_of(self, result="/airflow/xcom/return.json", **more)
        return ["-m", "levada", request.replace("$", "$$")]  # Kubernetes would expand `$(NAME)`
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
'''
_STEP_INIT = """
    def __init__(self, step, code, inputs=None, outputs=(), settings=None, **kwargs):
        super().__init__(**kwargs)
        module, function = step.split(":")
        step = {"module": module, "function": function, "code": code}  # another is a warning
        step |= {"outputs": outputs, "settings": settings}
        self.levada = {"do": "step", "step": step, "sources": inputs}
"""

_PROGRAM = '''
class Program(Step):
    """Runs a program of an image that is not Levada's, by Docker: files are all that it sees."""

    def __init__(self, container, **kwargs):
        super().__init__(**kwargs)
        self.levada["step"]["container"] = container
'''

#: Which variables of the worker a container gets: with a store in a bucket also how it is reached.
_DOCKER_VARIABLES = """\
            private_environment={name: os.environ[name] for name in secrets if name in os.environ},
"""
_DOCKER_VARIABLES_IN_BUCKET = """\
            private_environment={
                name: os.environ[name]
                for name in (*self.STORE_VARIABLES, *secrets)
                if name in os.environ
            },
"""

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
        self.levada["step"]["container"] = container
        self.secrets = secrets
        self.program = {
            "image": settings["image"],
            "entrypoint": container["command"],
            "command": container["args"],
            "environment": {"HOME": "/tmp", **settings.get("environment", {})},
            "_private_environment": {name: os.environ.get(name) for name in secrets},
            "mounts": list(mounts),
            "cpus": cpus,
            "mem_limit": mem_limit,
            "device_requests": device_requests,
            "skip_on_exit_code": [],
            "auto_remove": "never",  # how it ended is read from it
        }

    def execute(self, context):
        for name in self.secrets:
            if name not in os.environ:
                raise AirflowFailException(f"the secret {name} is not set in Airflow's environment")
        volume = self.cli.create_volume()["Name"]
        files = Mount("/levada", volume)
        self.mounts = [*self.mounts, files]
        self.environment["LEVADA_PROGRAM_FOLDER"] = "/levada"
        try:
            # A new volume is root's, and the containers need not be.
            opened = ["-c", "import os; os.chmod('/levada', 0o1777)"]
            self.run_container(context, user="0", command=opened)
            stage = self.command_of(stage=True, look_up=True)
            cached = self.run_container(context, command=stage)
            if cached is not None:
                return xcom_of(cached)
            self.run_program(context, [*self.program["mounts"], files])
            return super().execute(context)
        except AirflowSkipException as error:  # it would fail again
            raise AirflowFailException("a permanent error: see the log above") from error
        finally:
            self.cli.remove_volume(volume, force=True)

    def run_program(self, context, mounts):
        """Runs the program; if it fails, what collects its outputs records that."""
        self.container = None
        try:
            self.run_container(context, **{**self.program, "mounts": mounts})
        except Exception as error:
            self.environment["LEVADA_PROGRAM_ERROR"] = self.failure_of(error)
        finally:
            if self.container:
                self.cli.remove_container(self.container["Id"], force=True)

    def failure_of(self, error):
        """How the program failed, with the last lines that it printed."""
        if not hasattr(error, "logs"):
            return f"the image cannot run this: {error}"
        state = self.cli.inspect_container(self.container["Id"])["State"]
        said = f"the program ended with exit code {state['ExitCode']}"
        if state["OOMKilled"]:
            said = f"the program used more memory than its limit ({said})"
        # The value of a secret could be in these lines.
        lines = "" if self.secrets else "\\n".join(error.logs or ())[-2048:]
        return f"{said}: {lines}" if lines else said

    def run_container(self, context, **changes):
        """Runs a container that differs from the operator's in this; gives its result."""
        before = {name: getattr(self, name) for name in changes}
        vars(self).update(changes)
        try:
            return DockerOperator.execute(self, context)
        finally:
            vars(self).update(before)
'''

_POD_PROGRAM = '''
class PodProgram(PodStep):
    """Runs a program of another image as the last init container of its pod.

    The one before it stages the program's files, the pod's container collects them. Where the
    cache has the outputs, staging ends the pod: nothing else keeps the program from running.
    """

    def __init__(self, container_step, **kwargs):
        super().__init__(**kwargs)
        self.deferrable = False  # a trigger takes a program that runs for a pod that does not start
        self.levada["step"]["container"] = container_step
        self.failure = self.cached = None

    def build_pod_request_obj(self, context=None, **kwargs):
        pod = super().build_pod_request_obj(context, **kwargs)
        main, stage = pod.spec.containers[0], pod.spec.init_containers[0]
        stage.image, stage.command, stage.env = main.image, main.command, main.env
        stage.args = self.arguments_of(stage=True, look_up=True, ends_pod=True)
        stage.security_context, stage.volume_mounts = main.security_context, main.volume_mounts
        return pod

    def execute(self, context):
        try:
            return super().execute(context)
        except AirflowException as error:
            if self.cached is not None:
                return xcom_of(self.cached)
            if self.failure is None:
                raise
            self.record_failure(context)
            raise AirflowException(self.failure) from error

    def await_pod_start(self, pod):
        """Waits for the program's end: until then a pod is starting, to Airflow."""
        waits_since, shown, phase = monotonic(), set(), "Pending"
        while phase == "Pending":
            status = self.pod_manager.read_pod(pod).status
            phase = status.phase
            for each in status.init_container_statuses or ():
                name, state = each.name, each.state
                if name not in shown and (state.running or state.terminated):
                    self.pod_manager.fetch_container_logs(pod, name, follow=True)
                    shown.add(name)
                    waits_since = monotonic()
                if state.terminated and state.terminated.exit_code:
                    self.end(name, state.terminated)
            if monotonic() - waits_since > self.startup_timeout_seconds:
                raise AirflowException("the pod does not start: see its events")
            sleep(1)
        super().await_pod_start(pod)

    def end(self, name, ended):
        """Ends with a container that runs before the pod's own and keeps that from starting."""
        code, said = f"exit code {ended.exit_code}", (ended.message or "").strip()
        if name == "stage" and ended.exit_code == 66:  # the message is the result
            self.log_events_on_failure = False
            self.cached = json.loads(said or "{}")
            raise AirflowException("the cache has the outputs: the program does not run")
        if name == "stage":  # which has written the record
            raise AirflowException(f"the program's inputs could not be staged: {code}")
        words = {
            "OOMKilled": f"the program used more memory than its limit ({code})",
            "StartError": "the image cannot run this",
            "ContainerCannotRun": "the image cannot run this",
        }.get(ended.reason, f"the program ended with {code}")
        self.failure = f"{words}: {said}" if said else words
        raise AirflowException(self.failure)

    def record_failure(self, context):
        """Runs a pod that writes the record: the container that does so has not started."""
        pod = self.build_pod_request_obj(context)
        main = pod.spec.containers[0]
        value = self.failure.replace("$", "$$")
        main.env = [*main.env, {"name": "LEVADA_PROGRAM_ERROR", "value": value}]
        pod.spec.init_containers, pod.spec.containers = [], [main]
        self.pod_manager.create_pod(pod)
        self.process_pod_deletion(self.pod_manager.await_pod_completion(pod))
'''

_LINK = '''
def record_url(task, ti):
    """Where the record of an attempt is, or will be."""
    run_id, attempt = ti.run_id, str(ti.try_number)
    step, item = task.node or task.task_id, task.item["index"] if task.item else ""
    names = {"pipeline": task.PIPELINE, "run_id": run_id, "step": step}
    folders = [quote(name, safe="+:@=").replace("~", "%7E") for name in names.values()]
    path = "/".join(["runs", *folders, *([f"[{item}]"] if item else []), attempt])  # in the store
    names |= {"item": item, "attempt": attempt}
    names = {name: quote(value, safe="") for name, value in names.items()}
    return task.RECORD.format(path=quote(path), **names)


class RecordLink(BaseOperatorLink):
    """The button of a task that leads to its record."""

    __module__ = "levada_record_link"  # the plugin that Airflow 2 needs for it
    name = "Record"
    xcom_key = "record_url"

    def get_link(self, operator, *, ti_key):
        return record_url(operator, ti_key)
'''

#: What a step has that is linked to its record.
_STEP_LINKS = """
    operator_extra_links = (RecordLink(),)
"""
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
        self.levada = {"do": "items", "fail_items": fail_items}
'''

_BRANCH = '''
class Branch(Command, BranchMixIn):
    """Decides a condition exactly as Python would, and skips the side that is not taken."""

    inherits_from_skipmixin = True

    def __init__(self, condition, then=(), otherwise=(), **kwargs):
        name = shorten(f"if {condition}", 60, placeholder="…")
        super().__init__(task_display_name=name, **kwargs)
        self.levada = {"do": "decide", "expression": condition}
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
        self.levada = {"do": "outputs", "outputs": outputs, "returns": returns}
'''

_CHECK = '''
class Check(Command):
    """Evaluates values that may raise before what follows: a failure of theirs is not caught."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.levada = {"do": "check"}
'''

_RAISE = '''
class Raise(Command):
    """Fails for good with an exception: of these classes, or the one that is handled."""

    def __init__(self, classes=(), arguments=(), handled=None, **kwargs):
        super().__init__(**kwargs)
        error = {"classes": classes, "arguments": arguments, "handled": handled}
        self.levada = {"do": "raise", **error}
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
        self.levada = {"do": "decide", "expression": condition}
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

_IN_ORDER = '''
def in_order(context):
    """Let a mapped task wait for the items before its own; it fails if one of these has failed."""
    ti, run = context["ti"], context["dag_run"]
    if hasattr(run, "get_task_instances"):  # Airflow 2
        found = {(one.task_id, one.map_index): one.state for one in run.get_task_instances()}
        before = {found.get((ti.task_id, index)) for index in range(ti.map_index)}
    else:
        given = ti.get_task_states(run.dag_id, task_ids=[ti.task_id], run_ids=[run.run_id])
        found = given.get(run.run_id, {})
        before = {found.get(f"{ti.task_id}_{index}") for index in range(ti.map_index)}
    if before & {"failed", "upstream_failed"}:
        raise AirflowFailException("not reached: an item before this one failed")
    if before - {"success", "skipped"}:  # it waits for its next attempt
        raise AirflowRescheduleException(pendulum.now("UTC").add(seconds=10))
'''

_RUNS = ("request_of", "xcom_of")
_FAILS = ("AirflowException", "AirflowFailException")
_SKIPS = ("AirflowFailException", "AirflowSkipException")
#: The functions and the operators that run a command, as they are for processes.
_PIECES = {
    "values_of": Piece(_VALUES, imports=("re",)),
    "xcom_of": Piece(_XCOM, imports=("json", "AirflowException")),
    "RecordLink": Piece(_LINK, imports=("quote", "BaseOperatorLink")),
    "states_of": Piece(_REACHED, imports=("AirflowFailException",)),
    "Program": Piece(_PROGRAM, ("Step",), ("json",)),
    "DockerProgram": Piece(
        _DOCKER_PROGRAM,
        ("DockerStep", "request_of", "xcom_of"),
        ("json", "os", "AirflowException", "DockerOperator", "Mount", *_SKIPS),
    ),
    "PodProgram": Piece(
        _POD_PROGRAM, ("PodStep", "xcom_of"), ("json", "monotonic", "AirflowException")
    ),
    "Items": Piece(_ITEMS, ("Command",), ("shorten",)),
    "Branch": Piece(_BRANCH, ("Command",), ("shorten", "BranchMixIn")),
    "Check": Piece(_CHECK, ("Command",)),
    "Raise": Piece(_RAISE, ("Command",)),
    "Outputs": Piece(_OUTPUTS, ("Command",)),
    "Handle": Piece(_HANDLE, ("Command", "states_of"), ("AirflowFailException", "BranchMixIn")),
    "ItemsAfter": Piece(_ITEMS_AFTER, ("Items", "states_of"), ("AirflowFailException",)),
    "Except": Piece(
        _EXCEPT, ("states_of",), ("AirflowFailException", "BaseOperator", "BranchMixIn")
    ),
    "Finally": Piece(_FINALLY, ("states_of",), ("BaseOperator",)),
    "callback": Piece(_CALLBACK, imports=("import_module",)),
    "sla": Piece(_SLA, imports=("timedelta", "BaseOperator")),
    "missed": Piece(_MISSED, ("callback",)),
    "announce": Piece(_ANNOUNCE),
    "in_order": Piece(
        _IN_ORDER, imports=("pendulum", "AirflowFailException", "AirflowRescheduleException")
    ),
}
#: executor -> the word in front of the names of its operators, and what their commands are
_COMMANDS = {
    PROCESS: (
        "",
        Piece(
            _PROCESS,
            _RUNS,
            ("json", "os", "Path", "TemporaryDirectory", "BaseOperator", "SubprocessHook", *_FAILS),
        ),
    ),
    DOCKER: ("Docker", Piece(_DOCKER, _RUNS, ("json", "os", "DockerOperator", *_SKIPS))),
    KUBERNETES: ("Pod", Piece(_POD, _RUNS, ("KubernetesPodOperator", *_SKIPS))),
}
#: kind of task -> the operator that it is
_KINDS = {
    "step": "Step",
    "program": "Program",
    "items": "Items",
    "branch": "Branch",
    "items_after": "ItemsAfter",
    "outputs": "Outputs",
    "check": "Check",
    "raise": "Raise",
    "except": "Except",
    "handle": "Handle",
    "finally": "Finally",
}
#: Kinds of tasks that run for each item of a loop; the others list the items, or stand outside.
MAPPED = ("step", "raise", "check")

_BARE = ("Except", "Finally")
_RUNNING = (
    *("Command", "Step", "Program", "Items", "Branch", "Check", "Raise", "Outputs", "Handle"),
    "ItemsAfter",
)
_PREFIXED = re.compile(rf"\b({'|'.join(_RUNNING)})\b")
#: All pieces, in the order in which a file has them.
ORDER = (
    *("values_of", "request_of", "xcom_of", "RecordLink", "states_of"),
    *(prefix + name for prefix, _ in _COMMANDS.values() for name in _RUNNING),
    *(*_BARE, "callback", "sla", "missed", "announce", "in_order"),
)
#: Names that the pieces define.
NAMES = frozenset((*ORDER, "pod_of", "record_url", "bind"))
#: A constant of the DAG, as the pieces have it.
_CONSTANT = re.compile(r"\b(?:self|task)\.([A-Z][A-Z_]+)\b")


def operator(kind: str, executor: str | None) -> str:
    """The operator of a task; one that runs no command has no executor."""
    name = _KINDS[kind]
    return name if executor is None else _COMMANDS[executor][0] + name


def operators(executors: Iterable[str]) -> list[str]:
    """The names of all operators, of those that run commands for these executors."""
    prefixes = [prefix for executor, (prefix, _) in _COMMANDS.items() if executor in executors]
    return [*(prefix + name for prefix in prefixes for name in _RUNNING), *_BARE]


def runs_command(name: str) -> bool:
    """Whether this is an operator that runs a command, and so knows the constants of its DAG."""
    return name in operators(_COMMANDS) and name not in _BARE


@dataclass(frozen=True, slots=True)
class Catalog:
    """The pieces as a file has them.

    With `has_values` there is a table of named values. Tasks of steps are `linked` to their
    records. Steps in pods are `deferrable`. The store of containers is `in_bucket`.
    """

    has_values: bool = False
    linked: bool = False
    deferrable: bool = False
    in_bucket: bool = False

    def closure(self, wanted: Iterable[str]) -> list[Piece]:
        """The wanted pieces and all that they need, in the order of a file."""
        found: dict[str, Piece] = {}
        left = list(wanted)
        while left:
            name = left.pop()
            if name not in found:
                found[name] = self._piece(name)
                left += found[name].needs
        return [found[name] for name in ORDER if name in found]

    def _piece(self, name: str) -> Piece:
        if name == "request_of":
            if self.has_values:
                return Piece(_REQUEST + _REQUEST_VALUES + _REQUEST_END, ("values_of",))
            return Piece(_REQUEST + _REQUEST_END)
        if name in _PIECES:
            return _PIECES[name]
        prefix, command = next(
            (prefix, command)
            for prefix, command in _COMMANDS.values()
            if name.startswith(prefix) and name.removeprefix(prefix) in _RUNNING
        )
        own = name.removeprefix(prefix)
        if own == "Command":
            return self._command(command)
        piece = self._step(prefix) if own == "Step" else _PIECES[own]
        source, *needs = (_PREFIXED.sub(rf"{prefix}\1", e) for e in (piece.source, *piece.needs))
        return Piece(source, tuple(needs), piece.imports)

    def _command(self, command: Piece) -> Piece:
        if command.source == _DOCKER and self.in_bucket:
            source = _DOCKER.replace(_DOCKER_VARIABLES, _DOCKER_VARIABLES_IN_BUCKET)
            return Piece(source, command.needs, command.imports)
        if command.source != _POD:
            return command
        how = _POD_DEFERS if self.deferrable else _POD_WAITS
        return Piece(command.source + how, command.needs, command.imports)

    def _step(self, prefix: str) -> Piece:
        init = _STEP_INIT
        if self.deferrable and prefix == _COMMANDS[KUBERNETES][0]:
            init = init.replace("__init__(**kwargs)", "__init__(deferrable=True, **kwargs)")
        if not self.linked:
            return Piece(_STEP + init, ("Command",), ("json",))
        source = _STEP + _STEP_LINKS + init + _STEP_LINKED
        return Piece(source, ("Command", "RecordLink"), ("json",))


def lines(pieces: Iterable[Piece], *, in_module: bool = False) -> Iterator[str]:
    """The lines of pieces, each after two empty lines.

    In a DAG file constants are globals; in a module that DAGs import they are attributes.
    """
    for piece in pieces:
        source = piece.source if in_module else _CONSTANT.sub(r"\1", piece.source)
        yield ""
        yield from source.rstrip("\n").split("\n")
