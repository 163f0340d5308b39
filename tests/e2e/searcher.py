"""Searches without pause and keeps book, as a pod of the cluster. Only the standard library.

Each search is over a new connection, so that every one is free to go to another replica. After each second one line of
JSON says how things stand: {"succeeded": 12, "failed": 0, "version": 40, "failure": ""}.
"""

import json
import os
import time
import urllib.request
from http.client import HTTPException

INTERVAL_SECONDS = 0.1


def search(url: str, query: str) -> int:
    """Version of the index that answers."""
    body = json.dumps({"query": query, "top_k": 3}).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as response:
        return int(json.load(response)["index"]["version"])


def main() -> None:
    """Search until the pod is deleted."""
    state: dict[str, object] = {"succeeded": 0, "failed": 0, "version": -1, "failure": ""}
    succeeded = failed = 0
    told = time.monotonic()
    while True:
        try:
            state["version"] = search(os.environ["SEARCH_URL"], os.environ["SEARCH_QUERY"])
            succeeded += 1
        except (OSError, HTTPException, ValueError) as error:  # no connection, half an answer, or none of ours
            failed += 1
            state["failure"] = repr(error)
        if time.monotonic() - told >= 1:
            told = time.monotonic()
            print(json.dumps({**state, "succeeded": succeeded, "failed": failed}), flush=True)
        time.sleep(INTERVAL_SECONDS)


if __name__ == "__main__":
    main()
