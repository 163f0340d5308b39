"""The page at /, if it is installed: static files where no endpoint is."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

FOLDER = Path(__file__).parents[1] / "static"


def page_paths(folder: Path = FOLDER) -> frozenset[str]:
    """The paths of the page's files, with / for index.html."""
    if not (folder / "index.html").is_file():
        return frozenset()
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return frozenset({"/", *(f"/{name}" for name in files)})


def serve_pages(app: FastAPI, folder: Path = FOLDER) -> None:
    """Answer with a file where no endpoint has the path.

    Not as a mount: it would also answer for endpoints that are asked with another method.
    """
    if page_paths(folder):
        app.router.default = StaticFiles(directory=folder, html=True)
