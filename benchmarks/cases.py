"""What is compared: each benchmark is a list of commands, Levada's first, and its aims."""

import ast
import json
import re
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import generate
from benchmarks.measure import CannotRunError, Places, Subject

Check = Callable[[Places, str], None]

LEVADA = str(Path(sys.executable).parent / "levada")
PIPELINES = Path(__file__).parent / "pipelines"
TEN_STEPS = PIPELINES / "ten_steps.py"
TEN_STEPS_KFP = PIPELINES / "ten_steps_kfp.py"
STEPS = 50  # of a local run
MANY_STEPS = 1000  # of a large compile
PANDAS = PIPELINES / "pandas_steps.py"
PANDAS_STEPS = 10
MANY_FILES = PIPELINES / "many_files.py"
SAVED_OUTPUTS = PIPELINES / "saved_outputs.py"


@dataclass(frozen=True)
class Aim:
    """Levada takes at most `seconds`, or `rival` takes at least `times` as long as Levada."""

    rival: str = ""
    times: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Benchmark:
    """Subjects that do the same work; the first is Levada."""

    name: str
    title: str
    subjects: list[Subject]
    aims: list[Aim]
    runs: int
    warm_ups: int = 1


def all_benchmarks() -> list[Benchmark]:
    from benchmarks.projects import project_benchmarks

    return [
        *(compile_cold(), compile_warm(), compile_many(), run_cold(), run_cached()),
        *(run_pandas(), open_files(), save_outputs()),
        *project_benchmarks(),
    ]


def compile_cold() -> Benchmark:
    steps = _steps_of(TEN_STEPS)
    return Benchmark(
        "compile-cold",
        "cold compile of a 170-line module of 10 steps, no compile cache",
        [
            _levada_compile(str(TEN_STEPS), steps, place="{fresh}"),
            _kfp_compile(str(TEN_STEPS_KFP), steps),
            _libcst_floor(str(TEN_STEPS)),
        ],
        [Aim("floor: libcst parses the module", times=1), Aim("kfp dsl compile", times=15)],
        runs=15,
    )


def compile_warm() -> Benchmark:
    return Benchmark(
        "compile-warm",
        "second compile of the same module, unchanged",
        [
            _levada_compile(str(TEN_STEPS), _steps_of(TEN_STEPS), place="{work}"),
            python_floor(),
        ],
        [Aim(seconds=0.020)],
        runs=30,
        warm_ups=2,
    )


def compile_many() -> Benchmark:
    steps = generate.names(MANY_STEPS)
    module = {"chain.py": _text(generate.levada_module(MANY_STEPS))}
    kfp_module = {"chain.py": _text(generate.kfp_module(MANY_STEPS))}
    return Benchmark(
        "compile-1000",
        f"cold compile of {MANY_STEPS:,} steps in a chain, no compile cache",
        [
            _levada_compile("{work}/chain.py", steps, place="{fresh}", files=module),
            _kfp_compile("{work}/chain.py", steps, files=kfp_module),
            _libcst_floor("{work}/chain.py", files=module),
        ],
        [],
        runs=5,
    )


def run_cold() -> Benchmark:
    chain = _text(generate.levada_calls(STEPS))
    return Benchmark(
        "run-50",
        f"local run of {STEPS} trivial steps in a chain, nothing cached",
        [
            _levada_run("{fresh}", chain, STEPS, cached=False),
            _metaflow_run(),
            _zenml_run(cached=False),
            _forks_floor(),
            _processes_floor(),
        ],
        [Aim("metaflow", times=20), Aim("zenml", times=20)],
        runs=3,
    )


def run_cached() -> Benchmark:
    chain = _text(generate.levada_calls(STEPS))
    return Benchmark(
        "run-50-cached",
        f"the same {STEPS} steps again, all cached",
        [
            _levada_run("{work}", chain, STEPS, cached=True),
            _zenml_run(cached=True),
            python_floor(),
        ],
        [Aim(seconds=0.3)],
        runs=5,
        warm_ups=2,  # the first fills the cache
    )


