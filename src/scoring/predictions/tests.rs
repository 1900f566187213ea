//! Properties of the reader: it survives any bytes, and the order of rows means nothing.

use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::scoring::metric::MetricSpec;

fn metrics() -> Vec<MetricSpec> {
    vec![
        MetricSpec::new(MetricName::Rmse, "rmse", "p", "t", "id"),
        MetricSpec::new(MetricName::Accuracy, "accuracy", "c", "c", "id"),
    ]
}

fn check_bytes(bytes: &[u8], limits: &Limits) -> FaultReport {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    check_against_ids(file.path(), &metrics(), None, limits).unwrap()
}

/// A small Parquet file with all three columns.
fn parquet() -> Vec<u8> {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
    let batch = RecordBatch::try_from_iter(vec![
        ("id", Arc::new(Int64Array::from_iter_values(0..40)) as ArrayRef),
        ("p", Arc::new(Float64Array::from_iter_values((0..40).map(f64::from)))),
        ("c", Arc::new(StringArray::from_iter_values((0..40).map(|n| format!("class {}", n % 3))))),
    ])
    .unwrap();
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn a_whole_parquet_file_is_in_order() {
    assert_eq!(check_bytes(&parquet(), &Limits::default()), FaultReport::default());
}

#[test]
fn lines_are_counted_through_quotation_and_either_line_end() {
    for end in ["\n", "\r\n"] {
        let text = ["id,p,c", "1,1,a", "2,2,\"x\ny\"", "3,bad,a", "", "4,bad,a"].join(end);
        let report = check_bytes(text.as_bytes(), &Limits::default());
        let lines: Vec<_> = report.first.iter().map(|fault| fault.line).collect();
        assert_eq!(lines, [Some(5), Some(7)], "{end:?}");
    }
}

#[test]
fn limits_on_rows_classes_columns_and_bytes_hold() {
    let text = b"id,p,c\n1,1,a\n2,2,b\n3,3,c\n";
    let kinds = |limits: Limits| check_bytes(text, &limits).counts.into_keys().collect::<Vec<_>>();
    assert_eq!(kinds(Limits::default()), []);
    assert_eq!(kinds(Limits { rows: 2, ..Limits::default() }), [FaultKind::TooLarge]);
    assert_eq!(kinds(Limits { columns: 2, ..Limits::default() }), [FaultKind::TooLarge]);
    assert_eq!(kinds(Limits { file_bytes: 20, ..Limits::default() }), [FaultKind::TooLarge]);
    assert_eq!(kinds(Limits { classes: 2, ..Limits::default() }), [FaultKind::TooManyClasses]);
}

#[test]
fn probabilities_are_checked_by_row() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"id,a,b\n1,0.4,0.6\n2,1,1\n3,1.5,-0.5\n").unwrap();
    let metric = MetricSpec {
        prediction: vec!["a".to_owned(), "b".to_owned()],
        ..MetricSpec::new(MetricName::LogLoss, "loss", "a", "t", "id")
    };
    let report = check_against_ids(file.path(), &[metric], None, &Limits::default()).unwrap();
    let found: Vec<_> = report.first.iter().map(|fault| (fault.line, fault.kind)).collect();
    let expected = [
        (Some(3), FaultKind::ProbabilitySum),
        (Some(4), FaultKind::OutOfRange),
        (Some(4), FaultKind::OutOfRange),
    ];
    assert_eq!(found, expected);
}

proptest! {
    #[test]
    fn any_bytes_give_a_report(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        check_bytes(&bytes, &Limits::default());
    }

    #[test]
    fn any_table_like_text_gives_a_report(text in "(id|p|c|,|\"|\n|\r|1|-|e|NaN|\u{feff}| |é){0,80}") {
        let report = check_bytes(format!("id,p,c\n{text}").as_bytes(), &Limits::default());
        prop_assert!(report.first.len() <= LISTED_FAULTS);
        prop_assert_eq!(report.total, report.counts.values().sum::<u64>());
    }

    #[test]
    fn a_damaged_parquet_file_gives_a_report(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = parquet();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        // Damage may declare sizes up to the limit, which the child's memory limit would stop.
        check_bytes(&bytes, &Limits { unpacked_bytes: 1 << 20, ..Limits::default() });
    }

    #[test]
    fn the_order_of_rows_means_nothing(
        ids in prop::collection::btree_set(any::<i32>(), 1..40),
        text in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let name = |id: &i32| if text { format!("row {id}") } else { id.to_string() };
        let lines: Vec<String> = ids.iter().map(|id| format!("{},{}.25,k\n", name(id), id)).collect();
        let mut shuffled = lines.clone();
        let mut state = seed | 1;
        for place in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            shuffled.swap(place, (state >> 33) as usize % (place + 1));
        }
        let table = |lines: &[String]| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(format!("id,p,c\n{}", lines.concat()).as_bytes()).unwrap();
            let mut faults = Faults::default();
            let wanted = wanted_predictions(&metrics());
            let table = read_table(file.path(), "id", &wanted, &Limits::default(), &mut faults).unwrap();
            assert!(faults.is_empty());
            table
        };
        let (reference, predictions) = (table(&lines), table(&shuffled));
        let mut faults = Faults::default();
        let order = match_ids(&reference.ids, &predictions, "id", &mut faults).unwrap();
        let values = |table: &Table| table.numbers("p", &Kind::number()).unwrap().to_vec();
        let found = match order {
            Order::Same => values(&predictions),
            Order::Rows(rows) => rows.iter().map(|row| values(&predictions)[*row as usize]).collect(),
        };
        prop_assert_eq!(found, values(&reference));
    }
}
