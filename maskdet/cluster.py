"""Work of joblib on a Dask cluster: measuring faces, searching a grid."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from joblib import parallel_config

from maskdet.errors import MaskDetError, reason_of

_TIMEOUT: Final = 10  # seconds


@contextmanager
def dask_workers(scheduler: str | None) -> Iterator[None]:
    """Where joblib runs what follows: on this machine, or on the workers of a Dask scheduler.

    Raises
    ------
    MaskDetError
        If the package is missing, or no scheduler, or one without workers, answers within ten seconds.
    """
    if scheduler is None:
        yield
        return
    try:
        from distributed import Client
        from distributed.comm import get_address_host_port
    except ImportError:
        raise MaskDetError("A Dask scheduler needs one more package: run `pip install distributed` first.") from None
    try:
        # A client that fails to connect leaves a thread that may hold up the next client, so see first.
        socket.create_connection(get_address_host_port(scheduler), timeout=_TIMEOUT).close()
        client = Client(scheduler, timeout=_TIMEOUT)
    except (OSError, ValueError) as error:
        raise MaskDetError(f"No Dask scheduler answers at {scheduler}: {reason_of(error)}.") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_TIMEOUT)
        except TimeoutError as error:
            raise MaskDetError(
                f"The Dask scheduler at {scheduler} has no workers: run `dask worker {scheduler}` on each machine."
            ) from error
        with parallel_config("dask"):
            yield
