"""The server's explanations as shap's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import shap


def explanation(answer: dict[str, Any]) -> shap.Explanation:
    """Makes a `shap.Explanation` of the JSON that a server's explain call gives.

    Of one output: `values` are rows × features, `base_values` one per row. Of several: rows × features × outputs, and rows ×
    outputs. `data` are the rows; what was missing is NaN.
    """
    import numpy as np
    import shap

    outputs = answer["explanations"]
    if not outputs:
        raise ValueError("the answer holds no explanations")
    values = [np.array(output["values"], dtype=float) for output in outputs]
    # A base is the output's; shap wants it for each row.
    bases = [np.full(len(rows), output["base_value"], dtype=float) for rows, output in zip(values, outputs)]
    first = outputs[0]
    return shap.Explanation(
        values=values[0] if len(outputs) == 1 else np.stack(values, axis=-1),
        base_values=bases[0] if len(outputs) == 1 else np.stack(bases, axis=-1),
        data=np.array(first["data"], dtype=float),
        feature_names=first["feature_names"],
    )
