"""Everything that a pipeline is in a cluster, as objects of Kubernetes."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from levada_compiler.program.plan import plan

from ..images import flow
from ..pods import names
from . import pods, schedule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from levada_compiler.program.ir import Program

    from .options import Options

#: 52, since a CronJob adds 11 characters to the names of its Jobs.
NAME_LENGTH = 52
#: What a ConfigMap may hold is 1 MiB; this leaves room for its metadata.
LARGEST_PLAN = 1024 * 1024 - 16 * 1024
#: What the annotations of an object may hold is 256 KiB; `kubectl apply` without `--server-side`
#: adds one of its own, with the whole object in it.
LARGEST_ANNOTATIONS = 64 * 1024
LARGEST_APPLIED = 256 * 1024 - 1024
DRIVER_SCHEMA = "levada.driver/1"
#: As often as a driver may be lost, beside evictions, before its run is given up.
DRIVER_LOSSES = 30


class Manifests:
    """The objects of one program."""

    def __init__(self, program: Program, options: Options, compiler: str) -> None:
        self._program = program
        self._options = options
        self._compiler = compiler
        self.name = names.label(program.name, NAME_LENGTH)
        self.plan = plan(program)
        self.data = self._data()
        text = json.dumps(self.data, sort_keys=True)
        self._plan_name = f"{self.name}-plan-{hashlib.sha256(text.encode()).hexdigest()[:10]}"

    @property
    def size(self) -> int:
        """Bytes of the plan's ConfigMap."""
        return sum(len(key) + len(text.encode()) for key, text in self.data.items())

    @property
    def applied_size(self) -> int:
        """Bytes of the plan's ConfigMap as `kubectl apply` keeps it."""
        return len(
            json.dumps(self.config_map(), ensure_ascii=False, separators=(",", ":")).encode()
        )

    @property
    def annotations_size(self) -> int:
        """Bytes of the CronJob's annotations."""
        return sum(len(text.encode("utf-8", "replace")) for text in self._annotations().values())

    def files(self) -> dict[str, list[dict[str, Any]]]:
        """The objects of each file, by its name."""
        files = {
            "access.yaml": [*self._accounts(), self._role(), self._role_binding()],
            "cronjob.yaml": [self.cron_job()],
            "plan.yaml": [self.config_map()],
        }
        if self._options.network_policy:
            files["network-policy.yaml"] = [self._network_policy()]
        if self._options.admission_policy:
            files["admission-policy.yaml"] = [*self._admission_policy()]
        return {**files, "kustomization.yaml": [self._kustomization(sorted(files))]}

    # ---------------------------------------------------------------- the plan

    def _data(self) -> dict[str, str]:
        driver = json.dumps(self._driver(), ensure_ascii=True, indent=1) + "\n"
        return {
            "driver.json": driver,
            "plan.json": json.dumps(_undocumented(self.plan), ensure_ascii=True, indent=1) + "\n",
        }

    def _driver(self) -> dict[str, Any]:
        """What the driver has to know besides the plan: the Job of each call."""
        templates: list[dict[str, Any]] = []
        jobs: dict[str, int] = {}
        for call in _calls(self.plan["body"]):
            part = self.plan["steps"][call["step"]].get("container")
            program = part and pods.Program(part, self.levada_image())
            job = pods.step_job(self._program.name, call["settings"], self._options, program)
            if job not in templates:
                templates.append(job)
            jobs[call["id"]] = templates.index(job)
        options = self._options
        return {
            "schema": DRIVER_SCHEMA,
            "max_parallel": self.plan["settings"].get("max_parallel") or options.max_parallel,
            "indexed_from": options.indexed_from,
            "timeout": options.timeout,
            "finally_timeout": options.finally_timeout,
            "stuck_after": options.stuck_after,
            "unschedulable_after": options.unschedulable_after,
            "jobs": jobs,
            "templates": templates,
        }

    def step_jobs(self) -> list[dict[str, Any]]:
        """The templates of the steps' Jobs."""
        driver: dict[str, Any] = json.loads(self.data["driver.json"])
        found: list[dict[str, Any]] = driver["templates"]
        return found

    def config_map(self) -> dict[str, Any]:
        """The plan; it never changes, so a new plan has another name."""
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": self._metadata(self._plan_name, "plan"),
            "immutable": True,
            "data": self.data,
        }

    # ---------------------------------------------------------------- the driver

    def cron_job(self) -> dict[str, Any]:
        """What makes the driver's Jobs, at its times or by hand."""
        own = self.plan["settings"]
        cron = own.get("schedule")
        parallel = own.get("max_active_runs")
        metadata = self._metadata(self.name, "pipeline")
        metadata["annotations"] = self._annotations()
        return {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": metadata,
            "spec": {
                "concurrencyPolicy": "Allow" if parallel != 1 and parallel else "Forbid",
                "failedJobsHistoryLimit": self._options.history,
                "jobTemplate": {
                    "metadata": {"labels": pods.labels(self._program.name, "driver")},
                    "spec": self._driver_job(),
                },
                "schedule": schedule.text(cron) if cron else schedule.NEVER,
                "startingDeadlineSeconds": int(self._options.starting_deadline),
                "successfulJobsHistoryLimit": self._options.history,
                "suspend": not cron,
                "timeZone": own.get("timezone") or "Etc/UTC",
            },
        }

    def _driver_job(self) -> dict[str, Any]:
        name = self._program.name
        pod = pods.driver_pod(name, self.driver_image(), self._plan_name, self._options)
        over = {"containerName": "driver", "operator": "In", "values": [pods.NOT_SUCCEEDED]}
        disrupted = {"status": "True", "type": "DisruptionTarget"}
        return {
            "backoffLimit": DRIVER_LOSSES,
            "completionMode": "NonIndexed",
            "completions": 1,
            "parallelism": 1,
            "podFailurePolicy": {
                "rules": [
                    {"action": "FailJob", "onExitCodes": over},
                    {"action": "Ignore", "onPodConditions": [disrupted]},
                ]
            },
            "podReplacementPolicy": "Failed",
            "template": {
                "metadata": pods.pod_metadata(name, "driver", self._options),
                "spec": pod,
            },
            "ttlSecondsAfterFinished": int(self._options.keep),
        }

    def driver_image(self) -> str:
        """The option's, or that of a step whose values the driver loads, or of the first one.

        Each image has the runtime.
        """
        if self._options.driver_image:
            return self._options.driver_image
        return next(iter(self.deciding_images()), self.levada_image())

    def levada_image(self) -> str:
        """An image with the runtime: that of the first function that is called, or the option's.

        It is empty if there is none: the program has nothing but container steps.
        """
        functions = (call for call in _calls(self.plan["body"]) if self._is_function(call))
        images = (call["settings"].get("image") for call in functions)
        return str(next(images, None) or self._options.image or self._options.driver_image or "")

    def _is_function(self, call: Mapping[str, Any]) -> bool:
        return "container" not in self.plan["steps"][call["step"]]

    def deciding_images(self) -> dict[str, str]:
        """The images of the steps whose values the driver has to load, each with such a step.

        What it takes to load a value of a class or a library is in the image of the step that gave
        it; plain values need nothing.
        """
        steps = {step.key: step for step in self._program.steps}
        wanted = [
            flow.returned(given, steps)[0].key
            for given in flow.decided_on(self._program)
            if flow.needs_modules(given, steps)
        ]
        found: dict[str, str] = {}
        for call in _calls(self.plan["body"]):
            if call["step"] in wanted and self._is_function(call):
                image = str(call["settings"].get("image") or self._options.image)
                found.setdefault(image, steps[call["step"]].function)
        return found

    # ---------------------------------------------------------------- access

    def _accounts(self) -> Iterator[dict[str, Any]]:
        for role in ("driver", "step"):
            yield {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": self._account_metadata(role),
                "automountServiceAccountToken": role == "driver",
            }

    def _account_metadata(self, role: str) -> dict[str, Any]:
        made = self._metadata(pods.account(self._program.name, role), role)
        own = self._options.account_annotations
        return {**made, "annotations": {**made.get("annotations", {}), **own}} if own else made

    def _role(self) -> dict[str, Any]:
        """No secrets, no pods to be made, nothing to be deleted."""
        verbs = {
            ("batch", "jobs"): ["create", "get", "list", "patch", "watch"],
            ("", "pods"): ["get", "list", "watch"],
            ("", "events"): ["list"],
        }
        return {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": self._metadata(f"{self.name}-driver", "driver"),
            "rules": [
                {"apiGroups": [group], "resources": [kind], "verbs": allowed}
                for (group, kind), allowed in verbs.items()
            ],
        }

    def _role_binding(self) -> dict[str, Any]:
        account = {"kind": "ServiceAccount", "name": pods.account(self._program.name, "driver")}
        if self._options.namespace:
            account["namespace"] = self._options.namespace
        return {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": self._metadata(f"{self.name}-driver", "driver"),
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "Role",
                "name": f"{self.name}-driver",
            },
            "subjects": [account],
        }

    # ---------------------------------------------------------------- on request

    def _network_policy(self) -> dict[str, Any]:
        """Nothing may connect to a step."""
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": self._metadata(f"{self.name}-pods", "policy"),
            "spec": {
                "podSelector": {
                    "matchLabels": {pods.PIPELINE: names.label_value(self._program.name)}
                },
                "policyTypes": ["Ingress"],
            },
        }

    def _admission_policy(self) -> Iterator[dict[str, Any]]:
        """The driver's account may make Jobs of this pipeline's steps, and no others."""
        namespace = self._options.namespace
        name = ".".join(part for part in (self.name, namespace, "levada.dev") if part)
        account = pods.account(self._program.name, "driver")
        step = pods.account(self._program.name, "step")
        ends = f":{account}" if namespace is None else f":{namespace}:{account}"
        conditions = {
            "is-driver": f"request.userInfo.username.startsWith('system:serviceaccount:')"
            f" && request.userInfo.username.endsWith('{ends}')"
        }
        rules = {
            f"a step runs as {step}": f"object.spec.template.spec.serviceAccountName == '{step}'",
            "a step has no token": "object.spec.template.spec.automountServiceAccountToken"
            " == false",
            "a Job belongs to a run": "has(object.metadata.ownerReferences)",
        }
        yield {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"labels": pods.labels(self._program.name, "policy"), "name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConditions": [
                    {"expression": text, "name": key} for key, text in conditions.items()
                ],
                "matchConstraints": {
                    "resourceRules": [
                        {
                            "apiGroups": ["batch"],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE"],
                            "resources": ["jobs"],
                        }
                    ]
                },
                "validations": [
                    {"expression": text, "message": message} for message, text in rules.items()
                ],
            },
        }
        yield {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"labels": pods.labels(self._program.name, "policy"), "name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"]},
        }

    # ---------------------------------------------------------------- metadata

    def _kustomization(self, files: list[str]) -> dict[str, Any]:
        return {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": files,
        }

    def _metadata(self, name: str, role: str) -> dict[str, Any]:
        metadata: dict[str, Any] = {"labels": pods.labels(self._program.name, role), "name": name}
        if self._options.namespace:
            metadata["namespace"] = self._options.namespace
        return metadata

    def _annotations(self) -> dict[str, str]:
        own = self.plan["settings"]
        found = {
            "levada.dev/compiler": self._compiler,
            "levada.dev/description": self.plan["description"],
            "levada.dev/owner": own.get("owner") or "",
            "levada.dev/source": f"{self.plan['file']} {self.plan['source']}",
            "levada.dev/tags": ", ".join(own.get("tags") or ()),
        }
        return {name: text for name, text in found.items() if text}


def _undocumented(plan: dict[str, Any]) -> dict[str, Any]:
    """Return the plan without documentation: the ConfigMap's name changes with what is in it."""
    parameters = [
        {key: value for key, value in parameter.items() if key != "description"}
        for parameter in plan["parameters"]
    ]
    kept = {key: value for key, value in plan.items() if key != "description"}
    return kept | {"parameters": parameters}


def _calls(nodes: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Every call of a plan, in program order."""
    for node in nodes:
        if node["kind"] == "call":
            yield node
        for region in ("body", "then", "otherwise", "handler", "final"):
            yield from _calls(node.get(region) or [])
