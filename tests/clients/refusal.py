import pytest
from mlflow.exceptions import MlflowException


def refused(error_code, call, *args, **kwargs):
    """The message with which the server refuses the call; fails when it does not, or under another code."""
    with pytest.raises(MlflowException) as raised:
        call(*args, **kwargs)
    assert raised.value.error_code == error_code, raised.value
    return str(raised.value)
