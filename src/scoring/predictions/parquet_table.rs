//! Parquet, bounded against files that unpack to far more than they hold: rows and unpacked bytes
//! are capped by what the file declares before anything is decoded, only the needed columns are
//! decoded, texts are views into their pages rather than copies, and the process that reads an
//! untrusted file runs under a memory limit for what a file does not declare truly.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

use super::Limits;
use super::columns::Wanted;
use super::fault::{Fault, FaultKind, Faults, excerpt};
use super::table::{Rows, find_columns};

/// Rows decoded at once.
const BATCH: usize = 8192;

/// Feeds the rows of a Parquet file to `rows`; `None` where its columns cannot be read.
pub(super) fn read(
    file: File,
    id: &str,
    wanted: &[Wanted],
    limits: &Limits,
    rows: &mut Rows<'_>,
    faults: &mut Faults,
) -> Option<()> {
    // The decoder may panic on a malformed file. `rows` and `faults` only ever grow by whole cells,
    // and a table with a fault is not used.
    let read = catch_unwind(AssertUnwindSafe(|| read_checked(file, id, wanted, limits, rows, faults)));
    match read {
        Ok(Ok(found)) => found,
        Ok(Err(_)) | Err(_) => {
            faults.about_file(FaultKind::Unreadable, None, "a Parquet file that can be read to its end");
            None
        }
    }
}

fn read_checked(
    file: File,
    id: &str,
    wanted: &[Wanted],
    limits: &Limits,
    rows: &mut Rows<'_>,
    faults: &mut Faults,
) -> Result<Option<()>, ParquetError> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let plain = ArrowReaderMetadata::load(&file, options.clone())?;
    let names: Vec<String> = plain.schema().fields().iter().map(|field| field.name().clone()).collect();
    let Some((id_place, places)) = find_columns(&names, id, wanted, limits, faults) else {
        return Ok(None);
    };
    let needed: Vec<usize> = std::iter::once(id_place).chain(places.iter().copied()).collect();
    if !types_fit(plain.schema(), &needed, faults)
        || !sizes_fit(plain.metadata(), &needed, &plain, limits, faults)
    {
        return Ok(None);
    }
    let views = Arc::new(Schema::new_with_metadata(
        plain
            .schema()
            .fields()
            .iter()
            .map(|field| match field.data_type() {
                DataType::Utf8 | DataType::Binary => {
                    Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View))
                }
                _ => field.clone(),
            })
            .collect::<Vec<_>>(),
        plain.schema().metadata().clone(),
    ));
    let metadata = ArrowReaderMetadata::try_new(plain.metadata().clone(), options.with_schema(views))?;
    let mask = ProjectionMask::roots(metadata.parquet_schema(), needed.iter().copied());
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
        .with_batch_size(BATCH)
        .with_projection(mask)
        .build()?;
    let mut row = 0u64;
    for batch in reader {
        let batch = batch.map_err(|error| ParquetError::External(Box::new(error)))?;
        if !take_batch(&batch, &names, id_place, &places, &mut row, limits, rows, faults) {
            break;
        }
    }
    Ok(Some(()))
}

fn types_fit(schema: &SchemaRef, needed: &[usize], faults: &mut Faults) -> bool {
    let mut fit = true;
    for field in needed.iter().filter_map(|place| schema.fields().get(*place)) {
        let readable = matches!(
            field.data_type(),
            DataType::Utf8
                | DataType::Binary
                | DataType::Boolean
                | DataType::Int8
                | DataType::Int16
                | DataType::Int32
                | DataType::Int64
                | DataType::UInt8
                | DataType::UInt16
                | DataType::UInt32
                | DataType::UInt64
                | DataType::Float32
                | DataType::Float64
        );
        if !readable {
            fit = false;
            faults.add(FaultKind::ColumnType, || Fault {
                line: None,
                column: Some(excerpt(field.name())),
                found: Some(excerpt(&field.data_type().to_string())),
                expected: "a column of integers, floating-point numbers, booleans or text".to_owned(),
                about: None,
                kind: FaultKind::ColumnType,
            });
        }
    }
    fit
}

/// What the file says of itself: rows and unpacked bytes of the needed columns.
fn sizes_fit(
    metadata: &ParquetMetaData,
    needed: &[usize],
    arrow: &ArrowReaderMetadata,
    limits: &Limits,
    faults: &mut Faults,
) -> bool {
    let declared = metadata.file_metadata().num_rows();
    let in_groups: i128 = metadata.row_groups().iter().map(|group| i128::from(group.num_rows())).sum();
    let rows = i128::from(declared).max(in_groups);
    if rows > i128::from(limits.rows) {
        let expected = format!("at most {} rows", limits.rows);
        faults.about_file(FaultKind::TooLarge, Some(&format!("{rows} rows")), expected);
        return false;
    }
    let schema = arrow.parquet_schema();
    let mut bytes: i128 = 0;
    for group in metadata.row_groups() {
        for (leaf, column) in group.columns().iter().enumerate() {
            if leaf < schema.num_columns() && needed.contains(&schema.get_column_root_idx(leaf)) {
                bytes += i128::from(column.uncompressed_size().max(0));
            }
        }
    }
    if bytes > i128::from(limits.unpacked_bytes) {
        let expected = format!("columns that unpack to at most {} bytes", limits.unpacked_bytes);
        faults.about_file(FaultKind::TooLarge, Some(&format!("{bytes} bytes")), expected);
        return false;
    }
    true
}

