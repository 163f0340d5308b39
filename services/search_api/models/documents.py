"""A document of the corpus."""

from services.search_api.models.base import Body


class Document(Body):
    """A passage as it was prepared."""

    id: str
    title: str
    text: str
