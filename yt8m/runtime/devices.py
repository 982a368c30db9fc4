"""Devices and processes that a model is trained on."""

import contextlib
import dataclasses
import io
import os
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from yt8m.runtime import processor
from yt8m.types import InputError


def default_jit_compile() -> Any:
    """Whether to compile with XLA: it pays on accelerators, and on a CPU TensorFlow's own kernels are faster."""
    if keras.backend.backend() != "tensorflow":
        return "auto"
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU")) and tf.distribute.get_strategy().num_replicas_in_sync == 1


def has_accelerator() -> bool:
    """Whether the Keras backend has a GPU or TPU."""
    return any(not name.lower().startswith("cpu") for name in keras.distribution.list_devices())


def has_bfloat16() -> bool:
    """Whether the devices of the Keras backend multiply matrices in bfloat16: TPUs, GPUs of compute capability 8.0 and
    above, CPUs with AMX or AVX512-BF16.
    """
    kinds = {name.partition(":")[0].lower() for name in keras.distribution.list_devices()}
    if "tpu" in kinds:
        return True
    if kinds & {"gpu", "cuda"}:
        return all(capability >= (8, 0) for capability in _compute_capabilities())
    return bool({"amx_bf16", "avx512_bf16"} & processor.instruction_sets())


def _compute_capabilities():
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        found = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
        return [details.get("compute_capability", (0, 0)) for details in found]
    if backend == "jax":
        import jax

        return [tuple(map(int, str(device.compute_capability).split("."))) for device in jax.local_devices()]
    import torch

    return [torch.cuda.get_device_capability(index) for index in range(torch.cuda.device_count())]


def leave_accelerators_to_keras() -> None:
    """Keeps TensorFlow, which reads the data, from taking the GPUs' memory where another backend computes.

    To be called before TensorFlow does anything.
    """
    if keras.backend.backend() != "tensorflow":
        import tensorflow as tf

        tf.config.set_visible_devices([], "GPU")


def replicas_in_sync() -> int:
    """Number of devices that share each batch by computing a loss of their own, the gradients of which are added up."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


@dataclasses.dataclass(frozen=True)
class Placement:
    """Devices and processes of a training run.

    num_devices: devices of all processes that share each batch. process_id, num_processes: of the processes in step,
    this one. strategy: TensorFlow's tf.distribute.Strategy, where there is one.
    """

    num_devices: int = 1
    process_id: int = 0
    num_processes: int = 1
    strategy: Any = None

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the files."""
        return self.process_id == 0

    def scope(self) -> Any:
        """Context in which the model, its optimizer and what they are restored from are made."""
        return self.strategy.scope() if self.strategy else contextlib.nullcontext()

    def gather(self, work: Callable[[], dict[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
        """What ``work``, a function of no arguments that gives a dict of arrays, gives in each process, in their order.

        To be called by all of them; an InputError in one becomes one in each, so that none waits for it.
        """
        if self.num_processes == 1:
            return [work()]
        problem = ""
        try:
            found = work()
        except InputError as error:
            found, problem = {}, str(error)
        buffer = io.BytesIO()
        np.savez(buffer, **dict[str, Any](found))
        problems = [part.decode() for part in _all_gather(problem.encode())]
        for each in (problem, *problems):
            if each:
                raise InputError(each)
        return [_arrays(part) for part in _all_gather(buffer.getvalue())]

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Context in which a model is made, and used, that the other processes know nothing of."""
        if self.num_processes == 1:
            yield
            return
        distribution = keras.distribution.distribution()
        keras.distribution.set_distribution(None)
        try:
            yield
        finally:
            keras.distribution.set_distribution(distribution)


def _all_gather(data):
    """The bytes of each of JAX's processes, in their order."""
    from jax.experimental import multihost_utils

    sizes = np.ravel(multihost_utils.process_allgather(np.array([len(data)], np.int32)))
    padded = np.zeros(max(1, sizes.max()), np.uint8)
    padded[: len(data)] = np.frombuffer(data, np.uint8)
    rows = np.asarray(multihost_utils.process_allgather(padded)).reshape(len(sizes), -1)
    return [row[:size].tobytes() for row, size in zip(rows, sizes.tolist())]


def _arrays(data):
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return dict(arrays)


def place(
    *, num_devices: int | None = None, coordinator: str = "", num_processes: int = 1, process_id: int = 0
) -> Placement:
    """Prepares the devices and returns the Placement; to be called before anything is computed.

    num_devices: devices of this process that share each batch; None is all accelerators, or one CPU. More than one on a
    CPU alone are virtual, for trying out. coordinator: host:port of process 0; num_processes, process_id: see
    Placement. TensorFlow has several devices (MirroredStrategy), JAX also several processes (keras.distribution),
    torch one device. Raises InputError for what the backend does not have.
    """
    backend = keras.backend.backend()
    if num_processes > 1 and backend != "jax":
        raise InputError(f"several processes train with the JAX backend, and this is {backend}: give --backend=jax")
    if num_processes > 1 and not coordinator:
        raise InputError("--num_processes needs --coordinator, the host:port of process 0")
    if not 0 <= process_id < num_processes:
        raise InputError(f"--process_id is {process_id}; it must be from 0 to {num_processes - 1}, --num_processes - 1")
    if backend == "tensorflow":
        return _place_tensorflow(num_devices)
    if backend == "jax":
        return _place_jax(num_devices, coordinator, num_processes, process_id)
    if num_devices not in (None, 1):
        raise InputError(f"--num_devices={num_devices}: the {backend} backend trains on one device here")
    return Placement()


def _place_tensorflow(wanted):
    import tensorflow as tf

    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    found = tf.config.list_physical_devices(kind)
    if kind == "CPU" and wanted and wanted > 1:
        tf.config.set_logical_device_configuration(found[0], [tf.config.LogicalDeviceConfiguration()] * wanted)
    wanted = wanted or (len(found) if kind == "GPU" else 1)
    _check_count(wanted, len(tf.config.list_logical_devices(kind)), kind)
    if wanted == 1:
        return Placement()
    strategy = tf.distribute.MirroredStrategy([f"{kind}:{index}" for index in range(wanted)])
    return Placement(num_devices=wanted, strategy=strategy)


def _place_jax(wanted, coordinator, num_processes, process_id):
    import jax

    if wanted and os.environ.get("JAX_PLATFORMS", "") == "cpu":
        jax.config.update("jax_num_cpu_devices", wanted)
    if num_processes > 1:
        keras.distribution.initialize(coordinator, num_processes, process_id)
    accelerated = jax.default_backend() != "cpu"
    wanted = wanted or (jax.local_device_count() if accelerated else 1)
    _check_count(wanted, jax.local_device_count(), jax.default_backend().upper())
    devices = [
        f"{device.platform}:{device.id}"
        for process in range(num_processes)
        for device in [other for other in jax.devices() if other.process_index == process][:wanted]
    ]
    if len(devices) > 1:
        distribution = keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)
        keras.distribution.set_distribution(distribution)
    return Placement(num_devices=len(devices), process_id=process_id, num_processes=num_processes)


def _check_count(wanted, found, kind):
    if wanted > found:
        raise InputError(f"--num_devices={wanted}, and there {'is' if found == 1 else 'are'} {found} {kind}")