/// One value of a column.
enum Value<'a> {
    Missing,
    Whole(i64),
    Number(f64),
    Flag(bool),
    Text(&'a str),
}

#[expect(clippy::too_many_arguments, reason = "one call, from the loop over the batches")]
fn take_batch(
    batch: &RecordBatch,
    names: &[String],
    id_place: usize,
    places: &[usize],
    row: &mut u64,
    limits: &Limits,
    rows: &mut Rows<'_>,
    faults: &mut Faults,
) -> bool {
    let array = |place: usize| names.get(place).and_then(|name| batch.column_by_name(name));
    let (Some(ids), Some(columns)) =
        (array(id_place), places.iter().map(|place| array(*place)).collect::<Option<Vec<_>>>())
    else {
        return false;
    };
    let ids = values(ids);
    let columns: Vec<_> = columns.into_iter().map(values).collect();
    for index in 0..batch.num_rows() {
        *row += 1;
        if !rows.begin(*row, faults) {
            return false;
        }
        match ids(index) {
            Value::Whole(id) => rows.id_whole(id),
            Value::Text(text) => rows.id_text(short(text, *row, limits, faults), *row, faults),
            Value::Number(number) if !number.is_nan() => {
                rows.id_text(number.to_string().as_bytes(), *row, faults);
            }
            Value::Flag(flag) => rows.id_text(flag_text(flag).as_bytes(), *row, faults),
            Value::Missing | Value::Number(_) => rows.id_text(b"", *row, faults),
        }
        for (builder, value) in rows.columns.iter_mut().zip(&columns) {
            match value(index) {
                Value::Missing => builder.number(None, *row, faults),
                Value::Whole(number) => builder.whole(number, *row, faults),
                Value::Number(number) => builder.number(Some(number), *row, faults),
                Value::Flag(flag) => builder.text(flag_text(flag).as_bytes(), *row, faults),
                Value::Text(text) => builder.text(short(text, *row, limits, faults), *row, faults),
            }
        }
    }
    true
}

fn flag_text(flag: bool) -> &'static str {
    if flag { "True" } else { "False" }
}

fn short<'a>(text: &'a str, row: u64, limits: &Limits, faults: &mut Faults) -> &'a [u8] {
    let bytes = text.as_bytes();
    if bytes.len() <= limits.cell_bytes {
        return bytes;
    }
    faults.add(FaultKind::CellTooLong, || Fault {
        line: Some(row),
        column: None,
        found: Some(format!("{} bytes", bytes.len())),
        expected: format!("at most {} bytes", limits.cell_bytes),
        about: None,
        kind: FaultKind::CellTooLong,
    });
    bytes.get(..limits.cell_bytes).unwrap_or_default()
}

type ValueAt<'a> = Box<dyn Fn(usize) -> Value<'a> + 'a>;

/// How to get at the values of an array of any type that [`types_fit`] lets through.
fn values(array: &ArrayRef) -> ValueAt<'_> {
    macro_rules! typed {
        ($($data_type:pat => $kind:ty, $make:expr;)*) => {
            match array.data_type() {
                $($data_type => {
                    let Some(typed) = array.as_primitive_opt::<$kind>() else {
                        return Box::new(|_| Value::Missing);
                    };
                    Box::new(move |row| {
                        if typed.is_null(row) { Value::Missing } else { $make(typed.value(row)) }
                    })
                })*
                DataType::Boolean => match array.as_boolean_opt() {
                    Some(flags) => Box::new(move |row| {
                        if flags.is_null(row) { Value::Missing } else { Value::Flag(flags.value(row)) }
                    }),
                    None => Box::new(|_| Value::Missing),
                },
                _ => match array.as_string_view_opt() {
                    Some(texts) => Box::new(move |row| {
                        if texts.is_null(row) { Value::Missing } else { Value::Text(texts.value(row)) }
                    }),
                    None => Box::new(|_| Value::Missing),
                },
            }
        };
    }
    typed! {
        DataType::Int8 => Int8Type, |n| Value::Whole(i64::from(n));
        DataType::Int16 => Int16Type, |n| Value::Whole(i64::from(n));
        DataType::Int32 => Int32Type, |n| Value::Whole(i64::from(n));
        DataType::Int64 => Int64Type, Value::Whole;
        DataType::UInt8 => UInt8Type, |n| Value::Whole(i64::from(n));
        DataType::UInt16 => UInt16Type, |n| Value::Whole(i64::from(n));
        DataType::UInt32 => UInt32Type, |n| Value::Whole(i64::from(n));
        DataType::UInt64 => UInt64Type, |n| i64::try_from(n).map_or(Value::Number(n as f64), Value::Whole);
        DataType::Float32 => Float32Type, |n| Value::Number(f64::from(n));
        DataType::Float64 => Float64Type, Value::Number;
    }
}
