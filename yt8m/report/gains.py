"""What fine-tuning, shifted views and the ensemble gain, as in tables 2 to 4 of Liu & Shao (2019)."""

from yt8m.report.page import paragraph, section, table


def gains_part(models, ensemble):
    """A section of HTML.

    models: dict of name to dict of the segment MAPs "pretrained", "finetuned" and "tta", and "shifts", first and last.
    ensemble: dict with "equal" and "searched", each with "map_at_k" and "w0", the latter with "weights", one a model;
    "against", name of the best model, and "difference" of the searched ensemble from it, as
    yt8m.ranking.bootstrap.paired_difference gives it.
    """
    weights = ensemble["searched"]["weights"]
    columns = ("Model", "Pre-trained", "Fine-tuned", "Gain", "Shifts", "+ TTA", "Gain", "Weight")
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
        (f"Ensemble, {kind}", _map(entry["map_at_k"]), _gain(entry["map_at_k"] - best), f"{entry['w0']:.3g}")
        for kind, entry in (("equal weights", ensemble["equal"]), ("searched weights", ensemble["searched"]))
    ]
    difference = ensemble["difference"]
    return section(
        "What each step gains",
        paragraph("Segment MAP of every model: pre-trained on noisy video labels, fine-tuned on rated segments, and with "
                  "the scores of shifted views averaged (test-time augmentation)."),
        table(columns, rows, identifier="gains"),
        paragraph(f"The ensembles, and what they gain over the best model, {ensemble['against']}:"),
        table(("Ensemble", "MAP", "Gain", "w0"), fused),
        paragraph(f"Searched weights against {ensemble['against']}: {_gain(difference['difference'])}, 95% interval "
                  f"[{_gain(difference['low'])}, {_gain(difference['high'])}]."),
    )  # fmt: skip


def _map(value):
    return (f"{value:.4f}", value)


def _gain(value):
    return f"{value:+.4f}"
