"""Files of weights."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


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
