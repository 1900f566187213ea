"""Scores every case of a JSON list on stdin with scikit-learn (scipy for spearman) and prints a JSON
list of {"value": float} or {"error": text}; NaN counts as an error."""

import json
import math
import sys
import warnings

import numpy as np
from scipy import stats
from sklearn import metrics

warnings.filterwarnings("ignore")


def per_query(case, function):
    truth, scores, groups = (np.array(case[key]) for key in ("truth", "predicted", "groups"))
    values = [function(truth[groups == group], scores[groups == group]) for group in np.unique(groups)]
    return float(np.mean(values))


def ndcg(case):
    k = case.get("k")

    def one(truth, scores):
        return metrics.ndcg_score([truth], [scores], k=k)

    return per_query(case, one)


def mean_average_precision(case):
    def one(truth, scores):
        return metrics.average_precision_score(truth > 0, scores)

    return per_query(case, one)


def score(case):
    name = case["metric"]
    if name == "ndcg":
        return ndcg(case)
    if name == "map":
        return mean_average_precision(case)
    truth, predicted = np.array(case["truth"]), np.array(case["predicted"])
    options = dict(case.get("options", {}))
    if "weights" in case:
        options["sample_weight"] = np.array(case["weights"])
    if name == "spearman":
        return stats.spearmanr(truth, predicted).statistic
    if name in ("rmse", "mae", "mape", "rmsle"):
        function = {
            "rmse": metrics.root_mean_squared_error,
            "mae": metrics.mean_absolute_error,
            "mape": metrics.mean_absolute_percentage_error,
            "rmsle": metrics.root_mean_squared_log_error,
        }[name]
    else:
        exact = name in ("log_loss", "matthews_corrcoef")
        function = getattr(metrics, name if exact else name + "_score")
    if name == "roc_auc" and predicted.ndim == 2:
        options["multi_class"] = "ovr"
    return function(truth, predicted, **options)


def answer(case):
    try:
        value = float(score(case))
    except ValueError as error:
        return {"error": str(error)}
    return {"error": "nan"} if math.isnan(value) else {"value": value}


print(json.dumps([answer(case) for case in json.load(sys.stdin)]))
