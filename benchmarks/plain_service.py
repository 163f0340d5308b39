"""The peer of benchmarks/throughput: what one writes first around sentence_transformers.encode and Faiss.

python -m benchmarks.plain_service MODEL_FOLDER INDEX_FOLDER DATASET_FOLDER PORT
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer

from ance.data.dataset import Dataset


class Search(BaseModel):
    """One query."""

    query: str
    top_k: int = 10


def create_app(model_folder: Path, index_folder: Path, dataset_folder: Path) -> FastAPI:
    """An endpoint that encodes, searches and returns documents; FastAPI runs it on its thread pool."""
    model = SentenceTransformer(str(model_folder), device="cpu")
    index = faiss.read_index(str(index_folder / "index.faiss"))
    rows = np.load(index_folder / "ids.npy", allow_pickle=False)
    passages = Dataset.open(dataset_folder).passages
    app = FastAPI()

    @app.get("/readyz")
    def readyz() -> str:
        return "ready"

    @app.post("/v1/search")
    def search(request: Search) -> dict[str, Any]:
        vectors = model.encode([request.query], show_progress_bar=False)
        scores, positions = index.search(vectors, request.top_k)
        found = zip(rows[positions[0]].tolist(), scores[0].tolist(), strict=True)
        return {"hits": [{"id": passages.ids[row], "score": score, **passages.documents[row]} for row, score in found]}

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(*map(Path, sys.argv[1:4])), host="127.0.0.1", port=int(sys.argv[4]), log_level="warning")
