"""The least time that a machine needs for a step of a model: its matrix products, and what must pass through memory.

Convolutions are products of what lies under the kernel at each place by the kernel.

A product of (m, k) by (k, n) takes at least the larger of 2 m k n operations at the rate of a large product of its
dtype, and of one pass of its three matrices through memory. An update by Adam with clipping passes eight numbers of 4
bytes a weight through memory: the gradient once for its norm and once more, weight and two moments in and out. Both
rates are measured on the machine, beside the model. All else, normalisation, losses, counts as nothing.
"""

import dataclasses
import math
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

ITEM_BYTES = {"float32": 4, "tensorfloat32": 4, "bfloat16": 2}
_UPDATE_NUMBERS = 8
_VECTOR = {"cpu": 64 << 20, "gpu": 512 << 20}
_SQUARE = {"cpu": 4096, "gpu": 8192}


@dataclasses.dataclass(frozen=True)
class Product:
    """``count`` products of (rows, inner) by (inner, columns).

    given: numbers of the left matrix, where it is a view that has some several times; None where it is not.
    """

    count: int
    rows: int
    inner: int
    columns: int
    given: int | None = None

    @property
    def operations(self) -> int:
        """Multiplications and additions."""
        return 2 * self.count * self.rows * self.inner * self.columns

    @property
    def numbers(self) -> int:
        """Entries of all three matrices."""
        left = self.rows * self.inner if self.given is None else self.given
        return self.count * (left + self.inner * self.columns + self.rows * self.columns)


@dataclasses.dataclass(frozen=True)
class Machine:
    """Rates measured on a machine. operations: a second, of a large product; bandwidth: bytes a second."""

    operations: float
    bandwidth: float

    def least_seconds(self, products: list[Product], *, dtype: str, updated: int = 0) -> float:
        """Least seconds of a step of ``products``, and of the update of so many weights."""
        size = ITEM_BYTES[dtype]
        of_products = sum(
            max(item.operations / self.operations, item.numbers * size / self.bandwidth) for item in products
        )
        return of_products + updated * _UPDATE_NUMBERS * 4 / self.bandwidth


def accelerator() -> str:
    """Name of the card, "" where there is a CPU alone."""
    if keras.backend.backend() == "jax":
        import jax

        device = jax.devices()[0]
        return "" if device.platform == "cpu" else device.device_kind
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(found[0]).get("device_name", "GPU") if found else ""


