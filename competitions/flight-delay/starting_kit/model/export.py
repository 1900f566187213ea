"""Train a model and export it to ONNX, to be submitted without a program. 训练模型并导出为 ONNX，不写程序即可提交。

    python export.py DATA model.onnx

DATA is the folder with train.csv (/data/... in a sandbox, or what you downloaded). It prints the model's error on
a part of the rows that it was not trained on, and then makes sure that the ONNX file predicts the same.
"""

import sys

import numpy as np
import onnxruntime
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

TEXT = ["origin", "carrier"]
NUMBERS = ["month", "day", "sched_dep_time", "sched_arr_time", "distance", "temp", "dewp", "humid", "wind_speed",
           "precip", "pressure", "visib"]

source, target = sys.argv[1:3]
flights = pd.read_csv(f"{source}/train.csv")
flights[NUMBERS] = flights[NUMBERS].astype("float32")
held_out = flights["month"] == 8
learn, check = flights[~held_out], flights[held_out]

model = make_pipeline(
    ColumnTransformer([("text", OneHotEncoder(handle_unknown="ignore", sparse_output=False), TEXT)], remainder="passthrough"),
    HistGradientBoostingRegressor(max_iter=60, max_leaf_nodes=15, learning_rate=0.1, random_state=0),
)
model.fit(learn[TEXT + NUMBERS], learn["arr_delay"])
predicted = model.predict(check[TEXT + NUMBERS])
print(f"RMSE in August: {np.sqrt(((predicted - check['arr_delay']) ** 2).mean()):.3f} min")

# one input a column, called like it: then no model.yaml is needed. The None leaves the number of rows open.
types = [(name, StringTensorType([None, 1])) for name in TEXT] + [(name, FloatTensorType([None, 1])) for name in NUMBERS]
onnx = to_onnx(model, initial_types=types, target_opset={"": 18, "ai.onnx.ml": 3})
with open(target, "wb") as file:
    file.write(onnx.SerializeToString())

session = onnxruntime.InferenceSession(target)
again = session.run(None, {name: check[[name]].to_numpy() for name in TEXT + NUMBERS})[0].ravel()
off = np.abs(again - predicted).max()
print(f"{target}: largest difference to scikit-learn {off:.6f} min")
if off > 0.01:
    sys.exit("the ONNX model predicts something else; try float64 inputs (DoubleTensorType)")
