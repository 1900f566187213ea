"""What the runner of models makes of columns and of outputs, tried in the sandbox image."""

import datetime
import decimal
import sys

import numpy as np
import pyarrow as pa

sys.path.insert(0, "/usr/local/lib/shuyu")
import run_model  # noqa: E402


def column(values, kind, held=None):
    return run_model.converted(pa.array(values, held), "c", kind).tolist()


def refused(told, act, *arguments):
    try:
        made = act(*arguments)
    except run_model.Fault as fault:
        assert told in str(fault), fault
    else:
        raise AssertionError(f"{arguments} gave {made}, which should say: {told}")


def prediction(values, rows, **take):
    return run_model.prediction(values, rows, "o", take).tolist()


# gaps
assert np.isnan(column([1, None], "float32")[1]) and np.isnan(column([None], "float64", pa.float64())[0])
assert np.isnan(column([True, None], "float32")[1])
assert column(["a", None], "str") == ["a", ""] and column([7, None], "str") == ["7", ""]
refused("missing values", column, [1, None], "int64")
refused("missing values", column, [True, None], "bool")
assert np.isnan(column([2**60 + 1, None], "float32")[1])
# a part of a column
assert run_model.converted(pa.array(range(10)).slice(3, 2), "c", "float32").tolist() == [3, 4]
assert run_model.converted(pa.array([True, False, True]).slice(1, 2), "c", "bool").tolist() == [False, True]
# types
assert column([2.0, -3.0], "int32") == [2, -3] and column([True, False], "float32") == [1, 0]
assert column([2**63], "uint64", pa.uint64()) == [2**63] and column([], "int64", pa.int64()) == []
assert column([decimal.Decimal("1.5")], "float32") == [1.5]
refused("not whole", column, [1.5], "int64")
refused("beyond", column, [300], "uint8")
refused("beyond", column, [-1], "uint8")
refused("holds string", column, ["a"], "float32")
refused("holds date32", column, [datetime.date(2020, 1, 1)], "float32")
# outputs
assert prediction(np.ones((3, 1)), 3) == prediction(np.ones(5), 3) == prediction(np.ones((3, 1, 1)), 3) == [1, 1, 1]
assert prediction(np.eye(3), 3, argmax=True) == [0, 1, 2] and prediction(np.eye(2), 2, column=1) == [0, 1]
refused("2 values for each row", lambda: prediction(np.ones((3, 2)), 3))
refused("none at place 5", lambda: prediction(np.ones((3, 2)), 3, column=5))
refused("5 for 7 rows", lambda: prediction(np.ones(5), 7))
refused("a single value", lambda: prediction(np.array(1.0), 2))
refused("without names", lambda: prediction(np.ones((2, 2)), 2, **{"class": "a"}))
shares = [{0: 0.1, 1: 0.9}, {0: 0.8, 1: 0.2}]
assert prediction(shares, 2, **{"class": "1"}) == [0.9, 0.2] and prediction(shares, 2, argmax=True) == [1, 0]
refused("it has 0, 1", lambda: prediction(shares, 2, **{"class": "7"}))
refused("say which one", lambda: prediction(shares, 2))
# tables
assert run_model.csv_type({"int64"}) == pa.int64() and run_model.csv_type({"int64", "float32"}) == pa.float64()
assert run_model.csv_type({"str"}) == pa.string() and run_model.csv_type({"bool"}) == pa.bool_()
print("as it should be")