def compiled(function: Callable, **options: Any) -> Callable:
    """A function of tensors as one graph of the backend."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function, **options)
    import tensorflow as tf

    return tf.function(function, autograph=False)


def wait(values: Any) -> None:
    """Returns when ``values``, tensors in any structure, are computed."""
    if keras.backend.backend() == "jax":
        import jax

        jax.block_until_ready(values)
        return
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        for value in tf.nest.flatten(values)[-1:]:
            np.asarray(value)


def measures(dtype: str) -> tuple[Callable[[], float], Callable[[], float]]:
    """(operations a second, bytes a second): functions that measure once, to be called in turn with a step."""
    kind = "gpu" if accelerator() else "cpu"
    side, length = _SQUARE[kind], _VECTOR[kind]
    inner = 10 if kind == "gpu" else 1
    computed = "bfloat16" if dtype == "bfloat16" else "float32"
    random = np.random.default_rng(0).normal(size=(side, side)).astype(np.float32)
    square = keras.ops.cast(keras.ops.convert_to_tensor(random), computed)
    multiply = compiled(lambda left: keras.ops.matmul(left, square) * side**-0.5)
    add = _addition(length)

    def seconds(function, values):
        wait(values)
        start = time.perf_counter()
        for _ in range(inner):
            values = function(values)
        wait(values)
        return (time.perf_counter() - start) / inner, values

    left, total = multiply(square), add(None)
    wait((left, total))

    def operations():
        return 2 * side**3 / seconds(multiply, left)[0]

    def bandwidth():
        nonlocal total
        spent, total = seconds(add, total)
        return 3 * 4 * length / spent

    return operations, bandwidth


def _addition(length):
    """Function of the sum so far, None at first, to it with a vector of ``length`` float32 added, in place."""
    vector = keras.ops.ones((length,), "float32")
    if keras.backend.backend() == "jax":
        # The vector as an argument: XLA would make a constant of ones as it goes, and read nothing.
        add = compiled(lambda values, other: values + other, donate_argnums=0)
        return lambda values: add(keras.ops.zeros((length,), "float32") if values is None else values, vector)
    import tensorflow as tf

    total = tf.Variable(tf.zeros((length,)))
    add = compiled(lambda: total.assign_add(vector))
    return lambda _: add()


def products_of_step(model: keras.Model, features: dict, targets: dict | None) -> list[Product]:
    """The matrix products of a step of a model: of inference where ``targets`` is None, else forward and backward."""
    return list((_jax_products if keras.backend.backend() == "jax" else _tensorflow_products)(model, features, targets))


_CONVOLUTIONS = re.compile(r"^(?:Depthwise)?Conv(?:2D|3D|2dNative)(BackpropInput|BackpropFilter)?(?:V2)?$")


def _tensorflow_products(model, features, targets):
    import tensorflow as tf

    features = {name: tf.constant(values) for name, values in features.items()}

    def forward():
        return model(features, training=targets is not None)

    def backward():
        with tf.GradientTape() as tape:
            loss = model.compute_loss(features, targets, forward())
        return tape.gradient(loss, [variable.value for variable in model.trainable_variables])

    graph = tf.function(forward if targets is None else backward).get_concrete_function().graph
    for operation in graph.get_operations():
        if operation.type in ("MatMul", "BatchMatMulV2"):
            transposed = operation.get_attr("transpose_a" if operation.type == "MatMul" else "adj_x")
            inner = operation.inputs[0].shape[-2 if transposed else -1]
            *count, rows, columns = operation.outputs[0].shape
            yield Product(math.prod(count), rows, inner, columns)
        elif found := _CONVOLUTIONS.match(operation.type):
            yield _convolution(operation, found[1])


def _convolution(operation, gradient):
    """Of a convolution or one of its gradients: all three take the same operations."""
    given, kernel = operation.inputs[0].shape, operation.inputs[1].shape
    outputs = (operation.inputs[2] if gradient else operation.outputs[0]).shape
    if gradient == "BackpropInput":
        given = operation.outputs[0].shape
    elif gradient == "BackpropFilter":
        kernel = operation.outputs[0].shape
    if operation.type.startswith("Depthwise"):
        # Each channel by itself.
        return Product(
            kernel[2] * kernel[3], math.prod(outputs[:-1]), kernel[0] * kernel[1], 1, math.prod(outputs[:-1])
        )
    return Product(1, math.prod(outputs[:-1]), math.prod(kernel[:-1]), kernel[-1], math.prod(given))


def _jax_products(model, features, targets):
    import jax

    trained, others = ([variable.value for variable in found] for found in _variables(model))

    def forward(trained):
        return model.stateless_call(trained, others, features, training=targets is not None)[0]

    def backward(trained):
        return model.stateless_compute_loss(
            trained, others, [], x=features, y=targets, y_pred=forward(trained), training=True
        )[0]

    step = forward if targets is None else jax.grad(backward)
    yield from _dots(jax.make_jaxpr(step)(trained).jaxpr)


def _variables(model):
    return model.trainable_variables, model.non_trainable_variables


def _dots(jaxpr: Any) -> Iterator[Product]:
    """The products of a jaxpr and of those within it."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), (batched, _) = equation.params["dimension_numbers"]
            left, right = (variable.aval.shape for variable in equation.invars)
            inner = math.prod(left[axis] for axis in contracted)
            count = math.prod(left[axis] for axis in batched)
            yield Product(count, math.prod(left) // (inner * count), inner, math.prod(right) // (inner * count))
        if equation.primitive.name == "conv_general_dilated":
            yield _jax_convolution(equation)
        for value in equation.params.values():
            for item in value if isinstance(value, (list, tuple)) else [value]:
                inside = getattr(item, "jaxpr", item)
                if hasattr(inside, "eqns"):
                    yield from _dots(inside)


def _jax_convolution(equation):
    numbers = equation.params["dimension_numbers"]
    given, kernel = (variable.aval.shape for variable in equation.invars)
    outputs = equation.outvars[0].aval.shape
    columns = kernel[numbers.rhs_spec[0]]
    return Product(1, math.prod(outputs) // columns, math.prod(kernel) // columns, columns, math.prod(given))
