"""Containers are what their manifests say. Each test is a cluster in a sandbox."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.pods.cluster import Cluster
from tests.pods.images import Images
from tests.pods.manifests import ManifestError
from tests.pods.sandbox import sandboxed

RESTRICTED = {
    "runAsUser": 10001,
    "runAsNonRoot": True,
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}
LOOK = """
import json, os, socket, time, urllib.request
def answer(seconds=40):  # endpoints come a moment after readiness, and a try more of the job after ten seconds
    ends = time.monotonic() + seconds
    while True:
        try:
            return urllib.request.urlopen("http://web.default.svc:80/", timeout=5).status
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.1)
def writable(path):
    try:
        open(os.path.join(path, "x"), "w").close()
    except OSError:
        return False
    return True
print(json.dumps({
    "uid": os.getuid(), "pid": os.getpid(), "host": socket.gethostname(), "level": os.environ["LEVEL"],
    "file": open("/etc/ance/run.yaml").read(), "writable": [path for path in ("/", "/etc", "/cache") if writable(path)],
    "answer": answer(),
}))
"""
SERVE = """
import http.server, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
http.server.ThreadingHTTPServer(("", 8080), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
IGNORE = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


def python(code: str, **container: Any) -> dict[str, Any]:
    command = ["python", "-I", "-S", "-c", code]
    return {"name": "main", "image": "ance:1", "command": command, "securityContext": RESTRICTED, **container}


def workload(kind: str, name: str, container: dict[str, Any], pod: dict[str, Any], **spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container], **pod}}
    selector = {} if kind == "Job" else {"selector": {"matchLabels": {"app": name}}}
    return {"kind": kind, "metadata": {"name": name}, "spec": {**selector, **spec, "template": template}}


def job(name: str, container: dict[str, Any], pod: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return workload("Job", name, container, {"restartPolicy": "Never", **(pod or {})}, **spec)


def web(replicas: int = 1, **container: Any) -> list[dict[str, Any]]:
    probe = {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 0.1}
    ports = [{"name": "http", "containerPort": 8080}]
    serving = python(SERVE, ports=ports, readinessProbe=probe, **container)
    service = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}
    return [
        {"kind": "Service", "metadata": {"name": "web"}, "spec": service},
        workload("Deployment", "web", serving, {}, replicas=replicas),
    ]


def serving(cluster: Cluster) -> int:
    return sum(pod.ready for pod in cluster.of("web"))


def text(*objects: dict[str, Any]) -> str:
    return yaml.safe_dump_all(objects)


@sandboxed
async def test_a_container_has_the_user_files_names_and_limits_of_its_manifest(tmp_path: Path) -> None:
    folder = tmp_path / "cluster"
    settings = {"kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"run.yaml": "a: 1", "LEVEL": "INFO"}}
    container = python(
        LOOK,
        env=[{"name": "LEVEL", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "LEVEL"}}}],
        volumeMounts=[{"name": "run", "mountPath": "/etc/ance"}, {"name": "cache", "mountPath": "/cache"}],
    )
    volumes = [{"name": "run", "configMap": {"name": "settings"}}, {"name": "cache", "emptyDir": {}}]
    async with Cluster(folder, Images()) as cluster:
        await cluster.apply(text(settings, *web()))
        await cluster.until(lambda: [pod for pod in cluster.of("web") if pod.ready], 60, "the server")
        await cluster.apply(text(settings, *web(), job("look", container, {"volumes": volumes}, backoffLimit=20)))
        await cluster.until(lambda: cluster.job("look").succeeded, 60, "the look")
    (log, *_) = [log for log in (folder / "logs").glob("look-*.log") if log.read_text().startswith("{")]
    seen = json.loads(log.read_text())
    assert seen.pop("host").startswith("look-")
    assert seen == {
        "uid": 10001,
        "pid": 1,
        "level": "INFO",
        "file": "a: 1",
        "writable": ["/cache"],
        "answer": 200,
    }


