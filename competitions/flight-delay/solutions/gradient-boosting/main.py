"""Baseline 2: gradient boosting (梯度提升) on schedule, carrier, route and weather.

    python main.py INPUT OUTPUT

INPUT holds train.csv and test.csv; OUTPUT receives predictions.csv (row_id, arr_delay). The model is
trained inside the run; one processor core and 2 GiB are enough. Needs pandas and scikit-learn.
"""

import sys
import time
from pathlib import Path

import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

CATEGORIES = ["origin", "dest", "carrier"]
NUMBERS = ["distance", "temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]


def minute_of_day(hhmm):
    """1745 (17:45 local time) to 1065."""
    return hhmm // 100 * 60 + hhmm % 100


def features(table, codes):
    """The columns the model sees. The month is left out: the months to predict are not in train.csv.

    `codes` maps each category that train.csv knows to a number; an unknown one becomes a missing value.
    """
    date = pd.to_datetime({"year": 2013, "month": table["month"], "day": table["day"]})
    made = {
        "sched_dep_minute": minute_of_day(table["sched_dep_time"]),
        "sched_arr_minute": minute_of_day(table["sched_arr_time"]),
        "weekday": date.dt.day_of_week,
    }
    made.update((name, table[name].map(codes[name])) for name in CATEGORIES)
    made.update((name, table[name]) for name in NUMBERS)
    return pd.DataFrame(made).astype(float)


def main(input_dir, output_dir):
    start = time.monotonic()
    train = pd.read_csv(input_dir / "train.csv")
    test = pd.read_csv(input_dir / "test.csv")
    print(f"{time.monotonic() - start:5.1f} s  read {len(train)} flights to learn from, {len(test)} to predict")

    codes = {name: {value: code for code, value in enumerate(sorted(train[name].unique()))} for name in CATEGORIES}
    model = HistGradientBoostingRegressor(max_iter=200, learning_rate=0.08, max_leaf_nodes=31, min_samples_leaf=100,
                                          l2_regularization=1.0, early_stopping=False,
                                          categorical_features=CATEGORIES, random_state=2013)
    model.fit(features(train, codes), train["arr_delay"])
    print(f"{time.monotonic() - start:5.1f} s  trained {model.n_iter_} trees")

    predictions = pd.DataFrame({"row_id": test["row_id"],
                                "arr_delay": model.predict(features(test, codes)).round(3)})
    predictions.to_csv(output_dir / "predictions.csv", index=False)
    print(f"{time.monotonic() - start:5.1f} s  predictions.csv: {len(predictions)} rows")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
