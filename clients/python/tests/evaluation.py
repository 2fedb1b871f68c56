"""What docs/reference/trees-format.md says of a row, in the words of the page: slow, and independent of the reader in Rust."""

import numpy as np


def raw_scores(document, row):
    scores = [float(base) for base in document["base"]]
    row = [float(np.float32(value)) if document["input"] == "float32" else float(value) for value in row]
    for tree in document["trees"]:
        outputs = range(document["scores"]) if tree["score"] is None else [tree["score"]]
        first = len(outputs) * leaf_number(tree, leaf(tree, row))
        for place, output in enumerate(outputs):
            scores[output] += tree["value"][first + place]
    return scores if document["divide_by"] is None else [score / document["divide_by"] for score in scores]


def leaf_number(tree, node):
    return sum(left == -1 for left in tree["left"][:node])


def leaf(tree, row):
    lists = {comparison["node"]: comparison["values"] for comparison in tree["categories"] or []}
    node = 0
    while tree["left"][node] != -1:
        value, missing_left = row[tree["feature"][node]], tree["missing_left"][node]
        if node in lists:
            goes_left = missing_left != (value in lists[node])
        elif np.isnan(value):
            goes_left = missing_left
        else:
            goes_left = value <= float(tree["threshold"][node])
        node = tree["left" if goes_left else "right"][node]
    return node
