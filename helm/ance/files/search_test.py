"""What `helm test` runs: search once, and say what came back. Needs nothing but the standard library."""

import json
import os
import sys
import time
import urllib.error
import urllib.request

url = os.environ["SEARCH_URL"]
body = json.dumps({"query": os.environ["SEARCH_QUERY"], "top_k": 3}).encode()
headers = {"Content-Type": "application/json"}
if key := os.environ.get("SEARCH_API_KEY"):
    headers["Authorization"] = f"Bearer {key}"
deadline = time.monotonic() + float(os.environ["SEARCH_TIMEOUT_SECONDS"])

while True:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as response:
            answer = json.load(response)
        break
    except (OSError, ValueError) as problem:
        refused = isinstance(problem, urllib.error.HTTPError) and problem.code in (400, 401, 403, 404, 422)
        if refused or time.monotonic() > deadline:
            sys.exit(f"{url} does not answer: {problem}")
        print(f"waiting for {url}: {problem}", flush=True)
        time.sleep(2)

print(json.dumps(answer, indent=1))
hits = answer["results"][0]["hits"]
if not hits:
    sys.exit("the search found nothing")
print(f"found {len(hits)} passages")
