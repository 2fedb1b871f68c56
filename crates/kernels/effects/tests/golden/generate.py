# /// script
# requires-python = ">=3.11"
# dependencies = ["scikit-learn==1.9.1", "PyALE==1.2.0", "gower==0.1.2", "numpy==2.4.6", "pandas==2.3.3", "scipy==1.17.1"]
# ///
"""What scikit-learn, PyALE, gower and the definitions written out in numpy give for a model that is a formula.

Writes partial.json, accumulated.json, permutation.json, attribution.json, distances.json and ranking.json beside this
file. Run: uv run generate.py
"""

import itertools
import json
import math
import warnings
from pathlib import Path

import gower
import numpy as np
import pandas as pd
from PyALE._src.ALE_1D import aleplot_1D_continuous, aleplot_1D_discrete
from PyALE._src.ALE_2D import aleplot_2D_continuous
from sklearn import metrics
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.inspection import partial_dependence, permutation_importance

HERE = Path(__file__).parent
NAMES = ["a", "b", "c", "d", "e"]
TABLE = np.array([0.5, -1.0, 2.0, 0.25])


def formula(rows):
    """The same formula as `formula` in tests/it/main.rs. Column b may be missing."""
    a, b, c, d, e = np.asarray(rows, float).T
    b = np.where(np.isnan(b), 0.25, b)
    return 1.5 * a + a * b + 0.5 * c**2 - 0.3 * np.sin(c) * d + TABLE[e.astype(int)] + 0.1 * b * c * d


def probability(rows):
    return 1 / (1 + np.exp(-0.4 * formula(rows)))


class Formula(RegressorMixin, BaseEstimator):
    def __init__(self, function=formula):
        self.function = function

    def fit(self, rows, labels=None):
        self.fitted_ = True
        return self

    def predict(self, rows):
        return self.function(rows)


def data(rows, seed, missing=False):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=rows)
    b = 0.7 * a + rng.normal(size=rows)
    c = rng.uniform(-2, 3, rows)
    found = np.column_stack([a, b, c, rng.integers(0, 5, rows), rng.integers(0, 4, rows)]).round(3)
    if missing:
        found[rng.random(rows) < 0.1, 1] = np.nan
    return found


def listed(values):
    values = np.asarray(values, float)
    if values.ndim > 1:
        return [listed(value) for value in values]
    return [None if np.isnan(value) else float(value) for value in values]


def write(name, found):
    (HERE / f"{name}.json").write_text(json.dumps(found, allow_nan=False) + "\n")


def partial():
    rows, with_missing = data(60, 1), data(40, 2, missing=True)
    model = Formula().fit(rows)
    cases = []
    for column, points, low, high, categorical in [(0, 100, 0.05, 0.95, False), (2, 12, 0.1, 0.8, False), (3, 10, 0.05, 0.95, False), (3, 4, 0.05, 0.95, False), (4, 3, 0.05, 0.95, True), (1, 60, 0.0, 1.0, False)]:
        found = partial_dependence(model, rows, [column], categorical_features=[column] if categorical else None, percentiles=(low, high), grid_resolution=points, method="brute", kind="both")
        case = {"column": column, "points": points, "from": low, "to": high, "levels": categorical, "grid": listed(found["grid_values"][0]), "average": listed(found["average"][0])}
        if len(case["grid"]) <= 12:
            case["individual"] = listed(found["individual"][0][:8])
        cases.append(case)
    pairs = []
    for columns, points in [([0, 2], 6), ([1, 4], 5)]:
        found = partial_dependence(model, rows, columns, grid_resolution=points, percentiles=(0.05, 0.95), categorical_features=[4], method="brute", kind="average")
        pairs.append({"columns": columns, "grids": [listed(grid) for grid in found["grid_values"]], "average": listed(found["average"][0])})
    grid = [-1.0, 0.0, 0.5]
    missing = partial_dependence(model, with_missing, [0], custom_values={0: np.array(grid)}, method="brute", kind="average")
    write("partial", {
        "rows": listed(rows), "cases": cases, "pairs": pairs,
        "missing": {"rows": listed(with_missing), "column": 0, "grid": grid, "average": listed(missing["average"][0])},
        "interactions": [{"columns": list(columns), "strength": strength, "amount": amount} for columns in [(0, 1), (2, 3), (0, 4), (1, 3)] for strength, amount in [interaction(rows[:30], columns)]],
    })


