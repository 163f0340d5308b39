"""What Faiss raises, for people."""

import re


def reason(error: Exception) -> str:
    """What Faiss says, on one line, without the C++ function and file that it names first."""
    return re.sub(r"^Error in .*? at \S+:\d+: (Error: )?", "", " ".join(str(error).split()))
