# /// script
# requires-python = ">=3.11"
# dependencies = ["river==0.26.1", "numpy==2.4.6"]
# ///
"""Streams and the answers of river's ADWIN and Page-Hinkley to them.

Writes sequential.json beside this file. Run: uv run generate.py
"""

import json
from pathlib import Path

import numpy as np
from river import drift
from river.drift.adwin import AdaptiveWindowing

N = 3000
ADWIN = {"delta": 0.002, "clock": 32, "max_buckets": 5, "min_window_length": 5, "grace_period": 10}
PAGE_HINKLEY = {"min_instances": 30, "delta": 0.005, "threshold": 50.0, "alpha": 0.9999}


def streams():
    rng = np.random.default_rng(20261123)
    at = np.arange(N)
    yield "bernoulli_abrupt", (rng.random(N) < np.where(at < 1500, 0.2, 0.4)).astype(float)
    yield "bernoulli_no_change", (rng.random(N) < 0.2).astype(float)
    yield "bernoulli_gradual", (rng.random(N) < np.clip(0.2 + (at - 1000) / 4000, 0.2, 0.6)).astype(float)
    # |e| of a centred normal error has mean sd * sqrt(2 / pi)
    sd = np.where(at < 1500, 1.2, 2.7) / np.sqrt(2 / np.pi)
    yield "absolute_error_abrupt", np.abs(rng.standard_normal(N) * sd)
    yield "absolute_error_no_change", np.abs(rng.standard_normal(N) * 1.2 / np.sqrt(2 / np.pi))
    yield "normal_down", rng.standard_normal(N) + np.where(at < 1500, 1.0, 0.0)
    yield "constant_then_step", np.where(at < 1500, 0.25, 0.75)
    yield "two_changes", np.abs(rng.standard_normal(N) * np.select([at < 900, at < 1900], [1.0, 2.5], 0.8))


def adwin(values):
    detector, detections = drift.ADWIN(**ADWIN), []
    for index, value in enumerate(values):
        detector.update(value)
        if detector.drift_detected:
            detections.append({"index": index, "width": int(detector.width), "estimation": float(detector.estimation)})
    return {
        "detections": detections,
        "width": int(detector.width),
        "estimation": float(detector.estimation),
        "variance": float(detector.variance),
        "total": float(detector.total),
    }


def adwin_keeping_window(values):
    """The algorithm without river's wrapper, which throws the whole window away on the update after a detection."""
    window, detections = AdaptiveWindowing(**ADWIN), []
    for index, value in enumerate(values):
        if window.update(value):
            width = window.get_width()
            detections.append({"index": index, "width": int(width), "estimation": window.get_total() / width})
    width = window.get_width()
    return {
        "detections": detections,
        "width": int(width),
        "estimation": window.get_total() / width,
        "variance": window.get_variance(),
        "total": window.get_total(),
    }


def page_hinkley(values, mode):
    detector, detections = drift.PageHinkley(**PAGE_HINKLEY, mode=mode), []
    for index, value in enumerate(values):
        detector.update(value)
        if detector.drift_detected:
            detections.append(index)
    return detections


def case(name, values):
    values = np.round(values, 3).tolist()
    return {
        "name": name,
        "values": [int(v) if v == int(v) else v for v in values],
        "adwin": adwin(values),
        "adwin_keeping_window": adwin_keeping_window(values),
        "page_hinkley": {mode: page_hinkley(values, mode) for mode in ("up", "down", "both")},
    }


if __name__ == "__main__":
    found = [case(*stream) for stream in streams()]
    settings = json.dumps({"adwin": ADWIN, "page_hinkley": PAGE_HINKLEY})
    body = ",\n".join(json.dumps(c) for c in found)
    (Path(__file__).parent / "sequential.json").write_text(f'{{"settings": {settings}, "cases": [\n{body}\n]}}\n')
    for c in found:
        print(c["name"], [d["index"] for d in c["adwin"]["detections"]], c["adwin"]["width"])