def run_pandas() -> Benchmark:
    loop = f'i=0; while [ $i -lt {PANDAS_STEPS} ]; do "$0" -c "$1" || exit 1; i=$((i+1)); done'
    code = "import pandas; pandas.Series([1, 1]).sum()"
    return Benchmark(
        "run-pandas",
        f"local run of {PANDAS_STEPS} steps that use pandas, nothing cached",
        [
            _levada_run("{fresh}", PANDAS.read_text(), PANDAS_STEPS, cached=False),
            Subject(
                f"floor: {PANDAS_STEPS} bare processes that use pandas",
                ["sh", "-c", loop, sys.executable, code],
                _nothing,
            ),
        ],
        [],
        runs=5,
    )


def open_files() -> Benchmark:
    """The time of the step's own code: what has been read is digested after it."""
    module = {"many_files.py": MANY_FILES.read_text()}
    code = "import many_files; print(many_files.seconds_to_read())"
    return Benchmark(
        "open-10000",
        "a step that does nothing but open 10,000 files, as it sees it itself",
        [
            Subject(
                "levada run",
                [LEVADA, "run", "many_files.py", "--json"],
                _unchecked,
                env={"LEVADA_STORE": "{fresh}/store"},
                files=module,
                reported=_output,
            ),
            Subject(
                "floor: the same function in a bare process",
                [sys.executable, "-c", code],
                _unchecked,
                env={"PYTHONPATH": "{work}"},
                files=module,
                reported=float,
            ),
        ],
        [Aim("floor: the same function in a bare process", times=1 / 1.1)],
        runs=7,
    )


def save_outputs() -> Benchmark:
    return Benchmark(
        "save-outputs",
        "a step that returns 27 MB of numbers as 8 named outputs, or as one list",
        [_saved("levada run, 8 outputs", "eight"), _saved("levada run, one list", "one")],
        [Aim("levada run, one list", times=1 / 1.2)],
        runs=5,
    )


def _levada_compile(
    module: str, steps: list[str], place: str, files: dict[str, str] | None = None
) -> Subject:
    return Subject(
        "levada compile",
        [LEVADA, "compile", module, "--target", "airflow", "-o", f"{place}/out"],
        _names_in(f"{place}/out", "*.py", steps),
        env={"LEVADA_CACHE_DIR": f"{place}/cache"},
        files=files or {},
    )


def _kfp_compile(module: str, steps: list[str], files: dict[str, str] | None = None) -> Subject:
    return Subject(
        "kfp dsl compile",
        ["{bin}/kfp", "dsl", "compile", "--py", module, "--output", "{fresh}/out.yaml"],
        _names_in("{fresh}", "out.yaml", [f"exec-{name.replace('_', '-')}" for name in steps]),
        engine="kfp",
        files=files or {},
    )


def _levada_run(store: str, module: str, steps: int, *, cached: bool) -> Subject:
    def check(places: Places, _printed: str) -> None:
        runs = Path(places.fill(store), "store/runs").glob("*/*")
        newest = max(runs, key=lambda run: run.stat().st_mtime_ns, default=None)
        records = newest.glob("*/**/record.json") if newest else []
        found = Counter(json.loads(record.read_text())["cache"]["hit"] for record in records)
        _expect("steps, by whether cached", dict(found), {cached: steps})

    return Subject(
        "levada run",
        [LEVADA, "run", "chain.py", "--json"],
        check,
        env={"LEVADA_STORE": f"{store}/store", "LEVADA_CACHE_DIR": f"{store}/cache"},
        files={"chain.py": module},
    )


def _metaflow_run() -> Subject:
    def check(places: Places, printed: str) -> None:
        done = len(list(places.fresh.glob(".metaflow/Chain/*/[!_]*/*/*.DONE.lock")))
        _expect("finished tasks", done, STEPS)
        _expect(f"`x is {STEPS}` printed", f"x is {STEPS}" in printed, True)

    return Subject(
        "metaflow",
        ["{bin}/python", "chain.py", "run"],
        check,
        engine="metaflow",
        env={"METAFLOW_DATASTORE_SYSROOT_LOCAL": "{fresh}"},
        files={"chain.py": _text(generate.metaflow_calls(STEPS))},
    )