@sandboxed
async def test_a_built_image_is_all_that_its_containers_see(tmp_path: Path) -> None:
    folder, root = tmp_path / "cluster", tmp_path / "image"
    shell = "/bin/dash"
    libraries = re.findall(
        r"(/\S+) \(", subprocess.run(["ldd", shell], capture_output=True, text=True, check=True).stdout
    )
    for program in (shell, *libraries):
        (root / program[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(program, root / program[1:])
    (root / "opt").mkdir()
    (root / "opt" / "built").write_text("in the image\n")
    script = "read a < /opt/built; read b < /etc/hosts; echo $a; echo $b; echo /* /opt/*; echo x > /opt/written"
    container = python("") | {"command": [shell, "-c", script]}
    async with Cluster(folder, Images(root=root)) as cluster:
        await cluster.apply(text(job("look", container, backoffLimit=0)))
        await cluster.until(lambda: cluster.job("look").failed, 60, "the look")
    (log,) = (folder / "logs").glob("look-*.log")
    seen = log.read_text().splitlines()
    assert seen[:2] == ["in the image", "127.0.0.1 localhost"]
    assert seen[2] == "/bin /dev /etc /lib /lib64 /opt /proc /sys /tmp /opt/built"
    assert "Read-only file system" in seen[3]
    assert not (root / "etc").exists()


@sandboxed
async def test_processes_that_die_hang_or_ignore_their_end_are_dealt_with(tmp_path: Path) -> None:
    dead = {"exec": {"command": ["test", "-e", "/tmp/never"]}, "periodSeconds": 0.1, "failureThreshold": 2}
    async with Cluster(tmp_path / "cluster", Images()) as cluster:
        brief = {"terminationGracePeriodSeconds": 1}
        hanging = workload("Deployment", "hanging", python(SERVE, livenessProbe=dead), brief)
        stubborn = workload("Deployment", "stubborn", python(IGNORE), brief)
        await cluster.apply(text(*web(2), hanging, stubborn))
        await cluster.until(lambda: serving(cluster) == 2, 60, "two servers")
        first, second = cluster.of("web")
        first.crash()
        await cluster.until(lambda: first.restarts == 1 and first.ready, 60, "the crashed server")
        assert second.restarts == 0
        await cluster.until(lambda: cluster.of("hanging")[0].restarts >= 1, 60, "the end of what hangs")
        cluster.delete(second)
        await cluster.until(lambda: second not in cluster.pods and serving(cluster) == 2, 60, "another server")
        await cluster.uninstall()
        assert [event for event in cluster.events if "stubborn" in event and "outlived its grace period" in event]
        assert not [event for event in cluster.events if "web-" in event and "outlived" in event]


@sandboxed
async def test_a_job_retries_what_its_policy_lets_it_and_never_changes(tmp_path: Path) -> None:
    rules = [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [2]}}]
    mistaken = job("mistaken", python("raise SystemExit(2)"), podFailurePolicy={"rules": rules})
    unlucky = job("unlucky", python("raise SystemExit(1)"), backoffLimit=1)
    async with Cluster(tmp_path / "cluster", Images()) as cluster:
        await cluster.apply(text(mistaken, unlucky))
        await cluster.until(lambda: cluster.job("mistaken").failed and cluster.job("unlucky").failed, 60, "both ends")
        created = [event.split()[1].rsplit("-", 1)[0] for event in cluster.events if event.endswith("created")]
        assert sorted(created) == ["mistaken", "unlucky", "unlucky"]
        with pytest.raises(ManifestError, match=r"Job unlucky: spec\.template is immutable"):
            await cluster.apply(text(mistaken, job("unlucky", python("pass"), backoffLimit=1)))


@sandboxed
async def test_a_container_that_asks_for_more_than_restricted_is_refused(tmp_path: Path) -> None:
    writable = python("pass", securityContext={**RESTRICTED, "readOnlyRootFilesystem": False})
    async with Cluster(tmp_path / "cluster", Images()) as cluster:
        await cluster.apply(text(job("writable", writable)))
        with pytest.raises(ManifestError, match="readOnlyRootFilesystem is False, not True"):
            await cluster.until(lambda: cluster.job("writable").succeeded, 60, "the refusal")
