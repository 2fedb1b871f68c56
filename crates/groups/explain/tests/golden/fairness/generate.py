# /// script
# requires-python = ">=3.11"
# dependencies = ["fairlearn==0.12.0", "numpy==2.2.6", "scipy==1.15.3"]
# ///
"""Intervals and tests by scipy, fairness figures by their definitions written out in numpy, and by fairlearn where it is there.

Writes fairness.json beside this file. Run: uv run generate.py
"""

import json
import math
from pathlib import Path

import numpy as np
from scipy import stats

Z = stats.norm.ppf(0.975)


def plain(value):
    """JSON has no NaN: null stands for it."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(inner) for inner in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer, str)):
        return value if isinstance(value, str) else int(value)
    return float(value) if math.isfinite(value) else None


def wilson(hits, count):
    interval = stats.binomtest(hits, count).proportion_ci(method="wilson")
    return [hits / count, interval.low, interval.high]


def newcombe(one, two):
    (p, low_p, high_p), (q, low_q, high_q) = wilson(*one), wilson(*two)
    down, up = math.hypot(p - low_p, high_q - q), math.hypot(high_p - p, q - low_q)
    return [p - q, p - q - down, p - q + up]


def rates():
    for one, two in [((3, 10), (8, 12)), ((45, 60), (30, 90)), ((1, 300), (299, 300)), ((50, 100), (50, 100)), ((7, 7), (2, 9))]:
        ratio = stats.contingency.relative_risk(one[0], one[1], two[0], two[1])
        interval = ratio.confidence_interval(0.95)
        table = [[one[0], one[1] - one[0]], [two[0], two[1] - two[0]]]
        yield {
            "one": one,
            "two": two,
            "wilson": wilson(*one),
            "difference": newcombe(one, two),
            "ratio": [ratio.relative_risk, interval.low, interval.high],
            "p_value": stats.chi2_contingency(table, correction=False).pvalue,
        }


def means(random):
    for first, second, shift in [(2, 3, 0.0), (5, 40, 0.5), (60, 45, -0.2), (300, 400, 0.1)]:
        one, two = random.normal(size=first).round(6), random.normal(shift, 3, size=second).round(6)
        found = stats.ttest_ind(one, two, equal_var=False)
        gap, own = found.confidence_interval(0.95), stats.ttest_1samp(one, 0.0).confidence_interval(0.95)
        yield {
            "one": one,
            "two": two,
            "interval": [one.mean(), own.low, own.high],
            "welch": [one.mean() - two.mean(), gap.low, gap.high],
            "p_value": found.pvalue,
        }


def group(predictions, labels, threshold):
    selected, ones = predictions >= threshold, labels == 1
    share = lambda mask, of: float(mask[of].mean()) if of.any() else math.nan
    every = np.ones(len(labels), bool)
    return {
        "mean_prediction": predictions.mean(),
        "selection_rate": share(selected, every),
        "true_positive_rate": share(selected, ones),
        "false_positive_rate": share(selected, ~ones),
        "precision": share(ones, selected),
        "accuracy": share(selected == ones, every),
        "base_rate": share(ones, every),
        "calibration_gap": predictions.mean() - labels.mean(),
        "brier_score": ((predictions - labels) ** 2).mean(),
    }


def spread(groups, figure):
    values = [own[figure] for own in groups.values()]
    return max(values) - min(values)


def slices(random):
    count, threshold = 400, 0.4
    names = random.choice(["a", "b", "c"], count, p=[0.5, 0.3, 0.2])
    lift = np.select([names == "a", names == "b"], [0.2, 0.0], -0.1)
    predictions = np.clip(0.4 + lift + random.normal(0, 0.2, count), 0.01, 0.99).round(6)
    labels = (random.random(count) < predictions).astype(float)
    groups = {name: group(predictions[names == name], labels[names == name], threshold) for name in "abc"}
    rates = [groups[name]["selection_rate"] for name in "abc"]
    summaries = {
        "demographic_parity_difference": spread(groups, "selection_rate"),
        "demographic_parity_ratio": min(rates) / max(rates),
        "equal_opportunity_difference": spread(groups, "true_positive_rate"),
        "equalized_odds_difference": max(spread(groups, "true_positive_rate"), spread(groups, "false_positive_rate")),
        "predictive_parity_difference": spread(groups, "precision"),
        "calibration_gap_range": spread(groups, "calibration_gap"),
    }
    check_with_fairlearn(labels, predictions >= threshold, names, summaries)
    return {
        "names": names.tolist(),
        "predictions": predictions,
        "labels": labels,
        "threshold": threshold,
        "slices": groups,
        "summaries": summaries,
    }


def check_with_fairlearn(labels, selected, names, summaries):
    try:
        from fairlearn import metrics
    except ModuleNotFoundError:
        print("fairlearn is not there: the summaries are those of the definitions")
        return
    for name in list(summaries)[:4]:
        theirs = getattr(metrics, name)(labels, selected, sensitive_features=names)
        assert math.isclose(theirs, summaries[name], rel_tol=1e-12), name


def main():
    random = np.random.default_rng(11)
    p_values = [0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216]
    golden = {
        "rates": list(rates()),
        "means": list(means(random)),
        "adjusted": {"p_values": p_values, "expected": stats.false_discovery_control(p_values)},
        "fairness": slices(random),
    }
    Path(__file__).with_name("fairness.json").write_text(json.dumps(plain(golden)) + "\n")


if __name__ == "__main__":
    main()
