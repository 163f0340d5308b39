from tests.milvus_server import milvus, milvus_server, mortal_milvus

__all__ = ["milvus", "milvus_server", "mortal_milvus"]
