"""Runs an ONNX model over a table and writes its predictions: what stands in for a program where a model
alone was submitted.

    python3 run_model.py JOB INPUT OUTPUT

JOB is a JSON file that the host wrote after it had looked at the model (src/submission/mapping/plan.rs has
every key): which table of INPUT is read, which of its columns become which input of the model, and which
output becomes which column of OUTPUT/predictions.parquet. Rows pass through in batches, so that memory
does not grow with the table.

What goes wrong is told in one last line that begins with "shuyu: ", and by the exit code: 2 where model,
table and mapping do not fit together or the model fails, 3 where memory did not suffice.
"""

import json
import os
import re
import sys
import time
from pathlib import Path

import numpy
import onnxruntime
import pyarrow
import pyarrow.csv
import pyarrow.parquet

FAULT, MEMORY = 2, 3
# Bytes of a CSV file that are read at once.
BLOCK = 4 << 20
# How often a long run says how far it is, in seconds.
TOLD_EVERY = 30
# What the runtime says when it gets no more memory.
NO_MEMORY = re.compile(r"bad_alloc|bad_array_new_length|[Ff]ailed to allocate|out of memory")


class Fault(Exception):
    """Something that the author of the model, or of the competition, can mend."""


def is_text(kind):
    return kind == "str"


def csv_type(kinds):
    """How a CSV column is read that becomes these element types; its text stays as it is for text."""
    if any(is_text(kind) for kind in kinds):
        return pyarrow.string()
    if kinds == {"bool"}:
        return pyarrow.bool_()
    if kinds == {"uint64"}:
        return pyarrow.uint64()
    return pyarrow.int64() if all("int" in kind for kind in kinds) else pyarrow.float64()


def tables(path, wanted):
    """The columns of a CSV or Parquet file, as record batches. `wanted` has each column's element types."""
    names = list(wanted)
    if path.suffix.lower() == ".parquet":
        file = pyarrow.parquet.ParquetFile(path)
        absent = [name for name in names if name not in file.schema_arrow.names]
        if absent:
            raise Fault(f"the table {path.name} has no column {', '.join(absent)}")
        yield from file.iter_batches(batch_size=1 << 16, columns=names)
        return
    mixed = [name for name, kinds in wanted.items() if len({is_text(kind) for kind in kinds}) > 1]
    if mixed:
        raise Fault(f"the column {mixed[0]} feeds an input of text and one of numbers; give it to one of them")
    convert = pyarrow.csv.ConvertOptions(
        include_columns=names, column_types={name: csv_type(kinds) for name, kinds in wanted.items()}
    )
    read = pyarrow.csv.ReadOptions(block_size=BLOCK)
    parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
    yield from pyarrow.csv.open_csv(path, read, parse, convert)


def converted(column, name, kind):
    """A column as an array of the model's element type. A missing number is NaN and a missing text is empty;
    other types have nothing that could stand for it."""
    held = column.type
    if is_text(kind):
        if not (pyarrow.types.is_string(held) or pyarrow.types.is_large_string(held)):
            column = column.cast(pyarrow.string())
        return column.fill_null("").to_numpy(zero_copy_only=False)
    if pyarrow.types.is_decimal(held):
        column = column.cast(pyarrow.float64())
    elif not (pyarrow.types.is_floating(held) or pyarrow.types.is_integer(held) or pyarrow.types.is_boolean(held)):
        raise Fault(f"the column {name} holds {held}, and the model's input takes {kind}; "
                    "map another column to it, or export the model with an input of text")
    floating = kind.startswith("float")
    if column.null_count and not floating:
        raise Fault(f"the column {name} has missing values, and the model's input takes {kind}, which has none; "
                    "export the model with a floating-point input and fill them in inside the model")
    values = numbers(column)
    if floating or kind == "bool":
        return values.astype(kind, copy=False)
    if values.dtype.kind == "f" and not (numpy.isfinite(values) & (values == numpy.trunc(values))).all():
        raise Fault(f"the column {name} holds numbers that are not whole, and the model's input takes {kind}; "
                    "export the model with a floating-point input")
    if len(values) and not fits(values, numpy.iinfo(kind)):
        raise Fault(f"the column {name} holds numbers beyond what {kind} can hold; export the model with int64")
    return values.astype(kind, copy=False)


def numbers(column):
    """A column of numbers or booleans, with NaN for gaps. Unlike `to_numpy`, this gets by without pandas, whose
    import takes longer than most models."""
    if pyarrow.types.is_boolean(column.type):
        column = column.cast(pyarrow.uint8())
    if column.null_count:
        column = column.cast(pyarrow.float64(), safe=False).fill_null(numpy.nan)
    return numpy.from_dlpack(column)


def fits(values, bounds):
    low, high = values.min().item(), values.max().item()
    return bounds.min <= low and high <= bounds.max


def feed(batch, inputs):
    """What the model's inputs get of a batch of rows."""
    fed = {}
    for one in inputs:
        columns = [converted(batch.column(name), name, one["type"]) for name in one["columns"]]
        if one["vector"]:
            fed[one["name"]] = columns[0]
            continue
        kind = object if is_text(one["type"]) else one["type"]
        matrix = numpy.empty((len(batch), len(columns)), dtype=kind)
        for place, column in enumerate(columns):
            matrix[:, place] = column
        fed[one["name"]] = matrix
    return fed


def padded(fed, rows):
    """The same with so many rows, for a model that takes no other number: the last row stands for those
    that are not there."""
    return {name: numpy.concatenate([array, array[-1:].repeat(rows - len(array), axis=0)]) for name, array in fed.items()}


def shape_of(values):
    return " × ".join(map(str, values.shape)) or "a single value"


