"""A DAG file as an engineer would commit it."""

from __future__ import annotations

import keyword

from levada.store import BUCKETS
from levada_compiler.origin import made_from
from levada_compiler.program.ir import Call, Fail, Group, Program, Result, walk

from . import library, operators
from .graph import NONE_FAILED, Graph, Task
from .imports import imports
from .options import DOCKER, KUBERNETES, PROCESS, Options
from .params import params
from .placement import Placement
from .settings import Settings, assets, duration, retry
from .source_text import (
    WIDTH,
    CallText,
    DictText,
    Text,
    call,
    comment,
    docstring,
    literal,
    names,
    one_line,
    statement,
    string,
    strings,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from levada_compiler.program.ir import Container, Node

#: Names that the file uses itself.
_TAKEN = operators.NAMES | frozenset(
    (
        *("json", "os", "re", "sys", "Path", "TemporaryDirectory", "timedelta", "pendulum", "dag"),
        *("import_module", "monotonic", "sleep"),
        *(
            "DAG",
            "Param",
            "TaskGroup",
            "Asset",
            "Label",
            "BaseOperator",
            "BranchMixIn",
        ),
        *("SubprocessHook", "DockerOperator", "DeviceRequest", "Mount", "KubernetesPodOperator"),
        *("AirflowException", "AirflowFailException", "AirflowSkipException"),
        "AirflowRescheduleException",
        *("RECORD", "BaseOperatorLink", "quote", "shorten", "IS_2", "LATE"),
        *("SyncCallback", "DeadlineAlert", "DeadlineReference"),
        *("PIPELINE", "VALUES", "PROJECT", "PYTHON", "SOURCES", "ENVIRONMENT", "BACKOFF", "SWITCH"),
        *("STORE", "STORE_VARIABLES", "DOCKER", "MOUNTS", "KUBERNETES", "POD", "CONTAINER"),
    )
)

#: Characters of a code digest that are given: enough to tell a change.
_CODE_LENGTH = len("sha256:") + 12

#: How a retry's delay doubles: in Airflow 2, and in all versions.
_DOUBLES = ["BACKOFF = True  # the delay of a retry doubles"]
_SWITCHES = [
    "# How a retry's delay doubles: a switch up to Airflow 3.1, a factor since.",
    'SWITCH = getattr(BaseOperator, "retry_exponential_backoff", False) is False',
    "BACKOFF = True if SWITCH else 2.0",
]

#: What a DAG without a start date starts from: Airflow 2 insists on one.
_START = "2024-01-01"


def render(program: Program, options: Mapping[str, object]) -> dict[str, str]:
    """The DAG file, and before it the module that it imports with `lib = "module"`."""
    return _File(program, options).files()


class _File:
    def __init__(self, program: Program, options: Mapping[str, object]) -> None:
        self._program = program
        self._options = options
        self._where = Options(options)
        self._settings = Settings(program, self._where.airflow)
        self._graph = Graph(program)
        placement = Placement(program, self._settings, self._where)
        self._placed = {task.id: placement.of(task) for task in self._graph.tasks.values()}
        self._steps = {step.key: step for step in program.steps}
        self._sides = self._graph.sides()
        self._linked = {name for task in self._graph.tasks.values() for name in task.upstream}
        self._names: dict[str, str] = {}
        self._used: set[str] = set(_TAKEN) | set(keyword.kwlist)
        self._definitions = self._graph.writer.definitions()
        self._called: set[str] = {"pendulum"}  #: names that the file refers to

    def files(self) -> dict[str, str]:
        """The files by their names."""
        late, body, constants = self._late(), self._dag(), self._constants()
        wanted = [name for name in operators.ORDER if name in self._called]
        name = f"{self._program.name}.py"
        if self._where.lib == "module":
            return self._with_module(name, wanted, constants, [*late, *body])
        catalog = self._catalog(has_values=bool(self._definitions))
        pieces = catalog.closure(wanted)
        words = self._called.union(*(piece.imports for piece in pieces))
        rest = [*constants, *operators.lines(pieces), "", "", *late, *body]
        lines = [*self._head(), "", *imports(words, self._where.airflow), "", *rest]
        return {name: "\n".join(lines) + "\n"}

    def _with_module(
        self, name: str, wanted: list[str], constants: list[str], rest: list[str]
    ) -> dict[str, str]:
        """The module of the operators and the DAG file, which must not be there before it."""
        catalog = self._catalog(has_values=True)
        module, text = library.module(self._executors(), catalog, self._where.airflow)
        words = {*self._called, "sys", "Path"}
        lines = [*self._head(), "", *imports(words, self._where.airflow), ""]
        lines += [*library.import_lines(module, wanted), "", *constants]
        lines += [*library.binding(wanted, self._bound()), "", *rest]
        return {f"{module}.py": text, name: "\n".join(lines) + "\n"}

    def _bound(self) -> list[str]:
        """The constants that the operators know, by their names."""
        used = self._executors()
        found = ["PIPELINE", *(["PROJECT", "PYTHON"] if PROCESS in used else []), "SOURCES"]
        found += ["RECORD"] if self._where.record else []
        found += ["STORE"] if used - {PROCESS} and self._where.store else []
        found += ["DOCKER", "MOUNTS"] if DOCKER in used else []
        found += ["STORE_VARIABLES"] if self._has_store_variables() else []
        found += ["KUBERNETES", "POD", "CONTAINER"] if KUBERNETES in used else []
        return [*found, *(["VALUES"] if self._definitions else []), "ENVIRONMENT"]

    def _catalog(self, *, has_values: bool) -> operators.Catalog:
        return operators.Catalog(
            has_values,
            linked=bool(self._where.record),
            deferrable=self._where.deferrable,
            in_bucket=self._has_store_variables(),
        )

    def _has_store_variables(self) -> bool:
        """Whether containers of Docker get the worker's variables of the store's cloud."""
        if DOCKER not in self._executors():
            return False
        from . import containers

        return bool(containers.worker_variables(self._where))

    def _executors(self) -> set[str]:
        return {executor for executor, _ in self._placed.values() if executor}

    def _statement(self, prefix: str, value: Text, suffix: str, indent: int) -> list[str]:
        """The lines of a statement, whose names the file has to import or to define."""
        self._called.update(names(value))
        return statement(prefix, value, suffix, indent)

    # ------------------------------------------------------------------ the top of the file

    def _head(self) -> list[str]:
        program = self._program
        about = program.description or f"{program.name}."
        made = [
            f"{made_from(program, self._where.compiler)}.",
            f"Source: {program.source}",
            "Change that file and compile it again, rather than this one.",
        ]
        return docstring("\n".join([about, "", *made]), 0)

    def _constants(self) -> list[str]:
        used = self._executors()
        lines = [f"PIPELINE = {string(self._program.name)}"]
        if PROCESS in used:
            lines += self._project()
        if used:
            lines.append("# Where steps are imported from, within the project.")
            lines += statement("SOURCES = ", strings(self._program.search), "", 0)
        if self._asks_version():
            self._called.add("BaseOperator")
            lines.append(library.IS_2)
        if self._where.record:
            lines.append("# Where the record of an attempt is shown.")
            lines += statement("RECORD = ", string(self._where.record), "", 0)
        if "BACKOFF" in self._called and self._where.airflow == 2:
            lines += _DOUBLES
        elif "BACKOFF" in self._called:
            self._called.add("BaseOperator")
            lines += _SWITCHES
        if used - {PROCESS}:
            from . import containers

            lines += containers.constants(used, self._where)
            self._called.update(["Mount"] if DOCKER in used and self._where.volumes else [])
        lines += self._values()
        return [*lines, "", *self._environment()] if used else lines

    def _values(self) -> list[str]:
        """The named values of the pipeline, each written once."""
        if not self._definitions:
            return []
        pairs = tuple((string(name), string(text)) for name, text in self._definitions.items())
        about = "# What tasks compute from what there is, each by its name."
        return [about, *statement("VALUES = ", DictText(pairs), "", 0)]

    def _project(self) -> list[str]:
        self._called |= {"os", "sys", "Path"}
        root = _path(str(self._options.get("project", "..")))
        return [
            "# The project on the worker, and the Python that has what its steps need. Artifacts",
            "# and records are kept at LEVADA_STORE, or else in the project; workers share it.",
            f'PROJECT = os.environ.get("LEVADA_PROJECT") or str({root})',
            'PYTHON = os.environ.get("LEVADA_PYTHON") or sys.executable',
        ]

    def _bucket(self) -> list[str]:
        """The store of processes, where it is in a bucket; a worker may have another one."""
        store = self._where.store or ""
        if PROCESS not in self._executors() or store.partition("://")[0] not in BUCKETS:
            return []
        self._called.add("os")
        return [f'    "LEVADA_STORE": os.environ.get("LEVADA_STORE") or {string(store)},']

    def _deployed_to(self) -> list[str]:
        """The environment that it is deployed to, for the record of a run."""
        name = self._options.get("environment")
        return [f'    "LEVADA_ENVIRONMENT": {string(str(name))},'] if name else []

    def _secrets(self) -> list[str]:
        """The variables of all secrets: a process of the worker has the values of each."""
        calls = (node for node in walk(self._program.body) if isinstance(node, Call))
        found = {name for call in calls for name in self._settings.of(call).get("secrets") or ()}
        names = ",".join(sorted(found))
        return [f'    "LEVADA_SECRETS": {string(names)},'] if names else []

    def _environment(self) -> list[str]:
        return [
            "# What every command is told. Airflow fills in the {{ }} when the task starts.",
            "ENVIRONMENT = {",
            '    "LEVADA_RUN_ID": "{{ run_id }}",',
            '    "LEVADA_TRY": "{{ ti.try_number }}",',
            '    "LEVADA_TRIES": "{{ ti.max_tries + 1 }}",',
            # `tojson` would sort the keys.
            '    "LEVADA_PARAMS": "{{ macros.json.dumps(dict(params)) }}",',
            f'    "LEVADA_SOURCE": {string(self._program.source)},',
            f'    "LEVADA_PIPELINE_FILE": {string(self._program.file)},',
            *self._secrets(),
            *self._bucket(),
            *self._deployed_to(),
            '    "LEVADA_ENGINE": (',
            "        \"{{ {'name': 'airflow', 'dag_id': dag.dag_id, 'task_id': ti.task_id,\"",
            "        \" 'map_index': ti.map_index, 'try_number': ti.try_number,\"",
            "        \" 'trigger': dag_run.run_type | string,\"",
            "        \" 'logical_date': (dag_run.logical_date or dag_run.run_after).isoformat(),\"",
            *_interval("start", ","),
            *_interval("end", "}"),
            '        " | tojson }}"',
            "    ),",
            "}",
        ]

    # ------------------------------------------------------------------ the DAG

    def _dag(self) -> list[str]:
        lines = self._statement("with ", self._dag_call(), " as dag:", 0)
        lines += self._tasks() or ["    pass"]
        return lines + self._edges()

    def _dag_call(self) -> CallText:
        own = self._settings.pipeline
        arguments: dict[str, Text] = {"dag_id": "PIPELINE"}
        first = self._program.description.strip().split("\n")[0]
        if first:
            arguments["description"] = string(first)
        arguments["schedule"] = literal(own.get("schedule"))
        if own.get("triggered_by"):
            arguments["schedule"] = assets(own["triggered_by"])
        arguments["start_date"] = self._start_date(own)
        arguments["catchup"] = literal(own.get("catchup", False))
        for name, airflows in (
            ("max_active_runs", "max_active_runs"),
            ("max_parallel", "max_active_tasks"),
        ):
            if own.get(name) is not None:
                arguments[airflows] = literal(own[name])
        if self._program.parameters:
            arguments["params"] = params(self._program.parameters)
        defaults: dict[str, Text] = retry(own.get("retry"))
        defaults |= self._settings.sla(own)
        if own.get("owner"):
            defaults = {"owner": literal(own["owner"]), **defaults}
        arguments["default_args"] = DictText(tuple((string(k), v) for k, v in defaults.items()))
        # Airflow 2 reads this text as a template.
        templated = any(mark in self._program.description for mark in ("{{", "{%", "{#"))
        arguments["doc_md"] = '__doc__.replace("{", "&#123;")' if templated else "__doc__"
        if own.get("tags"):
            arguments["tags"] = literal(own["tags"])
        if own.get("on_failure"):
            arguments["on_failure_callback"] = call("callback", string(own["on_failure"]))
        if own.get("on_sla_miss") and self._where.airflow == 2:
            arguments["sla_miss_callback"] = call("missed", string(own["on_sla_miss"]))
        elif self._late():
            arguments["**"] = "LATE"
        return call("DAG", **arguments)

    def _asks_version(self) -> bool:
        """Whether the file itself does something in one version of Airflow only."""
        has_sla = "sla" in self._called and self._where.lib == "file"
        return self._where.airflow is None and (has_sla or "missed" in self._called)

    def _late(self) -> list[str]:
        """What is called when a run or a task is late, in Airflow 3 or in whichever it is."""
        own = self._settings.pipeline
        if not own.get("on_sla_miss") or self._where.airflow == 2:
            return []
        if self._where.airflow is None:
            self._called.add("missed")
        missed = one_line(call("missed", string(own["on_sla_miss"])))
        in_2 = f'{{"sla_miss_callback": {missed}}} if IS_2 else {{}}'
        otherwise = "{}" if self._where.airflow else in_2
        if own.get("sla") is None:
            return [] if self._where.airflow else [f"LATE = {in_2}", ""]
        alert = call(
            "DeadlineAlert",
            "DeadlineReference.DAGRUN_QUEUED_AT",
            duration(own["sla"]),
            call("SyncCallback", string(own["on_sla_miss"].replace(":", "."))),
        )
        return [
            "try:  # Airflow 3.2: when the run is not over in time",
            "    from airflow.sdk.definitions.callback import SyncCallback",
            "    from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference",
            "",
            *self._statement("LATE = ", DictText((('"deadline"', alert),)), "", 4),
            "except ImportError:",
            f"    LATE = {otherwise}",
            "",
        ]

    def _start_date(self, own: Mapping[str, object]) -> Text:
        start, zone = own.get("start_date") or _START, own.get("timezone") or "UTC"
        zoned: dict[str, Text] = {} if zone == "UTC" else {"tz": literal(zone)}
        return call("pendulum.parse", literal(start), **zoned)

    def _tasks(self) -> list[str]:
        lines: list[str] = []
        groups: tuple[Group, ...] = ()
        for task in self._graph.tasks.values():
            if task.groups != groups:
                lines += [""] if lines else []
                lines += _open_groups(groups, task.groups)
                self._called.add("TaskGroup")
                groups = task.groups
            elif lines:
                lines.append("")
            lines += self._task(task)
        return lines

    def _task(self, task: Task) -> list[str]:
        indent = 4 * (len(task.groups) + 1)
        name = f"{self._name(task.id)} = " if self._is_named(task) else ""
        remark = _remark(task)
        lines = [comment(remark, indent)] if remark else []
        operator = operators.operator(self._kind(task), self._placed[task.id][0])
        arguments = self._arguments(task)
        if not task.source or task.kind not in operators.MAPPED:
            return lines + self._statement(name, call(operator, **arguments), "", indent)
        suffix = f".expand(item={self._name(task.source)}.output)"
        return lines + self._statement(
            name, call(f"{operator}.partial", **arguments), suffix, indent
        )

    def _kind(self, task: Task) -> str:
        """The kind of a task, with container steps apart from others."""
        is_step = task.kind == "step" and isinstance(task.node, Call)
        return "program" if is_step and self._container(task.node) else task.kind

    def _container(self, node: Node | None) -> Container | None:
        return self._steps[node.step].container if isinstance(node, Call) else None

    def _arguments(self, task: Task) -> dict[str, Text]:
        """The arguments of a task's operator, in the order to be written."""
        prefix = task.groups[-1].id + "." if task.groups else ""
        arguments: dict[str, Text] = {"task_id": string(task.id.removeprefix(prefix))}
        if self._placed[task.id][1] is not None:
            arguments["image"] = string(str(self._placed[task.id][1]))
        arguments |= self._own_arguments(task)
        if task.checks:
            arguments["checks"] = strings(task.checks)
        if task.is_caught and task.kind not in ("except", "finally"):  # these only look at others
            arguments["caught"] = "True"
        if task.kind in ("check", "raise") and task.clauses:
            arguments |= _loop_arguments(task)
        if task.body:
            arguments["body"] = strings(task.body)
        if task.lists:
            arguments["lists"] = strings(task.lists)
        for side in ("then", "otherwise"):
            if below := self._sides.get((task.id, side)):
                arguments[side] = strings(below)
        if task.rule == NONE_FAILED:
            arguments["trigger_rule"] = string(task.rule)
        if "step" in arguments and isinstance(task.node, Call):
            about = self._steps[task.node.step].description
            arguments |= {"doc_md": string(about)} if about else {}
        return arguments

    def _own_arguments(self, task: Task) -> dict[str, Text]:
        """The arguments that only operators of this kind have."""
        node = task.node
        if isinstance(node, Call) and task.kind == "step":
            return self._step_arguments(task, node)
        if isinstance(node, Fail) and task.kind == "raise":
            return _raise_arguments(node, self._graph)
        if task.kind in ("items", "items_after"):
            return _listing_arguments(task)
        if task.kind in ("branch", "handle"):
            return {"condition": string(task.condition)}
        return _outputs(self._program.result, self._graph) if task.kind == "outputs" else {}

    def _step_arguments(self, task: Task, node: Call) -> dict[str, Text]:
        writer = self._graph.writer
        step = self._steps[node.step]
        arguments: dict[str, Text] = {
            "step": string(step.key),
            "code": string(step.code[:_CODE_LENGTH]),
        }
        if node.arguments:
            inputs = [(string(a.name), string(writer.text(a.value))) for a in node.arguments]
            arguments["inputs"] = DictText(tuple(inputs))
        if step.outputs:
            arguments["outputs"] = strings(output.name for output in step.outputs)
        if task.clauses:
            arguments |= _loop_arguments(task)
        arguments |= self._settings.arguments(node, mapped=bool(task.source))
        executor = self._placed[task.id][0]
        if executor != PROCESS:
            from . import containers  # its imports cost as much as a small compile

            arguments |= containers.arguments(
                executor, self._settings.of(node), self._where, step.container
            )
        if step.container is not None:
            name = "container_step" if executor == KUBERNETES else "container"
            arguments[name] = literal(step.container.as_json())
        return arguments

    # ------------------------------------------------------------------ edges

    def _edges(self) -> list[str]:
        """The edges, as chains where a task has one task above it, and a list where it has many."""
        below: dict[tuple[str, ...], list[str]] = {}
        for task in self._graph.tasks.values():
            # `.expand(item=….output)` is an edge already.
            is_mapped = task.kind in operators.MAPPED
            above = [name for name in task.upstream if name != task.source or not is_mapped]
            labels = {name: self._label(name, task) for name in above}
            plain = [name for name in above if not labels[name]]
            starts: list[tuple[str, ...]] = [(self._joined(plain),)] if plain else []
            starts += [(self._name(name), labels[name]) for name in above if labels[name]]
            for start in starts:
                # Airflow has no edge from a list to a list.
                key = (*start, self._name(task.id)) if start[0].startswith("[") else start
                below.setdefault(key, []).append(task.id)
        chains: list[list[str]] = []
        for start, ends in below.items():
            single = start[:1] if start[0].startswith("[") else start
            _extend(chains, [*single, self._joined(ends)])
        lines = [line for chain in chains for line in _chain(chain)]
        return ["", *lines] if lines else []

    def _label(self, gate: str, task: Task) -> str:
        """What the edge from a gate to a task on one side of it says; empty for other edges."""
        side = dict(task.gates).get(gate)
        if side is None or task.id not in self._sides.get((gate, side), ()):
            return ""
        sides = {"then": "true", "otherwise": "false"}
        if self._graph.tasks[gate].kind != "branch":
            sides = {"then": "failed"}
        self._called.add("Label")
        return f'Label("{sides[side]}")'

    def _joined(self, names: list[str]) -> str:
        own = [self._name(name) for name in names]
        return own[0] if len(own) == 1 else f"[{', '.join(own)}]"

    def _is_named(self, task: Task) -> bool:
        return task.id in self._linked or bool(task.upstream)

    def _name(self, task_id: str) -> str:
        """The variable that holds a task."""
        if task_id not in self._names:
            name = task_id.replace(".", "_").replace("-", "_")
            while name in self._used:
                name += "_"
            self._used.add(name)
            self._names[task_id] = name
        return self._names[task_id]


def _interval(end: str, after: str) -> list[str]:
    """One end of the run's data interval: none in a run that was started by hand in 3.x."""
    name = f"data_interval_{end}"
    return [
        f"        \" '{name}': dag_run.{name}.isoformat()\"",
        f'        " if dag_run.{name} else none{after}"',
    ]


def _remark(task: Task) -> str:
    """What the arguments of a task do not say."""
    if task.kind == "outputs":
        return "The pipeline's outputs."
    return "Runs after skipped tasks, too." if task.rule == NONE_FAILED else ""


def _path(path: str) -> str:
    """The path from this file to the project, as source."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    way = "/".join(["" if path.startswith("/") else "..", *parts]) or "/"
    return f"Path(__file__, {string(way)}).resolve()"


def _outputs(result: Result, graph: Graph) -> dict[str, Text]:
    pairs = zip(result.names, result.values, strict=True)
    texts = tuple((string(name), string(graph.writer.text(value))) for name, value in pairs)
    if not texts:
        return {}
    arguments: dict[str, Text] = {"outputs": DictText(texts)}
    return arguments | ({"returns": string(result.kind)} if result.kind != "value" else {})


def _raise_arguments(node: Fail, graph: Graph) -> dict[str, Text]:
    if node.guard:
        return {"handled": string(node.guard)}
    arguments: dict[str, Text] = {"classes": strings(node.classes)}
    texts = [graph.writer.text(argument) for argument in node.arguments]
    return arguments | ({"arguments": strings(texts)} if texts else {})


def _loop_arguments(task: Task) -> dict[str, Text]:
    """What a mapped task has to know of the loops around it."""
    loops = [clause for clause in task.clauses if not clause.startswith("if ")]
    label = '"{{ task.item.label }}"'
    arguments: dict[str, Text] = {"loops": strings(loops), "map_index_template": label}
    if task.limit is not None:
        arguments["max_active_tis_per_dagrun"] = literal(task.limit)
    return arguments | ({"pre_execute": "in_order"} if task.limit == 1 else {})


def _listing_arguments(task: Task) -> dict[str, Text]:
    arguments: dict[str, Text] = {}
    if task.node is not None and task.node.id != task.id:
        arguments["node"] = string(task.node.id)
    arguments["loops"] = strings(task.clauses)
    for flag in ("fail_items", "always"):
        if getattr(task, flag):
            arguments[flag] = "True"
    return arguments


def _open_groups(old: tuple[Group, ...], new: tuple[Group, ...]) -> list[str]:
    shared = 0
    while shared < min(len(old), len(new)) and old[shared].id == new[shared].id:
        shared += 1
    lines: list[str] = []
    for depth in range(shared, len(new)):
        prefix = new[depth - 1].id + "." if depth else ""
        keywords: dict[str, Text] = {"group_id": string(new[depth].id.removeprefix(prefix))}
        if new[depth].description:
            keywords["tooltip"] = string(new[depth].description)
        lines += statement("with ", call("TaskGroup", **keywords), ":", 4 * (depth + 1))
    return lines


def _extend(chains: list[list[str]], chain: list[str]) -> None:
    """Add a chain, or go on with the last one where that ends at its start."""
    if chains and chains[-1][-1] == chain[0]:
        chains[-1] += chain[1:]
    else:
        chains.append(chain)


def _chain(names: list[str]) -> list[str]:
    """``a >> b >> c``, in as many lines as it takes."""
    lines: list[str] = []
    while len(names) > 1:
        count = 2
        while count < len(names) and len(" >> ".join(names[: count + 1])) + 4 <= WIDTH:
            count += 1
        if names[count - 1].startswith("Label("):  # it belongs to the edge that it stands in
            count += -1 if count > 2 else 1
        line = " >> ".join(names[:count])
        listed = next((name for name in names[:count] if name.startswith("[")), "")
        if len(line) + 4 > WIDTH and listed:
            before, _, after = line.partition(listed)
            items = [f"        {item}," for item in listed[1:-1].split(", ")]
            lines += [f"    {before}[", *items, f"    ]{after}"]
        else:
            lines.append("    " + line)
        names = names[count - 1 :]
    return lines
