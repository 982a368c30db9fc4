"""Gains of fine-tuning, shifted views and the ensemble, as in tables 2 to 4 of Liu & Shao (2019)."""

from markupsafe import Markup

from yt8m.report.page import render


def gains_part(models: dict[str, dict], ensemble: dict) -> Markup:
    """A section of HTML.

    models: dict of name to dict of the segment MAPs "pretrained", "finetuned" and "tta", and "shifts", first and last.
    ensemble: dict with "equal" and "searched", each with "map_at_k" and "w0" in words, the latter with "weights", one a
    model; "against", name of the best model, and "difference" of the searched ensemble from it, as
    yt8m.ranking.bootstrap.paired_difference gives it.
    """
    weights = ensemble["searched"]["weights"]
    rows = [
        (
            name, _map(row["pretrained"]), _map(row["finetuned"]), _gain(row["finetuned"] - row["pretrained"]),
            f"{row['shifts'][0]} to {row['shifts'][1]}", _map(row["tta"]), _gain(row["tta"] - row["finetuned"]),
            f"{weight / sum(weights):.1%}",
        )
        for (name, row), weight in zip(models.items(), weights)
    ]  # fmt: skip
    best = max(row["tta"] for row in models.values())
    fused = [
        (f"Ensemble, {kind} weights", _map(ensemble[kind]["map_at_k"]), _gain(ensemble[kind]["map_at_k"] - best),
         ensemble[kind]["w0"])
        for kind in ("equal", "searched")
    ]  # fmt: skip
    against, difference = ensemble["against"], ensemble["difference"]
    return render("gains.html", models=rows, ensembles=fused, against=against, difference=difference)


def _map(value):
    return (f"{value:.4f}", value)


def _gain(value):
    return f"{value:+.4f}"
