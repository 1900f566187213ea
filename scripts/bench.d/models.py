"""Models: an ONNX model over 100,000 rows of 20 features, POST to score with a run container waiting, against one Python
process with onnxruntime that reads the same table, runs the same model and computes the same metric, imports included."""

import random
import shutil
import statistics
import subprocess

SLUG = "bench-model"
ROWS, FEATURES, RUNS = 100_000, 20, 9
# Made in the sandbox image, where scikit-learn and skl2onnx are.
MAKE = """\
import sys
import numpy, pandas
from sklearn.ensemble import HistGradientBoostingRegressor
from skl2onnx import to_onnx
table = pandas.read_csv('/bench/input/features.csv', nrows=20_000)
rows = table.drop(columns='row_id').to_numpy('float32')
truth = pandas.read_csv('/bench/reference/labels.csv', nrows=20_000)['y']
model = HistGradientBoostingRegressor(max_iter=20, random_state=0).fit(rows, truth)
sys.stdout.buffer.write(to_onnx(model, rows[:1]).SerializeToString())
"""
# What a contestant's own script does, in one process.
BASELINE = """\
import numpy, onnxruntime, pandas
from sklearn.metrics import root_mean_squared_error
table = pandas.read_csv('/bench/input/features.csv')
session = onnxruntime.InferenceSession('/bench/model.onnx')
rows = table.drop(columns='row_id').to_numpy('float32')
predicted = session.run(None, {'X': rows})[0].ravel()
pandas.DataFrame({'row_id': table['row_id'], 'y': predicted}).to_csv('/tmp/predictions.csv', index=False)
made = pandas.read_csv('/tmp/predictions.csv').set_index('row_id').sort_index()
truth = pandas.read_csv('/bench/reference/labels.csv').set_index('row_id').sort_index()
print(root_mean_squared_error(truth['y'], made['y']))
"""
# The process alone is timed, not the container around it, and within the same processor and memory.
DRIVER = """\
import json, subprocess, sys, time
times = []
for _ in range(int(sys.argv[1])):
    begin = time.perf_counter()
    out = subprocess.run([sys.executable, '/bench/baseline.py'], check=True, capture_output=True, text=True).stdout
    times.append(time.perf_counter() - begin)
print(json.dumps({'times': times[1:], 'score': float(out)}))
"""


def features(root):
    """Replaces the input of the bundle by a table of normal numbers, and the labels by a sum over some of them."""
    pick = random.Random(11)
    names = [f"f{number}" for number in range(FEATURES)]
    weights = [pick.gauss(0, 3) for _ in names]
    with (root / "input" / "features.csv").open("w") as table, (root / "reference" / "labels.csv").open("w") as labels:
        print("row_id", *names, sep=",", file=table)
        print("row_id,y", file=labels)
        for row in range(ROWS):
            values = [pick.gauss(0, 1) for _ in names]
            truth = sum(weight * value for weight, value in zip(weights, values)) + pick.gauss(0, 1)
            print(row, *(f"{value:.4f}" for value in values), sep=",", file=table)
            print(f"{row},{truth:.4f}", file=labels)
    with (root / "competition.yaml").open("a") as text:
        text.write(f"      model: {{table: features.csv, features: [{', '.join(names)}]}}\n")


def measure(bench, binary, folder, port):
    root, _ = bench.bundle(folder, SLUG, ROWS)
    features(root)
    shared = folder / "shared"
    for part in ("input", "reference"):
        shutil.copytree(root / part, shared / part)
    for name, text in (("make.py", MAKE), ("baseline.py", BASELINE), ("driver.py", DRIVER)):
        (shared / name).write_text(text)
    docker = ["docker", "run", "--rm", "--network", "none", "--cpus", "1", "-v", f"{shared}:/bench:ro", bench.IMAGE, "python3"]
    model = subprocess.run([*docker, "/bench/make.py"], check=True, capture_output=True).stdout
    (shared / "model.onnx").write_bytes(model)
    service = bench.Service(binary, folder, port)
    service.seed([root])
    with service:
        client = service.contestant(SLUG)
        ours, score = [], None
        for attempt in range(RUNS + 1):
            if attempt:
                bench.until_counted(client, "shuyu_run_containers_waiting", 2)
            begin = bench.time.perf_counter()
            score = client.wait(client.submit(SLUG, "model.onnx", model))["scores"]["rmse"]
            if attempt:
                ours.append(bench.time.perf_counter() - begin)
    done = subprocess.run([*docker, "/bench/driver.py", str(RUNS)], check=True, capture_output=True, text=True)
    theirs = bench.json.loads(done.stdout)
    # through CSV the baseline's predictions lose a few digits
    if abs(theirs["score"] - score) > 1e-4:
        raise SystemExit(f"the scores differ: {score} here, {theirs['score']} there")
    what = f"models: ONNX over {ROWS:,} rows × {FEATURES} features, POST to score"
    bench.report(what, statistics.median(ours), statistics.median(theirs["times"]), "≤ 0.5")
