"""Which devices compute: a mesh along whose axis `data` rows lie.

In training, parameters, optimiser and data are on every device; a device computes the gradient of
its rows, and XLA adds them up. The program is that of one device, and so are its batches and its
noise: what differs is the order in which the rows' shares are added. What is measured of each row
by itself is not added up: there the numbers are those of one device.

A process may have some of the devices only (`jax.distributed`). All processes then run the same
program and agree on what depends on a clock or a signal. Nothing here prints or writes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

T = TypeVar("T")


class LayoutError(ValueError):
    """Devices that there are not, or that cannot share a batch: one line."""


@dataclass(frozen=True)
class Layout:
    """A mesh of devices, of this process and of others.

    Attributes:
        mesh: With an axis `data`, and an axis `model` of one device, for what is to be split.
    """

    mesh: Mesh

    @staticmethod
    def of(
        devices: int | None, batch_size: int | None = None, platform: str | None = None
    ) -> "Layout | None":
        """Devices that rows are spread over; None where that is a single one.

        Args:
            devices: How many of each process; None: one, and where there are several processes all.
            batch_size: Rows of a batch, to be shared equally; None: any number of rows.
            platform: "cpu", "gpu", or None for the best that there is.

        Raises:
            LayoutError: There are fewer devices, or they cannot share a batch equally.
        """
        several = jax.process_count() > 1
        here = jax.local_devices(backend=platform)
        asked = (len(here) if several else 1) if devices is None else devices
        if asked > len(here):
            raise LayoutError(
                f"devices (--devices) is {asked}, and JAX finds {len(here)} here: give at most "
                "that (JAX_NUM_CPU_DEVICES=N makes N of a processor)"
            )
        found = [one for one in jax.devices(platform) if _place(one) < asked]
        if len(found) == 1:
            return None
        if batch_size is not None and batch_size % len(found):
            raise LayoutError(
                f"batch_size (--batch-size) is {batch_size}, and {len(found)} devices cannot share "
                f"it equally: give a multiple of {len(found)}"
            )
        return Layout(Mesh(np.array(found)[:, None], ("data", "model")))

    @property
    def processes(self) -> int:
        """How many processes there are."""
        return jax.process_count()

    def everywhere(self, tree: T) -> T:
        """The arrays, the same in every process, on all devices."""
        return jax.tree.map(self._everywhere, tree)

    def _everywhere(self, leaf: Any) -> Any:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            words = np.asarray(jax.random.key_data(leaf))
            return jax.random.wrap_key_data(self._everywhere(words))
        values = np.asarray(leaf)
        return jax.make_array_from_callback(values.shape, self.replicated, lambda at: values[at])

    @property
    def replicated(self) -> NamedSharding:
        """The placing of what is on every device."""
        return NamedSharding(self.mesh, PartitionSpec())

    def shared(self, tree: T) -> T:
        """The arrays, the same in every process, with a share of their rows on each device."""
        sharding = NamedSharding(self.mesh, PartitionSpec("data"))

        def place(leaf: Any) -> Any:
            values = np.asarray(leaf)
            return jax.make_array_from_callback(values.shape, sharding, lambda at: values[at])

        return jax.tree.map(place, tree)

    def gathered(self, tree: PyTree) -> PyTree:
        """Arrays of which each device has a share, as numpy arrays in all processes."""
        return jax.tree.map(lambda a: multihost_utils.process_allgather(a, tiled=True), tree)

    @property
    def size(self) -> int:
        """How many devices there are."""
        return self.mesh.shape["data"]

    def here(self, tree: T) -> T:
        """Arrays that are everywhere, as they are on one device of this process."""

        def take(leaf: Any) -> Any:
            keyed = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
            if keyed or len(leaf.sharding.device_set) == 1:
                return leaf
            return leaf.addressable_data(0)

        return jax.tree.map(take, tree)

    def split(self, tree: T) -> T:
        """Within a program: rows, a share on each device; as they are where they have no shares."""
        shares = self.size

        def place(leaf: Any) -> Any:
            if leaf.ndim == 0 or leaf.shape[0] % shares:
                return leaf
            return jax.lax.with_sharding_constraint(
                leaf, NamedSharding(self.mesh, PartitionSpec("data"))
            )

        return jax.tree.map(place, tree)

    def join(self, tree: T) -> T:
        """Within a program: arrays that are to be on every device."""
        return jax.tree.map(
            lambda leaf: jax.lax.with_sharding_constraint(leaf, self.replicated), tree
        )

    def of_first(self, number: int) -> int:
        """What the first process says, in all: a number that a clock has made."""
        if self.processes == 1:
            return number
        return int(multihost_utils.broadcast_one_to_all(np.int32(number)))

    def any(self, flag: bool) -> bool:
        """Whether any process says so, in all."""
        if self.processes == 1:
            return flag
        return bool(np.any(multihost_utils.process_allgather(np.int32(flag))))

    def arrays_of_first(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The arrays that the first process has, in all; those of the others have their shapes."""
        if self.processes == 1:
            return dict(arrays)
        found: PyTree = multihost_utils.broadcast_one_to_all(dict(arrays))
        return {name: np.asarray(array) for name, array in found.items()}


def _place(device: Any) -> int:
    """The place of a device among those of its process."""
    same = [
        one for one in jax.devices(device.platform) if one.process_index == device.process_index
    ]
    return sorted(one.id for one in same).index(device.id)
