"""Download a public dataset of Kaggle through `kagglehub`, into that library's own cache (``KAGGLEHUB_CACHE``).

The cache lies outside the workspace, and a dataset that lies there already is not loaded again.
"""

import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from maskdet.catalog import Dataset
from maskdet.errors import MaskDetError
from maskdet.facetable import Faces, has_faces, load_faces, scan
from maskdet.progress import Progress, silent
from maskdet.workspace import Workspace

_HANDLE: Final = re.compile(
    r"(?:(?:https?://)?(?:www\.)?kaggle\.com/(?:datasets/)?)?([A-Za-z0-9][\w-]*/[A-Za-z0-9][\w-]*)(?:[/?#].*)?"
)
_SECONDS_BETWEEN_REPORTS: Final = 1.0


def parse_handle(text: str) -> str:
    """The handle ``owner/name`` in what a person typed: the handle itself, or the address of the dataset's page.

    Raises
    ------
    MaskDetError
        If it is neither.
    """
    match = _HANDLE.fullmatch(text.strip())
    if match is None:
        raise MaskDetError(
            f"A Kaggle handle has the form owner/name, such as andrewmvd/face-mask-detection, not {text.strip()!r}."
        )
    return match[1]


def page_of(handle: str) -> str:
    """The address of a dataset's page, where its licence is stated and it can be downloaded by hand."""
    return f"https://www.kaggle.com/datasets/{handle}"


def dataset_id(handle: str, catalog: Mapping[str, Dataset], roots: Mapping[str, Path]) -> str:
    """The id under which a download is scanned.

    It is that of the catalog's entry with this handle, else the name in the handle, else, where another dataset has
    that name already, ``owner-name``.

    Parameters
    ----------
    roots : Mapping
        Where each dataset of the workspace lies.
    """
    known = next((dataset.id for dataset in catalog.values() if dataset.kaggle == handle), None)
    if known is not None:
        return known
    owner, name = handle.split("/")
    is_other = name in roots and (owner, name) not in zip(roots[name].parts, roots[name].parts[1:], strict=False)
    return f"{owner}-{name}" if name in catalog or is_other else name


def download(handle: str, progress: Progress = silent) -> Path:
    """Download a dataset's newest version, unless the cache has it, and return its folder.

    Raises
    ------
    MaskDetError
        If Kaggle cannot be reached, does not give out the dataset, or it cannot be written; the sentence says what to
        do.
    """
    os.environ.setdefault("TQDM_DISABLE", "1")  # the progress is shown here, in the shell and on the page alike
    import kagglehub
    import requests
    from kagglehub.config import get_cache_folder
    from kagglehub.exceptions import UnauthenticatedError

    logging.getLogger("kagglehub").setLevel(logging.ERROR)  # it would print to stdout
    page = page_of(handle)
    by_hand = f"download it by hand from {page}, unpack it, and scan its folder"
    try:
        with _report_size(Path(get_cache_folder(), "datasets", *handle.split("/")), handle, progress):
            return Path(kagglehub.dataset_download(handle))
    except (requests.ConnectionError, requests.Timeout) as error:
        raise MaskDetError(f"Kaggle cannot be reached from this machine: {by_hand}.") from error
    except UnauthenticatedError as error:
        raise MaskDetError(_no_access(handle, by_hand)) from error
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else None
        if status in (401, 403):
            raise MaskDetError(_no_access(handle, by_hand)) from error
        if status == 404:
            raise MaskDetError(f"Kaggle has no dataset {handle}: look up its handle at {page}.") from error
        raise MaskDetError(f"Kaggle answered with an error ({status}): try again later, or {by_hand}.") from error
    except requests.RequestException as error:
        raise MaskDetError(f"The download of {handle} broke off: try again, or {by_hand}.") from error
    except OSError as error:
        raise MaskDetError(f"{error.filename or handle} cannot be written ({error.strerror or error}).") from error
    except Exception as error:
        raise MaskDetError(
            f"The download of {handle} failed ({type(error).__name__}): try again, or {by_hand}."
        ) from error


def download_and_scan(
    workspace: Workspace, handle: str, catalog: Mapping[str, Dataset], progress: Progress = silent
) -> tuple[str, Faces]:
    """Download a dataset and scan it under the id that `dataset_id` gives; returns that id and all faces.

    Raises
    ------
    MaskDetError
        As `parse_handle`, `download` and `maskdet.facetable.scan` do.
    """
    handle = parse_handle(handle)
    workspace.ensure_writable()  # before gigabytes are loaded
    folder = download(handle, progress)
    roots = load_faces(workspace).roots if has_faces(workspace) else {}
    name = dataset_id(handle, catalog, roots)
    return name, scan(workspace, folder, dataset_id=name, progress=progress)


def _no_access(handle: str, by_hand: str) -> str:
    return (
        f"Kaggle does not give out {handle} without an account: put an API token into ~/.kaggle/kaggle.json "
        f"(Kaggle, Settings, API), or {by_hand}."
    )


@contextmanager
def _report_size(folder: Path, handle: str, progress: Progress) -> Iterator[None]:
    """Report every second how much of a download has arrived; kagglehub tells nobody."""
    ended = threading.Event()
    before = _megabytes(folder)

    def report() -> None:
        while not ended.wait(_SECONDS_BETWEEN_REPORTS):
            progress(0, 0, f"downloading and unpacking {handle}: {_megabytes(folder) - before:,.0f} MB so far")

    progress(0, 0, f"downloading {handle}")
    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _megabytes(folder: Path) -> float:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(parent, name).stat().st_size
            except FileNotFoundError:  # the archive, once it is unpacked
                continue
    return total / 1e6
