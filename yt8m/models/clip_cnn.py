"""Network of keras.applications on every picture of a clip, averaged over time, all of it trained."""

import math
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from yt8m.layers.masking import masked_mean
from yt8m.models import MODELS
from yt8m.models.clip_model import ClipModel
from yt8m.runtime.keras_networks import keras_networks, layers_of, load_trunk
from yt8m.types import InputError, StrPath, Tensor

_GROUPS = 12
"""Groups of layers for layer-wise decay, as ConvNeXt is fine-tuned with (Liu et al. 2022, appendix A)."""


@MODELS.register("clip_cnn")
@keras.saving.register_keras_serializable("yt8m")
class ClipCnn(ClipModel):
    """A network of pictures on each of a clip's, and the mean of its vectors (TSN, Wang et al. 2016).

    network: name of a function of keras.applications; the network prepares pixel values as it was published to.
    dropout, head, num_mixtures: see ClipModel. Raises InputError for networks that keras.applications does not have.

    Pictures that are padding are seen as further real ones, for the sake of batch norm, and count for nothing.
    """

    def __init__(
        self,
        *,
        feature_sizes: Mapping[str, int],
        num_classes: int,
        level: str = "clip",
        l2_normalize: bool = False,
        network: str = "EfficientNetV2B0",
        dropout: float = 0.5,
        head: str = "logistic",
        num_mixtures: int = 5,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(
            feature_sizes=feature_sizes,
            num_classes=num_classes,
            level=level,
            l2_normalize=l2_normalize,
            mean=(0.0,),
            std=(1.0,),
            dropout=dropout,
            head=head,
            num_mixtures=num_mixtures,
            name=name,
            dtype=dtype,
        )
        networks = keras_networks()
        if network not in networks:
            raise InputError(f"network is {network!r}; valid: {', '.join(sorted(networks))}")
        self.network_name = network
        self._fine_sizes: set[tuple[int, int]] = set()
        build, self._prepare = networks[network]
        with layers_of(self.dtype_policy):
            self.network = build(weights=None, include_top=False, pooling="avg", input_shape=(None, None, 3))

    def build_network(self, clip_shape: tuple) -> int:
        """The size of the network's vector; its weights are there since it was made."""
        return int(self.network.output_shape[-1])

    def embed(self, inputs: dict[str, Any], *, training: bool | None = None) -> Tensor:
        """The mean over real pictures of the network's vectors, (B, D)."""
        pictures, counts = inputs["pictures"], ops.cast(inputs["num_frames"], "int32")
        _, length, height, width, channels = ops.shape(pictures)
        places = ops.arange(length)[None, :]
        frame_mask = places < counts[:, None]
        shown = ops.mod(places, ops.maximum(counts, 1)[:, None])
        pictures = ops.take_along_axis(pictures, shown[:, :, None, None, None], axis=1)
        pixels = ops.cast(ops.reshape(pictures, (-1, height, width, channels)), "float32")
        if isinstance(height, int) and isinstance(width, int):
            self.check_clips(num_frames=None, size=(height, width))
        vectors = self.network(self._prepare(pixels, data_format="channels_last"), training=training)
        vectors = ops.reshape(vectors, (-1, length, vectors.shape[-1]))
        return self.drop(masked_mean(vectors, frame_mask), training=training)

    def check_clips(self, *, num_frames: int | None, size: tuple[int, int]) -> None:
        """Raises InputError for pictures of which nothing would be left; some backends go on, with no numbers."""
        if size in self._fine_sizes:
            return
        try:
            self.network.compute_output_spec(keras.KerasTensor((1, *size, 3)))
        except ValueError as error:
            raise InputError(
                f"{self.network_name} shrinks pictures more often than {size[0]} x {size[1]} pixels allow: raise "
                "clip_size"
            ) from error
        self._fine_sizes.add(size)

    def load_network(self, path: StrPath) -> None:
        """Loads the network's weights from a file of Keras, of it with or without its last layers.

        Raises InputError for a file that is none of this network.
        """
        load_trunk(self.network, path, name=self.network_name)

    @property
    def depth_groups(self) -> list[list[keras.layers.Layer]]:
        """The network's layers with weights, in 12 groups as large as each other, and the head."""
        layers = [layer for layer in self.network.layers if layer.weights]
        size = math.ceil(len(layers) / _GROUPS)
        return [*(layers[first : first + size] for first in range(0, len(layers), size)), [self.head]]

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        config = super().get_config() | {"network": self.network_name}
        return {name: value for name, value in config.items() if name not in ("mean", "std")}
