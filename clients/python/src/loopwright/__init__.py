"""The Python side of Loopwright: model files that its server reads, and its answers in Python's own shapes."""

from loopwright import trees
from loopwright.explanations import explanation

__all__ = ["explanation", "trees"]
