"""What takes seconds to import, imported by the threads of a service that has just begun."""

import subprocess
import sys

PROGRAM = """
import threading
from services.search_api.versions.late_imports import import_models

both, imported = threading.Barrier(2), []

def index():
    both.wait()
    import_models()
    from ance.model.encoding import TextEncoder
    imported.append(TextEncoder.__name__)

def reranker():
    both.wait()
    import_models()
    from ance.model.cross_encoder import CrossEncoder
    imported.append(CrossEncoder.__name__)

threads = [threading.Thread(target=work) for work in (index, reranker)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(*sorted(imported))
"""


def test_an_encoder_and_a_reranker_may_be_loaded_at_once_by_a_new_process() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["CrossEncoder", "TextEncoder"], ended.stderr
