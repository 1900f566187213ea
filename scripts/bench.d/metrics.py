"""Times one metric of scikit-learn (scipy for spearman) on the columns `shuyu bench-metrics` makes:
python metrics.py ROWS NAME prints "seconds value", the fastest of three runs."""

import sys
import time
import warnings

import numpy as np
from scipy import stats
from sklearn import metrics

warnings.filterwarnings("ignore")
CLASSES = 5
ITEMS = 100


def column(rows, seed):
    with np.errstate(over="ignore"):
        z = np.uint64(seed) * np.uint64(rows) + np.arange(1, rows + 1, dtype=np.uint64)
        z *= np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) / 2.0**53


def codes(rows, classes):
    truth = (column(rows, 1) * classes).astype(np.int64)
    predicted = (column(rows, 2) * classes).astype(np.int64)
    return truth, np.where(column(rows, 3) < 0.5, truth, predicted)


def numbers(rows):
    truth = 100.0 * column(rows, 1)
    return truth, truth + 20.0 * column(rows, 2)


def binary_scores(rows):
    truth = (column(rows, 1) * 2.0).astype(np.int64)
    return truth, (column(rows, 2) + 0.3 * truth) / 1.3


def probabilities(rows):
    truth = (column(rows, 1) * 3.0).astype(np.int64)
    columns = np.stack([column(rows, seed) for seed in (2, 3, 4)], axis=1)
    columns[np.arange(rows), truth] += 0.5
    return truth, columns / (columns[:, 0] + columns[:, 1] + columns[:, 2])[:, None]


def rankings(rows):
    relevance = np.floor(column(rows, 1) * 3.0)
    return relevance.reshape(-1, ITEMS), column(rows, 2).reshape(-1, ITEMS)


def mean_average_precision(relevance, scores):
    # Equal to the mean of average_precision_score by query, and much faster than calling that.
    return metrics.label_ranking_average_precision_score(relevance > 0, scores)


def average(name):
    return lambda t, p: metrics.f1_score(t, p, average=name)


METRICS = {
    "accuracy": (lambda rows: codes(rows, CLASSES), metrics.accuracy_score),
    "balanced_accuracy": (lambda rows: codes(rows, CLASSES), metrics.balanced_accuracy_score),
    "precision": (lambda rows: codes(rows, 2), metrics.precision_score),
    "recall": (lambda rows: codes(rows, 2), metrics.recall_score),
    "f1": (lambda rows: codes(rows, 2), metrics.f1_score),
    "f1_macro": (lambda rows: codes(rows, CLASSES), average("macro")),
    "f1_micro": (lambda rows: codes(rows, CLASSES), average("micro")),
    "f1_weighted": (lambda rows: codes(rows, CLASSES), average("weighted")),
    "roc_auc": (binary_scores, metrics.roc_auc_score),
    "roc_auc_ovr": (probabilities, lambda t, p: metrics.roc_auc_score(t, p, multi_class="ovr")),
    "average_precision": (binary_scores, metrics.average_precision_score),
    "log_loss": (binary_scores, metrics.log_loss),
    "matthews_corrcoef": (lambda rows: codes(rows, CLASSES), metrics.matthews_corrcoef),
    "cohen_kappa": (lambda rows: codes(rows, CLASSES), metrics.cohen_kappa_score),
    "cohen_kappa_quadratic": (
        lambda rows: codes(rows, CLASSES),
        lambda t, p: metrics.cohen_kappa_score(t, p, weights="quadratic"),
    ),
    "rmse": (numbers, metrics.root_mean_squared_error),
    "mae": (numbers, metrics.mean_absolute_error),
    "mape": (numbers, metrics.mean_absolute_percentage_error),
    "rmsle": (numbers, metrics.root_mean_squared_log_error),
    "r2": (numbers, metrics.r2_score),
    "spearman": (numbers, lambda t, p: stats.spearmanr(t, p).statistic),
    "ndcg@10": (rankings, lambda t, p: metrics.ndcg_score(t, p, k=10)),
    "map": (rankings, mean_average_precision),
}

make, function = METRICS[sys.argv[2]]
truth, predicted = make(int(sys.argv[1]))
fastest = float("inf")
for _ in range(3):
    start = time.perf_counter()
    value = function(truth, predicted)
    taken = time.perf_counter() - start
    fastest = min(fastest, taken)
    if taken > 10:
        break
print(fastest, float(value))
