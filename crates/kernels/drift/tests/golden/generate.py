# /// script
# requires-python = ">=3.11"
# dependencies = ["evidently==0.7.23", "numpy==2.4.6", "pandas==2.3.3", "scipy==1.17.1"]
# ///
"""Small samples and the drift scores that scipy, numpy and evidently give for them.

Writes drift.json beside this file. Run: uv run generate.py
"""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from evidently.legacy.calculations.stattests import psi_stat_test, wasserstein_stat_test
from evidently.legacy.calculations.stattests.registry import get_stattest
from evidently.legacy.core import ColumnType
from scipy import special, stats
from scipy.spatial.distance import jensenshannon

FLOOR = 1e-4
DECILES = np.arange(1, 10) / 10


def evidently_score(test, reference, current, kind):
    run = get_stattest(pd.Series(reference), pd.Series(current), kind, test.name)
    return float(run(pd.Series(reference), pd.Series(current), kind, None).drift_score)


def psi(p, q):
    return float(np.sum((p - q) * np.log(p / q)))


def fill_zeros(shares):
    smallest = shares[shares != 0].min()
    return np.where(shares == 0, smallest / 1e6 if smallest <= FLOOR else FLOOR, shares)


def level_shares(reference, current):
    levels = sorted(set(reference) | set(current))
    counts = [np.array([Counter(side)[level] for level in levels], float) for side in (reference, current)]
    return [c / c.sum() for c in counts], counts


def psi_evidently(reference, current):
    if isinstance(reference[0], str) or len(set(reference)) <= 20:
        (p, q), _ = level_shares(reference, current)
    else:
        edges = np.histogram_bin_edges(np.concatenate([reference, current]), bins="sturges")
        p, q = (np.histogram(side, edges)[0] / len(side) for side in (reference, current))
    return psi(fill_zeros(p), fill_zeros(q))


def numeric(reference, current):
    reference, current = np.asarray(reference, float), np.asarray(current, float)
    inner = np.unique(np.quantile(reference, DECILES, method="linear"))
    p, q = (
        np.bincount(np.searchsorted(inner, side, side="right"), minlength=len(inner) + 1) / len(side)
        for side in (reference, current)
    )
    wasserstein = stats.wasserstein_distance(reference, current)
    ks = stats.ks_2samp(reference, current, method="asymp")
    size = len(reference) * len(current) / (len(reference) + len(current))
    expected = {
        "wasserstein": float(wasserstein),
        "wasserstein_normed": float(wasserstein / max(np.std(reference, ddof=0), 0.001)),
        "ks_statistic": float(ks.statistic),
        "ks_pvalue_asymptotic": float(ks.pvalue),
        "ks_pvalue_limit": float(special.kolmogorov(np.sqrt(size) * ks.statistic)),
        "psi_quantile10": psi(np.maximum(p, FLOOR), np.maximum(q, FLOOR)),
        "psi_quantile10_inner_edges": inner.tolist(),
        "psi_evidently": psi_evidently(reference, current),
    }
    for key, test in (("psi_evidently", psi_stat_test), ("wasserstein_normed", wasserstein_stat_test)):
        theirs = evidently_score(test, reference, current, ColumnType.Numerical)
        assert np.isclose(expected[key], theirs, rtol=1e-12, atol=1e-15), (key, expected[key], theirs)
    return expected


def categorical(reference, current):
    (p, q), counts = level_shares(reference, current)
    chi2 = stats.chi2_contingency(np.array(counts), correction=False)
    expected = {
        "js_distance_base2": float(jensenshannon(p, q, 2)),
        "js_distance_nats": float(jensenshannon(p, q)),
        "chi2_statistic": float(chi2.statistic),
        "chi2_pvalue": float(chi2.pvalue),
        "chi2_dof": int(chi2.dof),
        "psi": psi(np.maximum(p, FLOOR), np.maximum(q, FLOOR)),
        "psi_evidently": psi_evidently(reference, current),
    }
    theirs = evidently_score(psi_stat_test, reference, current, ColumnType.Categorical)
    assert np.isclose(expected["psi_evidently"], theirs, rtol=1e-12, atol=1e-15), (expected["psi_evidently"], theirs)
    return expected


def samples():
    rng = np.random.default_rng(20261123)
    normal = rng.standard_normal

    def zero_inflated(n, share):
        return np.where(rng.random(n) < share, 0.0, np.exp(normal(n)))

    yield "same", normal(200), normal(180)
    yield "shift", normal(200), normal(150) + 0.5
    yield "scale", normal(128), 1.6 * normal(128)
    yield "uneven_sizes", normal(400), normal(40) + 0.2
    yield "integers_with_ties", rng.integers(0, 40, 300), rng.integers(3, 45, 260)
    yield "few_values", rng.integers(0, 6, 250), rng.integers(0, 7, 200)
    yield "twenty_values", np.r_[np.arange(20), rng.integers(0, 20, 180)], rng.integers(0, 22, 200)
    yield "zero_inflated", zero_inflated(300, 0.6), zero_inflated(240, 0.45)
    yield "constant_reference", np.ones(60), normal(50)
    yield "constant_both", np.full(50, 2.5), np.full(40, 2.5)
    yield "one_outlier", np.r_[normal(150), 1e6], normal(120)
    yield "disjoint", normal(80), normal(80) + 100
    yield "tiny", normal(5), normal(5) + 1
    yield "one_against_many", normal(50), normal(1)

    def levels(k, n, tilt):
        weight = 1 / np.arange(1, k + 1)
        weight = weight + tilt * weight[::-1]
        return [f"l{i}" for i in rng.choice(k, n, p=weight / weight.sum())]

    for k, n in ((2, 150), (3, 200), (8, 300), (50, 400)):
        yield f"levels_{k}", levels(k, n, 0), levels(k, n - 30, 0.3)
    yield "levels_3_same", levels(3, 200, 0), levels(3, 200, 0)
    yield "new_level", ["a"] * 70 + ["b"] * 50, ["a"] * 60 + ["b"] * 50 + ["z"] * 10
    yield "lost_level", ["a"] * 70 + ["b"] * 45 + ["c"] * 5, ["a"] * 70 + ["b"] * 50
    yield "one_level", ["a"] * 60, ["a"] * 45


def case(name, reference, current):
    if isinstance(reference[0], str):
        return {
            "name": name,
            "kind": "categorical",
            "reference": reference,
            "current": current,
            "expected": categorical(reference, current),
        }
    reference, current = (np.round(np.asarray(side, float), 6).tolist() for side in (reference, current))
    return {
        "name": name,
        "kind": "numeric",
        "reference": reference,
        "current": current,
        "expected": numeric(reference, current),
    }


if __name__ == "__main__":
    with np.errstate(all="ignore"):
        found = [case(*sample) for sample in samples()]
    body = ",\n".join(json.dumps(c, allow_nan=False) for c in found)
    (Path(__file__).parent / "drift.json").write_text(f"[\n{body}\n]\n")
    print(len(found), "cases")
