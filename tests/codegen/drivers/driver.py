"""Scores the rows of rows.bin, 64-bit floats, into found.bin: of each row its scores, its predictions, its probabilities."""

import array
import sys

import scorer

rows = array.array("d")
with open("rows.bin", "rb") as file:
    rows.frombytes(file.read())
found = array.array("d")
try:
    for first in range(0, len(rows), scorer.INPUTS):
        given = scorer.input_of_row(rows[first : first + scorer.INPUTS])
        found.extend(scorer.score(given))
        found.extend(scorer.predict(given))
        if hasattr(scorer, "predict_proba"):
            found.extend(scorer.predict_proba(given))
except scorer.RefusedError as refused:
    print(refused, file=sys.stderr)
    sys.exit(3)
with open("found.bin", "wb") as file:
    file.write(found.tobytes())