def _zenml_run(*, cached: bool) -> Subject:
    def check(places: Places, _printed: str) -> None:
        database = places.work / "stores/default_zen_store/zenml.db"
        _expect("steps", _zenml_steps(database), {"cached" if cached else "completed": STEPS})
        outputs = places.work.glob(f"stores/*/add_one_{STEPS}/output/*/*/data.json")
        _expect("last outputs", {path.read_text() for path in outputs}, {str(STEPS)})

    return Subject(
        "zenml",
        ["{bin}/python", "chain.py"],
        check,
        engine="zenml",
        env={
            "CACHE": "on" if cached else "off",
            "ZENML_CONFIG_PATH": "{work}/config",
            "ZENML_LOCAL_STORES_PATH": "{work}/stores",
            "ZENML_ANALYTICS_OPT_IN": "false",
            "AUTO_OPEN_DASHBOARD": "false",
        },
        files={"chain.py": _text(generate.zenml_calls(STEPS))},
    )


def _zenml_steps(database: Path) -> dict[str, int]:
    """How many steps of the newest run ended how."""
    newest = "SELECT id FROM pipeline_run ORDER BY created DESC LIMIT 1"
    count = f"SELECT status, COUNT(*) FROM step_run WHERE pipeline_run_id = ({newest}) GROUP BY 1"
    connection = sqlite3.connect(database)
    try:
        return dict(connection.execute(count).fetchall())
    finally:
        connection.close()


def _libcst_floor(module: str, files: dict[str, str] | None = None) -> Subject:
    code = "import libcst, sys; libcst.parse_module(open(sys.argv[1]).read())"
    return Subject(
        "floor: libcst parses the module",
        ["{bin}/python", "-c", code, module],
        _nothing,
        engine="libcst",
        files=files or {},
    )


def python_floor() -> Subject:
    return Subject("floor: python -c pass", [sys.executable, "-c", "pass"], _nothing)


def _forks_floor() -> Subject:
    code = f"import os\nfor _ in range({STEPS}): os.waitpid(os.fork() or os._exit(0), 0)"
    return Subject(f"floor: {STEPS} raw forks", [sys.executable, "-c", code], _nothing)


def _processes_floor() -> Subject:
    loop = f'i=0; while [ $i -lt {STEPS} ]; do "$0" -c pass || exit 1; i=$((i+1)); done'
    return Subject(f"floor: {STEPS} x python -c pass", ["sh", "-c", loop, sys.executable], _nothing)


def _saved(name: str, pipeline: str) -> Subject:
    def check(places: Places, _printed: str) -> None:
        records = list(Path(places.fresh, "store/runs").glob(f"{pipeline}/*/*/**/record.json"))
        _expect("records", len(records), 1)

    return Subject(
        name,
        [LEVADA, "run", f"saved_outputs.py:{pipeline}"],
        check,
        env={"LEVADA_STORE": "{fresh}/store"},
        files={"saved_outputs.py": SAVED_OUTPUTS.read_text()},
    )


def _output(printed: str) -> float:
    """The number that a run returned, among what it says of its steps."""
    found = re.search(r'"outputs": ([\d.e-]+)', printed)
    _expect("an output", bool(found), wanted=True)
    return float(found[1])


def _unchecked(_places: Places, _printed: str) -> None:
    """What it prints is read as the time."""


def _nothing(_places: Places, printed: str) -> None:
    _expect("printed", printed, "")


def _names_in(folder: str, pattern: str, names: list[str]) -> Check:
    """Each step's name is in what was written."""

    def check(places: Places, _printed: str) -> None:
        files = Path(places.fill(folder)).rglob(pattern)
        text = "\n".join(file.read_text() for file in files)
        _expect("steps missing in the output", [name for name in names if name not in text], [])

    return check


def _expect(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise CannotRunError(f"{what}: {found}, expected {wanted}")


def _steps_of(module: Path) -> list[str]:
    functions = ast.parse(module.read_text()).body
    return [
        function.name
        for function in functions
        if isinstance(function, ast.FunctionDef)
        and any("step" in ast.unparse(decorator) for decorator in function.decorator_list)
    ]


def _text(lines: generate.Lines) -> str:
    return "\n".join(lines) + "\n"
