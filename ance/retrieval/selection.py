"""Searching only among some passages of a Faiss index."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

_make: Any = faiss  # its stubs do not know the constructors of parameters


def parameters_for(index: faiss.Index, allowed: NDArray[np.bool_]) -> Any:
    """Parameters that make `index.search` see only some positions. They must live as long as the search.

    Search parameters replace all that an index was set to, so what it is set to is repeated in them.

    Args:
        allowed: bool [size], by position in the index.
    """
    return _parameters(index, _make.IDSelectorBitmap(np.packbits(allowed, bitorder="little")))


def _parameters(index: faiss.Index, selector: Any) -> Any:
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexPreTransform):
        return _make.SearchParametersPreTransform(index_params=_parameters(index.index, selector))
    if isinstance(index, faiss.IndexRefine):
        return _make.IndexRefineSearchParameters(
            k_factor=index.k_factor, base_index_params=_parameters(index.base_index, selector)
        )
    if isinstance(index, faiss.IndexIVF):
        return _make.SearchParametersIVF(sel=selector, nprobe=index.nprobe, max_codes=index.max_codes)
    if isinstance(index, faiss.IndexHNSW):
        return _make.SearchParametersHNSW(sel=selector, efSearch=index.hnsw.efSearch)
    return _make.SearchParameters(sel=selector)
