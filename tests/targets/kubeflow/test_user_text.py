"""Whatever a user writes in a string arrives as it is; nothing on its way takes it for its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from levada import expressions
from levada.kubeflow import exact, unescaped
from levada_backends.kubeflow import TARGET
from levada_backends.kubeflow.run_parameters import as_given
from levada_compiler.compilation import compile_file
from levada_compiler.diagnostics.diagnostic import Span
from levada_compiler.program.ir import (
    Argument,
    Call,
    Const,
    Parameter,
    Program,
    Result,
    Setting,
    Step,
    Type,
)
from levada_compiler.target_checks import check

from tests.pods.kubernetes_expansion import expand
from tests.targets.kubeflow.emission import OPTIONS

NASTY = (
    *("", " ", "{{", "{{{", "{{$}}", "{{$.inputs.parameters['x']}}", "{{workflow.name}}", "{{=1}}"),
    *("$(HOME)", "$$", "$$(HOME)", "$é", "$", "${X}", "%7B", "%257B", "%24(", "100%", "%", "%25"),
    *("'", '"', "\\", "\n", "\r\n", "\t", "\x00", "\x85", "\u2028", "\ufeff", "🎈", "a: b", "- a"),
    *("node x", "caught\ncaught", 'unless "a"', "x=y", "#", "|-", "trailing \n \n", "$" * 5),
)
texts = st.one_of(
    st.sampled_from(NASTY), st.text(), st.text(st.sampled_from("{}$(%7B245)é\"'\\\n a"))
).filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text))
SPAN = Span("p.py", 1, 1, 1, 1)
NOTHING = Result((), (), "none", SPAN)
#: What Levada means to be replaced.
OWN = ("{{$}}", "{{$.pipeline_job_uuid}}")


@settings(max_examples=60)
@given(texts, texts)
def test_text_arrives_as_it_is(constant: str, other: str) -> None:
    text = emit(constant, other)
    pipeline = next(iter(yaml.load_all(text, yaml.CSafeLoader)))
    task, _ = pipeline["root"]["dag"]["tasks"].values()
    call = task["inputs"]["parameters"]["levada-call"]["runtimeValue"]["constant"]
    scope = expressions.Scope({}, {}, None)  # type: ignore[arg-type]
    assert expressions.value(unescaped(call)["sources"][0]["text"], scope) == constant
    container, _ = [e["container"] for e in pipeline["deploymentSpec"]["executors"].values()]
    request = unescaped(json.loads(container["args"][0]))
    assert request["step"]["settings"]["environment"] == {"TEXT": constant}
    declared = pipeline["root"]["inputDefinitions"]["parameters"]["given"]
    kind = request["kubeflow"]["parameters"]["given"]
    assert exact(declared["defaultValue"], kind) == other
    # The client finds the kind in the text.
    assert as_given(text, {"given": "x"}) == {"given": '"x"' if kind == "json" else "x"}


@settings(max_examples=60)
@given(texts, texts)
def test_nothing_would_be_replaced(constant: str, other: str) -> None:
    """Neither Argo nor Kubernetes finds anything of its own in what they are given."""
    pipeline = next(iter(yaml.load_all(emit(constant, other), yaml.CSafeLoader)))
    for text in strings(
        {name: pipeline[name] for name in ("root", "components", "deploymentSpec")}
    ):
        for own in OWN:
            text = text.replace(own, "")
        assert "{{" not in text
        assert expand(text, {}) == text


def strings(value: Any) -> Iterator[str]:
    """All strings in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def emit(constant: str, other: str) -> str:
    """A pipeline of one step, with texts wherever a user can have them."""
    text = Type("str", text="str")
    environment = Setting("environment", json.dumps({"TEXT": constant}), SPAN)
    taken = Parameter("text", text, None, "", SPAN)
    step = Step(
        "p:say", "p", "say", ".", other, (taken,), text, (), (environment,), "sha256:0", (), SPAN
    )
    given_ = Parameter("given", text, json.dumps(other, ensure_ascii=False), constant, SPAN)
    call = Call("say", "p:say", (Argument("text", Const(constant, SPAN), SPAN),), (), (), SPAN)
    program = Program(
        "p", other, "p.py", "sha256:0", (".",), (given_,), (), (step,), (call,), NOTHING, SPAN
    )
    (found,) = TARGET.emit(program, OPTIONS).values()
    return found


def test_a_large_pipeline_is_cut_into_dags_that_fit(tmp_path: Path) -> None:
    """Each driver gets its DAG as one argument of at most 128 KiB."""
    module = tmp_path / "many.py"
    calls = "\n".join(f"    x = add(x, {number})" for number in range(1000))
    module.write_text(
        "from levada import pipeline, step\n\n\n@step\ndef add(x: int, y: int) -> int:\n"
        f"    return x + y\n\n\n@pipeline\ndef many(x: int = 0):\n{calls}\n    return x\n"
    )
    program = compile_file(module).program
    assert program is not None
    found = check(TARGET, program, OPTIONS)
    assert [one.id for one in found] == ["kubeflow-workflow-size"]
    (text,) = TARGET.emit(program, OPTIONS).values()
    pipeline = next(iter(yaml.load_all(text, yaml.CSafeLoader)))
    dags = [pipeline["root"], *(c for c in pipeline["components"].values() if "dag" in c)]
    assert len(dags) > 3
    assert max(len(json.dumps(dag)) for dag in dags) < 128 * 1024
    assert len(re.findall("step: many:add", text)) == 1000


def test_what_a_container_knows_fits_in_an_argument(tmp_path: Path) -> None:
    """Of named values and of steps there may be more, and all is text in text for a driver."""
    steps = "".join(
        f"@step\ndef work_{number}(x: str) -> str:\n    return x\n\n\n" for number in range(700)
    )
    values = "".join(f"    v{number} = x + {'é' * 60 + chr(34) * 20!r}\n" for number in range(300))
    calls = "".join(f"    work_{number}(v{number % 300})\n" for number in range(700))
    module = tmp_path / "wide.py"
    module.write_text(
        "from levada import pipeline, step\n\n\n"
        f"{steps}@pipeline\ndef wide(x: str = ''):\n{values}{calls}"
    )
    program = compile_file(module).program
    assert program is not None
    (text,) = TARGET.emit(program, OPTIONS).values()
    pipeline = next(iter(yaml.load_all(text, yaml.CSafeLoader)))
    containers = [e["container"] for e in pipeline["deploymentSpec"]["executors"].values()]
    assert len(containers) > 2
    assert max(len(json.dumps(one)) for one in containers) < 128 * 1024