def interaction(rows, columns):
    """Friedman & Popescu 2008, eq. 44, by its definition: every partial dependence at every row."""
    def dependence(sets):
        found = []
        for row in rows:
            changed = rows.copy()
            changed[:, sets] = row[sets]
            found.append(formula(changed).mean())
        return np.array(found) - np.mean(found)

    both, first, second = dependence(list(columns)), dependence([columns[0]]), dependence([columns[1]])
    rest = both - first - second
    return math.sqrt((rest**2).sum() / (both**2).sum()), math.sqrt((rest**2).mean())


def edges_of(values, bins):
    """Type 1 quantiles, ranks in whole numbers."""
    ascending = np.sort(values[~np.isnan(values)])
    ranks = [-(-len(ascending) * part // bins) for part in range(1, bins + 1)]
    return np.unique(np.r_[ascending[0], ascending[np.array(ranks) - 1]])


def first_order(rows, column, edges):
    bins = np.clip(np.searchsorted(edges, rows[:, column], side="left") - 1, 0, None)
    lower, upper = rows.copy(), rows.copy()
    lower[:, column], upper[:, column] = edges[bins], edges[bins + 1]
    change = formula(upper) - formula(lower)
    counts = np.array([(bins == k).sum() for k in range(len(edges) - 1)])
    means = np.array([change[bins == k].mean() if (bins == k).any() else 0.0 for k in range(len(edges) - 1)])
    sums = np.r_[0, np.cumsum(means)]
    return sums - (counts * (sums[1:] + sums[:-1]) / 2).sum() / counts.sum(), counts


def levels_effect(rows, column, levels):
    place = {level: number for number, level in enumerate(levels)}
    changes = [[] for _ in levels[1:]]
    for row in rows:
        number = place[row[column]]
        for other in (number - 1, number + 1):
            if 0 <= other < len(levels):
                moved = row.copy()
                moved[column] = levels[other]
                change = (formula([moved]) - formula([row]))[0] * (1 if other > number else -1)
                changes[min(number, other)].append(change)
    sums = np.r_[0, np.cumsum([np.mean(change) for change in changes])]
    counts = np.array([(rows[:, column] == level).sum() for level in levels])
    return sums - (sums * counts).sum() / counts.sum(), counts


def second_order(rows, columns, edges):
    bins = [np.clip(np.searchsorted(edges[side], rows[:, columns[side]], side="left") - 1, 0, None) for side in (0, 1)]
    def at(first, second):
        changed = rows.copy()
        changed[:, columns[0]] = edges[0][bins[0] + first]
        changed[:, columns[1]] = edges[1][bins[1] + second]
        return formula(changed)
    change = at(1, 1) - at(0, 1) - at(1, 0) + at(0, 0)
    tall, wide = len(edges[0]) - 1, len(edges[1]) - 1
    counts, means = np.zeros((tall, wide), int), np.full((tall, wide), np.nan)
    for k, m in itertools.product(range(tall), range(wide)):
        inside = (bins[0] == k) & (bins[1] == m)
        counts[k, m] = inside.sum()
        if inside.any():
            means[k, m] = change[inside].mean()
    centres = [(edge[1:] + edge[:-1]) / 2 / (edge[-1] - edge[0]) for edge in edges]
    steps = means.copy()
    for k, m in np.argwhere(np.isnan(means)):
        far = (centres[0][:, None] - centres[0][k]) ** 2 + (centres[1][None, :] - centres[1][m]) ** 2
        steps[k, m] = means[np.unravel_index(np.argmin(np.where(np.isnan(means), np.inf, far)), means.shape)]
    sums = np.zeros((tall + 1, wide + 1))
    sums[1:, 1:] = steps.cumsum(0).cumsum(1)
    rise = np.diff(sums, axis=0)
    first = np.r_[0, np.cumsum((counts * (rise[:, :-1] + rise[:, 1:]) / 2).sum(1) / counts.sum(1))]
    rise = np.diff(sums, axis=1)
    second = np.r_[0, np.cumsum((counts * (rise[:-1] + rise[1:]) / 2).sum(0) / counts.sum(0))]
    sums = sums - first[:, None] - second[None, :]
    around = (sums[:-1, :-1] + sums[1:, :-1] + sums[:-1, 1:] + sums[1:, 1:]) / 4
    return sums - (counts * around).sum() / counts.sum(), counts


def accumulated():
    rows = data(120, 3)
    frame, model = pd.DataFrame(rows, columns=NAMES), Formula()
    numbers = []
    for column, bins in [(0, 10), (2, 7), (3, 12)]:
        edges = edges_of(rows[:, column], bins)
        effects, counts = first_order(rows, column, edges)
        theirs = aleplot_1D_continuous(frame, model, NAMES[column], grid_size=bins, include_CI=False)
        # PyALE's edges are quantiles of another definition in places: compared on its own.
        assert np.allclose(theirs["eff"], first_order(rows, column, theirs.index.to_numpy())[0], rtol=0, atol=1e-12)
        numbers.append({"column": column, "bins": bins, "edges": listed(edges), "effects": listed(effects), "counts": counts.tolist()})
    wide = {"column": 1, "edges": [-1.5, -1.0, 0.0, 0.25, 3.0]}
    inside = rows[(rows[:, 1] >= -1.5) & (rows[:, 1] <= 3.0)]
    effects, counts = first_order(inside, 1, np.array(wide["edges"]))
    wide |= {"effects": listed(effects), "counts": counts.tolist(), "left_out": len(rows) - len(inside)}
    levels = []
    for column, order in [(3, [0.0, 1.0, 2.0, 3.0, 4.0]), (4, [0.0, 1.0, 2.0, 3.0]), (4, [2.0, 0.0, 3.0, 1.0])]:
        effects, counts = levels_effect(rows, column, order)
        if order == sorted(order):
            theirs = aleplot_1D_discrete(frame, model, NAMES[column], include_CI=False)
            assert np.allclose(theirs["eff"], effects, rtol=0, atol=1e-12)
        levels.append({"column": column, "levels": order, "effects": listed(effects), "counts": counts.tolist()})
    pairs = []
    for columns, bins in [([0, 2], 3), ([0, 1], 8), ([2, 3], 4)]:
        edges = [edges_of(rows[:, column], bins) for column in columns]
        effects, counts = second_order(rows, columns, edges)
        theirs = aleplot_2D_continuous(frame, model, [NAMES[column] for column in columns], grid_size=bins)
        own = second_order(rows, columns, [theirs.index.to_numpy(), theirs.columns.to_numpy()])[0]
        assert np.allclose(theirs.to_numpy(), own, rtol=0, atol=1e-12), (columns, abs(theirs.to_numpy() - own).max())
        pairs.append({"columns": columns, "edges": [listed(edge) for edge in edges], "effects": listed(effects), "counts": counts.tolist()})
    write("accumulated", {"rows": listed(rows), "numbers": numbers, "wide": wide, "levels": levels, "pairs": pairs})


def permutations(rows, repeats, seed):
    """What permutation_importance does: it shuffles one list again and again, and permutes what is permuted already."""
    random, shuffled = np.random.RandomState(seed), np.arange(rows)
    found, present = [], np.arange(rows)
    for _ in range(repeats):
        random.shuffle(shuffled)
        present = present[shuffled]
        found.append(present.tolist())
    return found


def permuted():
    rows = data(80, 4, missing=True)
    rng = np.random.default_rng(5)
    binary = (rng.random(80) < probability(rows)).astype(float)
    amount = (formula(rows) + rng.normal(size=80)).round(3)
    cases = []
    for name, labels, function, score in [
        ("accuracy", binary, probability, lambda y, p: metrics.accuracy_score(y, p >= 0.5)),
        ("log_loss", binary, probability, lambda y, p: -metrics.log_loss(y, p, labels=[0, 1])),
        ("brier", binary, probability, lambda y, p: -metrics.brier_score_loss(y, p)),
        ("auc", binary, lambda r: probability(r).round(1), metrics.roc_auc_score),
        ("mae", amount, formula, lambda y, p: -metrics.mean_absolute_error(y, p)),
        ("rmse", amount, formula, lambda y, p: -metrics.root_mean_squared_error(y, p)),
        ("r2", amount, formula, metrics.r2_score),
    ]:
        model = Formula(function).fit(rows)
        found = permutation_importance(model, rows, labels, scoring=lambda m, r, y: score(y, m.predict(r)), n_repeats=4, random_state=7)
        cases.append({"metric": name, "score": score(labels, function(rows)), "drops": listed(found.importances), "mean": listed(found.importances_mean), "deviation": listed(found.importances_std)})
    seed = np.random.RandomState(7).randint(np.iinfo(np.int32).max + 1)
    found = permutations(80, 4, seed)
    again = rows.copy()
    again[:, 0] = rows[found[3], 0]
    assert math.isclose(metrics.r2_score(amount, formula(rows)) - metrics.r2_score(amount, formula(again)), cases[-1]["drops"][0][3], rel_tol=1e-12)
    group = rows.copy()
    group[:, [0, 1]] = rows[found[0]][:, [0, 1]]
    edge = {"labels": [0.0, 1.0, 1.0, 0.0], "outputs": [0.0, 1.0, 0.0, 1.0]}
    write("permutation", {
        "rows": listed(rows), "binary": listed(binary), "amount": listed(amount), "permutations": found, "cases": cases,
        "group": {"columns": [0, 1], "mae_drop": metrics.mean_absolute_error(amount, formula(group)) - metrics.mean_absolute_error(amount, formula(rows)), "change": float(np.abs(formula(group) - formula(rows)).mean())},
        "edge": edge | {"log_loss": metrics.log_loss(edge["labels"], edge["outputs"])},
    })


def shapley(row, background, weights):
    """By the definition: all sets of columns."""
    count = len(row)
    def worth(chosen):
        mixed = background.copy()
        mixed[:, chosen] = row[chosen]
        return float((weights * formula(mixed)).sum())
    worths = {chosen: worth(list(chosen)) for size in range(count + 1) for chosen in itertools.combinations(range(count), size)}
    values = []
    for column in range(count):
        value = 0.0
        for chosen, before in worths.items():
            if column not in chosen:
                weight = math.factorial(len(chosen)) * math.factorial(count - len(chosen) - 1) / math.factorial(count)
                value += weight * (worths[tuple(sorted((*chosen, column)))] - before)
        values.append(value)
    return values, worths[()]


def attribution():
    rows, background = data(6, 6, missing=True), data(15, 7, missing=True)
    rows[0, 3], background[:, 3] = 2.0, np.where(np.arange(15) < 5, 2.0, background[:, 3])
    cases = []
    for row in rows:
        values, base = shapley(row, background, np.full(15, 1 / 15))
        cases.append({"row": listed(row), "values": values, "base": base, "prediction": float(formula([row])[0])})
    write("attribution", {"background": listed(background), "cases": cases})


def distances():
    rows = data(25, 8, missing=True)
    kinds = [False, False, False, False, True]
    def own(a, b, scales):
        terms = []
        for x, y, scale, is_category in zip(a, b, scales, kinds):
            if x == y or (np.isnan(x) and np.isnan(y)):
                terms.append(0.0)
            elif is_category or np.isnan(x) or np.isnan(y):
                terms.append(1.0)
            else:
                terms.append(min(1.0, abs(x - y) / scale) if scale > 0 else 1.0)
        return float(np.mean(terms))
    ranges = np.nanmax(rows, 0) - np.nanmin(rows, 0)
    robust = 6 * 1.4826 * np.nanmedian(np.abs(rows - np.nanmedian(rows, 0)), 0)
    complete = rows[~np.isnan(rows).any(1)]
    # gower scales by |1 - min/max| of values divided by the maximum: right where the maximum is above 0. Floats of 32 bits.
    complete_ranges = complete.max(0) - complete.min(0)
    theirs = gower.gower_matrix(complete, cat_features=kinds)
    ours = np.array([[own(a, b, complete_ranges) for b in complete] for a in complete])
    assert np.allclose(theirs, ours, atol=1e-6), abs(theirs - ours).max()
    pairs = [[0, 1], [2, 3], [4, 24], [5, 6], [7, 20], [10, 10], [11, 19]]
    write("distances", {"rows": listed(rows), "categories": kinds, "pairs": pairs, "range": [own(rows[a], rows[b], ranges) for a, b in pairs], "robust": [own(rows[a], rows[b], robust) for a, b in pairs]})


def ranking():
    rng = np.random.default_rng(9)
    cases = []
    for count in (1, 2, 3, 5, 8, 20, 40):
        baseline, current = rng.exponential(size=count).round(3), rng.exponential(size=count).round(1)
        if count > 1:
            found = metrics.ndcg_score([baseline], [current])
            order, ideal = np.argsort(-current, kind="stable"), np.sort(baseline)[::-1]
            discounts = 1 / np.log2(np.arange(count) + 2)
            if len(set(current)) == count:
                assert math.isclose(found, (baseline[order] * discounts).sum() / (ideal * discounts).sum(), rel_tol=1e-12)
        else:
            found = 1.0
        cases.append({"baseline": listed(baseline), "current": listed(current), "ndcg": float(found)})
    write("ranking", {"cases": cases})


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for make in (partial, accumulated, permuted, attribution, distances, ranking):
        make()
        print(make.__name__)