def of_classes(values, output, take):
    """A column of what maps each class to its probability, as exporters of scikit-learn write it."""
    if "class" in take:
        wanted = take["class"]
        key = next((key for key in values[0] if str(key) == wanted), None) if values else None
        if values and key is None:
            known = ", ".join(map(str, list(values[0])[:20]))
            raise Fault(f"the output {output} has no class {wanted}; it has {known}")
        return numpy.array([row[key] for row in values], dtype="float64")
    if "argmax" in take:
        return numpy.array([max(row, key=row.get) for row in values])
    raise Fault(f"the output {output} maps classes to probabilities; say which one is the prediction, as in "
                f"`output: {{name: {output}, class: 1}}`, or `argmax: true`")


def prediction(values, rows, output, take):
    """One value a row, of what an output of the model gave."""
    if isinstance(values, list):
        if len(values) < rows or not all(isinstance(row, dict) for row in values):
            raise Fault(f"the output {output} is not one value a row")
        return of_classes(values[:rows], output, take)
    if not isinstance(values, numpy.ndarray) or values.ndim == 0 or len(values) < rows:
        shape = shape_of(values) if isinstance(values, numpy.ndarray) else type(values).__name__
        raise Fault(f"the output {output} gave {shape} for {rows} rows; one value a row is wanted")
    values = values[:rows]
    if values.size == rows and "class" not in take and take.get("column", 0) == 0 and "argmax" not in take:
        return values.reshape(rows)
    if values.ndim != 2:
        raise Fault(f"the output {output} gave {shape_of(values)} for {rows} rows; one or more values a row are wanted")
    if "argmax" in take:
        return values.argmax(axis=1)
    if "class" in take:
        raise Fault(f"the output {output} is a table of {values.shape[1]} columns without names; write "
                    "`column: ` and the place of the class, counted from 0")
    if "column" not in take:
        raise Fault(f"the output {output} gave {values.shape[1]} values for each row; say which one is the prediction, "
                    f"as in `output: {{name: {output}, column: 0}}`, or `argmax: true`")
    if take["column"] >= values.shape[1]:
        raise Fault(f"the output {output} has {values.shape[1]} columns and none at place {take['column']}, counted from 0")
    return values[:, take["column"]]


def as_column(values):
    if values.dtype == numpy.float16:
        values = values.astype("float32")
    if values.dtype.kind in "OU":
        return pyarrow.array([None if value is None else str(value) for value in values], pyarrow.string())
    return pyarrow.array(values)


def processors():
    """How many of them this container has, by its quota."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        granted = int(quota) // int(period)
    except (OSError, ValueError):
        granted = os.cpu_count() or 1
    return max(1, min(granted, len(os.sched_getaffinity(0))))


def opened(path):
    """The model, ready to run."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = processors()
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # a thread that spins takes the time that the quota leaves to the others
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return guarded(lambda: onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]), "be loaded")


def guarded(act, what):
    """What the runtime gives; what it says of a model that fails is made readable."""
    try:
        return act()
    except MemoryError:
        raise
    except Exception as error:
        text = str(error)
        if NO_MEMORY.search(text):
            raise MemoryError(text) from error
        # where in the runtime's own source it was found helps nobody here
        text = re.sub(r"\S*/onnxruntime_src/\S+(\s.*?\)(?= ))?", "", text)
        raise Fault(f"the model could not {what}: {' '.join(text.split())[:600]}") from error


def run(job, model, table, target):
    """Puts the table through the model; gives the number of rows."""
    wanted = {job["id"]: {"str"} if table.suffix.lower() != ".parquet" else set()}
    for one in job["inputs"]:
        for name in one["columns"]:
            wanted.setdefault(name, set()).add(one["type"])
    session = opened(model)
    outputs = list(dict.fromkeys(one["output"] for one in job["predictions"]))
    size, fixed = job["batch"], job["fixed"]
    writer, rows, told = None, 0, time.monotonic()
    try:
        for table_batch in tables(table, wanted):
            for start in range(0, len(table_batch), size):
                batch = table_batch.slice(start, size)
                fed = feed(batch, job["inputs"])
                if fixed and len(batch) < size:
                    fed = padded(fed, size)
                results = dict(zip(outputs, guarded(lambda: session.run(outputs, fed), "be run")))
                columns = {job["id"]: batch.column(job["id"])}
                for one in job["predictions"]:
                    column = prediction(results[one["output"]], len(batch), one["output"], one["take"])
                    columns[one["column"]] = as_column(column)
                made = pyarrow.table(columns)
                writer = writer or pyarrow.parquet.ParquetWriter(target, made.schema, compression="none", use_dictionary=False)
                writer.write_table(made)
                rows += len(batch)
                if time.monotonic() - told > TOLD_EVERY:
                    told = time.monotonic()
                    print(f"{rows} rows so far", flush=True)
    finally:
        if writer:
            writer.close()
    return rows


def main(job, source, target):
    begin = time.monotonic()
    job = Path(job)
    plan = json.loads(job.read_text(encoding="utf-8"))
    table = Path(source) / plan["table"]
    try:
        if not table.is_file():
            raise Fault(f"the input data has no file {plan['table']}; the organizer has to mend shuyu.tasks")
        rows = run(plan, str(job.parent / plan["model"]), table, Path(target) / "predictions.parquet")
        print(f"{rows} rows, {time.monotonic() - begin:.2f} s", flush=True)
        return 0
    except MemoryError:
        print("shuyu: the model needed more memory than it has", file=sys.stderr, flush=True)
        return MEMORY
    except Fault as fault:
        problem = str(fault)
    except (pyarrow.ArrowException, ValueError, KeyError) as error:
        problem = f"{plan['table']} could not be put through the model: {' '.join(str(error).split())[:600]}"
    print(f"shuyu: {problem}", file=sys.stderr, flush=True)
    return FAULT


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
