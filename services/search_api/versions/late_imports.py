"""What takes seconds to import: until it is, the service says that it is alive."""

import threading

_importing = threading.Lock()


def import_models() -> None:
    """Import what loads models, one thread after the other.

    Transformers finds its own modules late, and is half there for a thread that asks while another one imports it.
    """
    with _importing:
        import ance.model.cross_encoder
        import ance.model.encoding  # noqa: F401
