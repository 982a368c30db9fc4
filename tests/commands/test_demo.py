"""yt8m-demo, the first command of README, on a world and with models that are tiny."""

import json

import pytest

from benchmarks import plain
from tests.helpers.commands import passed
from yt8m.commands import demo as command
from yt8m.models.checkpoints import read_metrics
from yt8m.ranking.evaluation import evaluate_submission
from yt8m.ranking.rated_labels import RatedLabels

FINETUNE_EPOCHS, REPORT_VIDEOS = 2, 2


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """(folder of a demo, what it printed)."""
    pytest.importorskip("matplotlib", reason="Matplotlib is not installed (extra [report])")
    constants = {
        "SIZE": "tiny",
        "PRETRAIN_EPOCHS": 1,
        "FINETUNE_EPOCHS": FINETUNE_EPOCHS,
        "BOOTSTRAP_DRAWS": 50,
        "REPORT_VIDEOS": REPORT_VIDEOS,
        "ENTRIES": {
            "A": command.Entry("logistic", 15, "random", (-1, 1), {}, learning_rate=3e-3),
            "B": command.Entry("moe", 5, "sequence", (0, 1), {"num_mixtures": 1}),
        },
    }
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in constants.items():
            patch.setattr(command, name, value)
        return folder, passed("demo", f"--output_dir={folder}").stdout


def test_the_table_holds_the_scores_of_the_files(demo):
    folder, printed = demo
    results = json.loads((folder / "results.json").read_text())
    labels = RatedLabels.from_csv(folder / "data" / "test_labels.csv")

    def score(name):
        return evaluate_submission(folder / "submissions" / f"{name}.csv", labels).map_at_k

    table = (folder / "results.txt").read_text()
    for name, shifts in (("A", [-1, 1]), ("B", [0, 1])):
        scores = {"pretrained": score(f"{name}.pretrained"), "finetuned": score(name), "tta": score(f"{name}.tta")}
        assert results["models"][name] == scores | {"shifts": shifts, "seconds": results["models"][name]["seconds"]}
        assert min(scores.values()) > 0 and f"{scores['tta']:.4f} [{shifts[0]:2},{shifts[1]:2}]" in table
        assert all((folder / stage / name / "best.keras").exists() for stage in ("pretrained", "finetuned"))
        assert len(read_metrics(folder / "finetuned" / name)) == FINETUNE_EPOCHS
    ensemble = results["ensemble"]
    searched, best = score("ensemble.searched"), max("AB", key=lambda name: results["models"][name]["tta"])
    assert ensemble["equal"] == {"map_at_k": score("ensemble.equal"), "weights": [1, 1], "w0": "0.2 of the list"}
    assert ensemble["searched"]["map_at_k"] == searched and ensemble["against"] == best
    assert ensemble["difference"]["difference"] == pytest.approx(searched - score(f"{best}.tta"), abs=1e-12)
    assert ensemble["difference"]["low"] <= ensemble["difference"]["high"]
    weights = json.loads((folder / "weights.json").read_text())
    assert weights["weights"] == ensemble["searched"]["weights"]
    assert ensemble["searched"]["w0"] == f"{weights['w0_share']:.3g} of the list"
    assert table in printed and f"{searched:.4f}  (w0 = {weights['w0_share']:.3g} of the list)" in table


def test_the_ensembles_are_fused_of_the_models(demo):
    folder, _ = demo
    searched = json.loads((folder / "weights.json").read_text())
    parts = [folder / "submissions" / f"{name}.tta.csv" for name in "AB"]
    for kind, weights, share in (("equal", (1.0, 1.0), 0.2), ("searched", searched["weights"], searched["w0_share"])):
        plain.fuse(parts, folder / "slow.csv", weights=weights, w0_share=share)
        assert (folder / "slow.csv").read_bytes() == (folder / "submissions" / f"ensemble.{kind}.csv").read_bytes()


def test_eval_prints_what_the_report_says(demo):
    folder, printed = demo
    common = (f"--labels={folder}/data/test_labels.csv", "--bootstrap=50")
    scored = json.loads(passed("eval", f"--submission={folder}/submissions/ensemble.searched.csv", *common).stdout)
    page = (folder / "report.html").read_text()
    assert json.loads(page.partition('id="results">')[2].partition("</script>")[0]) == scored
    assert page.count('class="video"') == REPORT_VIDEOS
    picture = (folder / "demo.png").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n") and len(picture) > 10_000
    assert all(f"{folder}/{name}" in printed for name in ("demo.png", "report.html"))
