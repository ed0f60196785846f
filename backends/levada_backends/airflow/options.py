"""What ``[tool.levada.targets.airflow]`` says of where steps run; the names are Airflow's own."""

from __future__ import annotations

from levada.store import url_problem
from levada_compiler.options import (
    FLAG,
    MAPPING,
    POSITIVE,
    TABLES,
    TEXT,
    TEXTS,
    Kind,
    Option,
    OptionTable,
    choice,
)

from ..pods.option_kinds import REFERENCES, VARIABLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any
else:
    Any = object  # `typing` costs more than this module

PROCESS, DOCKER, KUBERNETES = "process", "docker", "kubernetes"
EXECUTORS = (PROCESS, DOCKER, KUBERNETES)
#: The uid that is in images that Levada builds, and what a cluster is asked for.
UID = 65532
#: What the address of a record may name.
RECORD_FIELDS = ("pipeline", "run_id", "step", "item", "attempt", "path")
#: A ``user`` that the cluster assigns, as OpenShift does.
ASSIGNED = "assigned"


def _user(name: str, value: object) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise TypeError(f'{name} must be a number, or "{ASSIGNED}", not {value!r}')
    return value


def _volumes(name: str, value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(map(_is_volume, value)):
        raise TypeError(f"{name} must be a list of tables with `claim` and `path`, not {value!r}")
    return value


def _is_volume(value: object) -> bool:
    if not isinstance(value, dict) or set(value) - {"claim", "path", "read_only"}:
        return False
    named = [value.get("claim"), value.get("path")]
    flag = isinstance(value.get("read_only", False), bool)
    return flag and all(isinstance(each, str) and each for each in named)


def _record_url(name: str, value: object) -> str:
    fields = ", ".join(f"{{{field}}}" for field in RECORD_FIELDS)
    if not isinstance(value, str) or not _is_record_url(value):
        raise ValueError(f"{name} must be an address with any of {fields}, not {value!r}")
    return value


def _is_record_url(value: str) -> bool:
    if not value.startswith(("http://", "https://")):
        return False
    from string import Formatter

    try:
        parts = list(Formatter().parse(value))
    except ValueError:  # a brace without its other half
        return False
    plain = all(not format_spec and not conversion for _, _, format_spec, conversion in parts)
    return plain and all(name is None or name in RECORD_FIELDS for _, name, _, _ in parts)


_EXECUTOR = choice(*EXECUTORS)


class Options(OptionTable):
    """The options: where steps run, what the containers are made of, and where Airflow is."""

    executor = Option[str](_EXECUTOR, PROCESS, "Where steps run that do not say it themselves.")
    decisions = Option[str | None](
        _EXECUTOR,
        None,
        "Where conditions, lists of items and outputs run.",
        otherwise="as the step that they look at",
    )
    image = Option[str | None](
        TEXT, None, "The image of steps that have none.", example='"ghcr.io/team/steps:1"'
    )
    store = Option[str | None](
        TEXT,
        None,
        "The store as containers reach it: a URL, or a folder in one of the `volumes`.",
        example='"s3://bucket/levada"',
        otherwise="required with containers",
    )
    store_environment = Option[dict[str, str]](
        VARIABLES,
        {},
        "Variables of pods by which the store's service is reached: region, endpoint.",
    )
    store_secrets = Option[dict[str, str]](
        REFERENCES,
        {},
        "Variables of pods with the store's credentials, from Secrets, where no role gives any.",
    )
    volumes = Option[list[dict[str, Any]]](
        Kind(
            _volumes,
            "Sequence[Mapping[str, object]]",
            {},
            '[{ claim = "levada-store", path = "/store" }]',
        ),
        [],
        "What all containers have mounted: a claim in Kubernetes, a volume or a folder of the host"
        " in Docker; `read_only` too.",
    )
    user = Option[int | str | None](
        Kind(_user, "int | str", {}, "1000"),
        None,
        'The uid of containers, which must be able to write to the store; `"assigned"` leaves it to'
        " the cluster (OpenShift).",
        otherwise="65532 in pods, that of the image in Docker",
    )
    docker_url = Option[str | None](
        TEXT,
        None,
        "The Docker engine of a `DockerOperator`.",
        example='"tcp://docker:2375"',
        otherwise="DOCKER_HOST of the worker",
    )
    docker_conn_id = Option[str | None](
        TEXT, None, "The connection of a `DockerOperator`, for a registry with a login."
    )
    network_mode = Option[str | None](
        TEXT, None, "The network of a `DockerOperator`'s container.", example='"bridge"'
    )
    kubernetes_conn_id = Option[str | None](
        TEXT,
        None,
        "The connection of a `KubernetesPodOperator`.",
        otherwise="`kubernetes_default`",
    )
    cluster_context = Option[str | None](
        TEXT, None, "The context of the kubeconfig of a `KubernetesPodOperator`."
    )
    namespace = Option[str | None](
        TEXT, None, "The namespace of pods.", example='"ml"', otherwise="the worker's own"
    )
    service_account_name = Option[str | None](TEXT, None, "The service account of every pod.")
    image_pull_secrets = Option[list[str]](
        TEXTS, [], "Names of the Secrets that images are pulled with."
    )
    secret = Option[str | None](TEXT, None, "The Secret of references that name only a key.")
    node_selector = Option[dict[str, str]](
        MAPPING,
        {},
        "The node selector of every pod whose step has none.",
        example='{ disk = "ssd" }',
    )
    tolerations = Option[list[dict[str, Any]]](
        TABLES,
        [],
        "The tolerations of every pod whose step has none.",
        example='[{ key = "gpu", operator = "Exists" }]',
    )
    labels = Option[dict[str, str]](MAPPING, {}, "Labels of every pod.", example='{ team = "ml" }')
    annotations = Option[dict[str, str]](
        MAPPING,
        {},
        "Annotations of every pod.",
        example='{ "sidecar.istio.io/inject" = "false" }',
    )
    priority_class_name = Option[str | None](TEXT, None, "The priority class of every pod.")
    startup_timeout_seconds = Option[int](
        POSITIVE, 600, "How long a pod may take to start.", example="900"
    )
    deferrable = Option[bool](
        FLAG,
        False,
        "Whether steps in pods wait in Airflow's triggerer, not in a worker's slot.",
        example="true",
    )
    url = Option[str](
        TEXT,
        "",
        "The address of Airflow's web interface.",
        example='"https://airflow.example.com"',
    )
    username = Option[str](TEXT, "", "Who we are there, with `password_env`.", example='"levada"')
    password_env = Option[str](
        TEXT,
        "",
        "The environment variable with the password.",
        example='"AIRFLOW_PASSWORD"',
    )
    token_env = Option[str](
        TEXT,
        "",
        "The environment variable with a token, in place of a password.",
        example='"AIRFLOW_TOKEN"',
    )
    ca_file = Option[str](
        TEXT,
        "",
        "The certificate authority of the address, where the system does not know it.",
        example='"ca.pem"',
    )
    dags_folder = Option[str](
        TEXT,
        "",
        "Where `levada deploy` copies the file to: the DAG folder, or one in a checkout.",
        example='"~/airflow/dags"',
    )
    airflow = Option[int | None](
        choice(2, 3),
        None,
        "The only version of Airflow that the file is for.",
        example="3",
        otherwise="both",
    )
    lib = Option[str](
        choice("file", "module"),
        "file",
        "Where the classes of operators are: in each DAG file, or in a module beside them all.",
        example='"module"',
    )
    record_url = Option[str | None](
        Kind(_record_url, "str", {}, '"https://levada.example.com/{path}"'),
        None,
        "The address of a step's record, with any of "
        + ", ".join(f"`{{{name}}}`" for name in RECORD_FIELDS)
        + ".",
        otherwise="that in a `store` at http(s)://",
    )
    plugins_folder = Option[str | None](
        TEXT,
        None,
        "Where `levada deploy` puts the plugin by which Airflow 2 shows that address.",
        example='"~/airflow/plugins"',
    )

    @property
    def record(self) -> str | None:
        """The pattern of the address of a record: in the store where that has one."""
        if self.record_url is None and (self.store or "").startswith(("http://", "https://")):
            from levada import records  # with the store, which few files need

            store = str(self.store).rstrip("/").replace("{", "{{").replace("}", "}}")
            return records.record_path(f"{store}/{{path}}")
        return self.record_url

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Yield a store that nothing can open, and what Kubernetes would refuse of pods."""
        is_of_web = (self.store or "").startswith(("http://", "https://"))
        if self.store and not is_of_web and (unknown := url_problem(self.store)):
            yield "store", f"`store` is {self.store}: {unknown}"
        if KUBERNETES not in (self.executor, self.decisions) and not self.namespace:
            return
        yield from self._refused_names()
        yield from self._refused_labels()
        from ..pods.check import toleration_problem

        for each in self.tolerations:
            if problem := toleration_problem(each):
                yield (
                    "tolerations",
                    f"`tolerations` has one that Kubernetes would refuse: {problem}",
                )
        if isinstance(self.user, int) and self.user < 1:
            why = "root is refused by restricted namespaces"
            yield "user", f"`user` must be more than 0: {why}"
        elif isinstance(self.user, str) and self.user != ASSIGNED:
            why = "where the cluster assigns one"
            yield "user", f'`user` must be a number, or "{ASSIGNED}" {why}'

    def _refused_names(self) -> Iterator[tuple[str, str]]:
        from ..pods import names

        strict = {"namespace": self.namespace}
        others = {
            "service_account_name": self.service_account_name,
            "priority_class_name": self.priority_class_name,
            "secret": self.secret,
        }
        for option, text in (strict | others).items():
            problem_of = names.label_problem if option in strict else names.subdomain_problem
            if text is not None and (problem := problem_of(text)):
                yield option, f"`{option}` is no name in Kubernetes: {problem}"
        for name in self.image_pull_secrets:
            if problem := names.subdomain_problem(name):
                shown = f"`image_pull_secrets` has `{name}`, which is no name of a Secret"
                yield "image_pull_secrets", f"{shown}: {problem}"

    def _refused_labels(self) -> Iterator[tuple[str, str]]:
        from ..pods import names

        tables = {
            "labels": self.labels,
            "annotations": self.annotations,
            "node_selector": self.node_selector,
        }
        for option, table in tables.items():
            for key, value in table.items():
                problem = names.key_problem(key)
                if not problem and option != "annotations":
                    problem = names.value_problem(value)
                if problem:
                    shown = f"`{option}` has `{key}`, which Kubernetes would refuse"
                    yield option, f"{shown}: {problem}"
