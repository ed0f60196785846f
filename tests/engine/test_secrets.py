"""Secrets of all steps stay out of what any step of the run leaves behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from levada.engine.parameters import ParameterError

from tests.engine.project import Project, statuses

TOKEN = "correct horse/battery+staple"
LOGIN = "@step(secrets=['TOKEN']{settings})\ndef login():\n    return {value}\n\n"
PIPELINE = "@pipeline\ndef main():\n    return use(login())\n"


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", TOKEN)


def project(folder: Path, value: str, use: str = "return 1", settings: str = "") -> Project:
    body = f"@step\ndef use(given):\n    {use}\n\n"
    return Project(folder, LOGIN.format(value=value, settings=settings) + body + PIPELINE)


def everything(project: Project) -> str:
    """All texts of the store but its blobs, and what the run has told."""
    store = Path(project.store)
    paths = [path for path in store.rglob("*") if path.is_file() and "blobs" not in path.parts]
    told = "".join(repr(event) for event in project.events)
    return told + "".join(path.read_text() for path in paths)


ENCODED = [
    "os.environ['TOKEN']",
    "repr(os.environ['TOKEN'])",
    "__import__('json').dumps(os.environ['TOKEN'])",
    "__import__('urllib.parse').parse.quote(os.environ['TOKEN'])",
    "__import__('urllib.parse').parse.quote_plus(os.environ['TOKEN'])",
    "__import__('base64').b64encode(os.environ['TOKEN'].encode()).decode()",
    "__import__('base64').urlsafe_b64encode(b'user:' + os.environ['TOKEN'].encode()).decode()",
]


@pytest.mark.parametrize("text", ENCODED)
def test_a_secret_of_another_step_is_masked(tmp_path: Path, text: str) -> None:
    lines = f"text = {text}; print(text); raise ValueError(f'{{text}} refused')"
    one = project(tmp_path, "1", lines)
    outcome = one.run(logs=True)
    assert outcome.status == "failed"
    found = everything(one) + json.dumps(outcome.as_json())
    assert "refused" in found
    shown = str(eval(text, {"os": __import__("os")}))
    assert shown not in found
    assert TOKEN not in found
    assert "***" in one.log(outcome, "use")


def test_what_the_pipeline_computes_with_a_secret_is_masked(tmp_path: Path) -> None:
    one = Project(
        tmp_path,
        LOGIN.format(value="'token=' + os.environ['TOKEN']", settings=", allow_secret_output=True")
        + "@pipeline\ndef main():\n    text = login()\n    raise ValueError(f'no {text}')\n",
    )
    outcome = one.run()
    assert outcome.error is not None
    assert (outcome.error["type"], outcome.error["message"]) == ("ValueError", "no token=***")
    assert TOKEN not in everything(one)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("os.environ['TOKEN']", "the return value of pipeline:login"),
        ("{'auth': ['Bearer ' + os.environ['TOKEN']]}", 'TOKEN at ["auth"][0]'),
        ("{os.environ['TOKEN']: 1}", "TOKEN:"),
        ("os.environ['TOKEN'].encode() + b'!'", "TOKEN:"),
        ("__import__('base64').b64encode(os.environ['TOKEN'].encode())", "TOKEN:"),
    ],
)
def test_a_step_that_returns_a_secret_fails(tmp_path: Path, value: str, what: str) -> None:
    one = project(tmp_path, value, settings=", retry=3")
    outcome = one.run()
    assert statuses(outcome) == {"login": "failed", "use": "skipped"}
    error = one.record(outcome, "login")["error"]
    assert (error["type"], error["permanent"]) == ("SecretOutputError", True)
    assert what in error["message"]
    assert "allow_secret_output=True" in error["message"]
    kept = b"".join(path.read_bytes() for path in Path(one.store).rglob("*") if path.is_file())
    assert TOKEN.encode() not in kept


def test_a_named_output_with_a_secret_is_named(tmp_path: Path) -> None:
    source = (
        "from typing import NamedTuple\n\n"
        "class Session(NamedTuple):\n    user: str\n    key: str\n\n"
        "@step(secrets=['TOKEN'])\ndef login() -> Session:\n"
        "    return Session('me', os.environ['TOKEN'])\n\n"
        "@pipeline\ndef main():\n    return login().user\n"
    )
    outcome = Project(tmp_path, source).run()
    assert outcome.error is not None
    assert "the output `key` of pipeline:login" in outcome.error["message"]


def test_an_artifact_with_a_secret_is_refused(tmp_path: Path) -> None:
    value = "__import__('levada').log_artifact('config', {'key': os.environ['TOKEN']})"
    outcome = project(tmp_path, value).run()
    assert outcome.error is not None
    assert "the artifact `config`" in outcome.error["message"]


def test_a_step_may_say_that_it_returns_a_secret(tmp_path: Path) -> None:
    setting = ", allow_secret_output=True"
    one = project(tmp_path, "os.environ['TOKEN']", "return len(given)", setting)
    outcome = one.run()
    assert outcome.displayed_outputs() == len(TOKEN)
    assert TOKEN not in everything(one)


def test_a_step_that_passes_a_secret_on_needs_the_setting_too(tmp_path: Path) -> None:
    setting = ", allow_secret_output=True"
    outcome = project(tmp_path, "os.environ['TOKEN']", "return given", setting).run()
    assert statuses(outcome) == {"login": "succeeded", "use": "failed"}


@pytest.mark.parametrize("secret", ["1", "no", "dev"])
def test_a_short_secret_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("TOKEN", secret)
    one = project(tmp_path, "{'text': '1 node of the developers'}", "print(given); return 1")
    assert one.run().displayed_outputs() == 1


def test_a_secret_that_only_a_call_has_is_masked(tmp_path: Path) -> None:
    source = (
        "@step\ndef login():\n    return 1\n\n@step\ndef use(given):\n"
        "    print(os.environ['TOKEN'])\n    return given\n\n"
        "@pipeline\ndef main():\n    return use(login.options(secrets=['TOKEN'])())\n"
    )
    one = Project(tmp_path, source)
    outcome = one.run()
    assert one.log(outcome, "use") == "***\n"


def test_the_name_of_an_exception_class_with_a_secret_is_masked(tmp_path: Path) -> None:
    lines = "raise type('No' + os.environ['TOKEN'], (ValueError,), {})('refused')"
    one = project(tmp_path, "1", lines)
    outcome = one.run()
    assert outcome.error is not None
    assert outcome.error["type"] == "No***"
    assert "builtins.ValueError" in one.record(outcome, "use")["error"]["bases"]
    assert TOKEN not in everything(one) + json.dumps(outcome.as_json())


CALLBACKS = {
    "print": "print(os.environ['TOKEN']); print(os.environ['TOKEN'], file=sys.stderr)",
    "process": "subprocess.run(['sh', '-c', 'echo $TOKEN'])",
    "raise": "raise ValueError(os.environ['TOKEN'])",
    "exit": "sys.exit(os.environ['TOKEN'])",
}


@pytest.mark.parametrize("body", CALLBACKS.values(), ids=CALLBACKS)
def test_what_a_callback_prints_is_masked(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], body: str
) -> None:
    source = (
        f"def told(context):\n    {body}\n\n"
        "@step(secrets=['TOKEN'], on_failure='pipeline:told')\ndef fails():\n    raise OSError\n\n"
        "@pipeline\ndef main():\n    return fails()\n"
    )
    assert Project(tmp_path, source).run().status == "failed"
    shown = "".join(capfd.readouterr())
    assert "***" in shown
    assert TOKEN not in shown


@pytest.mark.parametrize("run_id", [TOKEN, f"nightly {TOKEN}"])
def test_a_run_id_that_holds_a_secret_is_refused(tmp_path: Path, run_id: str) -> None:
    one = Project(tmp_path, LOGIN.format(value="1", settings="") + PIPELINE.replace("use(", "("))
    with pytest.raises(ParameterError, match="the run id holds the value of the secret TOKEN"):
        one.run(run_id=run_id)
    assert not Path(one.store, "runs").exists()


@pytest.mark.parametrize("given", [TOKEN, {"url": [f"db://u:{TOKEN}@host"]}])
def test_a_parameter_that_holds_a_secret_is_refused(tmp_path: Path, given: object) -> None:
    steps = LOGIN.format(value="1", settings="")
    one = Project(tmp_path, steps + "@pipeline\ndef main(given: object):\n    return login()\n")
    with pytest.raises(ParameterError) as refused:
        one.run({"given": given})
    assert "`given` holds the value of the secret TOKEN" in str(refused.value)
    assert not Path(one.store, "runs").exists()
    assert one.run({"given": "public"}).status == "succeeded"
