"""What goes over the wire."""

from __future__ import annotations

from typing import NamedTuple

from yarl import URL

from tests.object_stores import BUCKET


class Request(NamedTuple):
    method: str
    url: URL

    @property
    def lists(self) -> bool:
        query = self.url.query
        return "list-type" in query or query.get("comp") == "list" or self.url.path.endswith(f"/b/{BUCKET}/o")

    @property
    def sends_a_part(self) -> bool:
        query = self.url.query
        return "partNumber" in query or "upload_id" in query or query.get("comp") == "block"
