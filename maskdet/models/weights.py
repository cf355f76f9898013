"""Files of weights.

An HDF5 file may name other files for its values to be read from, and may claim a room that nothing fills. A file of
weights that somebody passed on could so bring a private file into a model, or take all memory: `check_hdf5` refuses it.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def check_hdf5(path: Path) -> None:
    """Look at a file of weights before any of its values is read.

    Raises
    ------
    OSError
        If there is no such file, or it is no HDF5.
    ValueError
        If values lie in another file (links, external or virtual datasets), are no numbers, or take more room than the
        whole file has.
    """
    import h5py

    claimed = 0

    def look(name: str, link: Any) -> str | None:
        """What is wrong with an item, which ends the visit; h5py takes no exception out of it."""
        nonlocal claimed
        if not isinstance(link, h5py.HardLink):
            return f"{name} is a link"
        item = file[name]
        if isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                return f"{name} lies in another file"
            if item.dtype.kind not in "biuf":
                return f"{name} holds no numbers"
            claimed += item.nbytes
        return None

    with h5py.File(path) as file:
        wrong = file.visititems_links(look)
    if wrong:
        raise ValueError(wrong)
    if claimed > path.stat().st_size:
        raise ValueError(f"{path.name} claims {claimed:,} bytes of weights and has {path.stat().st_size:,}")


def halve(path: Path) -> None:
    """Turn a file of float32 weights into one of half precision; Keras reads it as it reads the other."""
    import h5py

    values: dict[str, npt.NDArray[Any]] = {}

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            values[name] = np.asarray(item)

    with h5py.File(path, "r+") as file:
        file.visititems(collect)
        for name, value in values.items():
            attributes = dict(file[name].attrs)
            del file[name]
            file.create_dataset(name, data=value.astype(np.float16) if value.dtype == np.float32 else value)
            file[name].attrs.update(attributes)
    # HDF5 keeps the room of what was deleted: only a fresh file is smaller.
    fresh = path.with_name(f".{path.name}.half")
    with h5py.File(path) as file, h5py.File(fresh, "w") as target:
        for name in file:
            file.copy(name, target)
        target.attrs.update(dict(file.attrs))
    fresh.replace(path)
