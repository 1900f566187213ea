//! The notebook that lies in a new home: the competition's own, from its starting kit, or one that we
//! make. It is put there once, before anybody has worked in the home, and over nothing.

use std::path::Path;

use serde_json::{Value, json};

use super::kit::{self, Found};
use crate::contest::db as contest_db;
use crate::contest::definition::{DatasetUse, Task};
use crate::contest::given::{self, Use};
use crate::contest::model::{Competition, Phase};
use crate::house::House;
use crate::sandbox::{Home, SandboxError};
use crate::store::StoreError;

/// The largest notebook that is put into a home, in bytes.
const NOTEBOOK_BYTES: u64 = 4 << 20;
/// The name of the one that we make.
const NAME: &str = "start.ipynb";

/// Where JupyterLab keeps the language of its interface; the image's own is Chinese.
const LANGUAGE: &str =
    ".jupyter/lab/user-settings/@jupyterlab/translation-extension/plugin.jupyterlab-settings";

/// Why no notebook was put into a home.
#[derive(Debug, thiserror::Error)]
pub(super) enum StarterError {
    /// The home cannot be read or written.
    #[error(transparent)]
    Home(#[from] SandboxError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Puts the notebook into a home that nobody has worked in, and the language of its owner's account. A kit
/// that cannot be read is as none.
///
/// # Errors
/// [`StarterError`]; the home is as it was.
pub(super) async fn put(
    house: &House,
    scratch: &Path,
    competition: &Competition,
    phases: &[Phase],
    home: &Home,
    locale: &str,
) -> Result<(), StarterError> {
    if !home.is_untouched().await? {
        return Ok(());
    }
    if locale.starts_with("en") {
        home.put(LANGUAGE, br#"{ "locale": "en" }"#.to_vec()).await?;
    }
    let Found { name, content } = match from_kit(house, scratch, competition, phases).await? {
        Some(found) => found,
        None => generated(competition),
    };
    home.put(&name, content).await?;
    Ok(())
}

/// The notebook of the starting kit of the current phase, else of any that has begun.
async fn from_kit(
    house: &House,
    scratch: &Path,
    competition: &Competition,
    phases: &[Phase],
) -> Result<Option<Found>, StoreError> {
    let now = house.clock.now();
    let mut kits = given::given_out(&competition.definition, phases, now, false);
    kits.retain(|given| given.kind == Use::StartingKit);
    let current = crate::contest::model::current(phases, now).map(|phase| phase.position);
    kits.sort_by_key(|given| !given.phases.iter().any(|position| Some(*position) == current));
    for given in kits {
        let stored = contest_db::file(&mut *house.db.read().await?, competition.id, &given.path).await?;
        let Some(stored) = stored else { continue };
        let is_notebook = |name: &str| name.ends_with(".ipynb");
        match kit::find(house, scratch, &stored, is_notebook, NOTEBOOK_BYTES).await {
            Ok(None) => {}
            Ok(found) => return Ok(found),
            Err(error) => {
                tracing::warn!(competition = competition.slug, kit = given.path, %error, "a starting kit was not read");
            }
        }
    }
    Ok(None)
}

/// A notebook for a competition that brings none.
fn generated(competition: &Competition) -> Found {
    let d = &competition.definition;
    let title = (competition.title("zh"), competition.title("en"));
    let document = notebook(title, d.datasets.first(), d.tasks.first());
    Found { name: NAME.to_owned(), content: format!("{document:#}\n").into_bytes() }
}

/// In the notebook format, version 4.5 (nbformat.readthedocs.io).
fn notebook((zh, en): (&str, &str), dataset: Option<&DatasetUse>, task: Option<&Task>) -> Value {
    let title = if zh == en { zh.to_owned() } else { format!("{zh} {en}") };
    let columns = task.and_then(|task| task.metrics.first()).map(|metric| {
        let columns = std::iter::once(&metric.id).chain(&metric.prediction);
        columns.map(|column| format!("`{column}`")).collect::<Vec<_>>().join(", ")
    });
    let expected = columns.map(|columns| format!("\n\n结果文件的列 Columns of a result file: {columns}"));
    let mut cells = vec![("markdown", format!("# {title}\n\n{}", introduction(dataset.is_some())))];
    if let Some(used) = dataset {
        // a Python string: a slug has none of its special characters
        let read = READ.replace("{data}", &format!("/data/{}", used.slug));
        cells.extend([
            ("markdown", "## 数据 The data".to_owned()),
            ("code", "!ls -lhR /data".to_owned()),
            ("code", read),
            ("markdown", "## 画一列 Plot a column".to_owned()),
            ("code", PLOT.to_owned()),
        ]);
    }
    cells.extend([
        ("markdown", format!("## 提交 Submit\n\n{SUBMIT}{}", expected.unwrap_or_default())),
        ("code", "# !submit predictions.csv -m \"第一次提交 a first try\"".to_owned()),
    ]);
    let cells: Vec<Value> =
        cells.into_iter().enumerate().map(|(n, (kind, source))| cell(n, kind, &source)).collect();
    json!({
        "cells": cells,
        "metadata": {
            "kernelspec": { "display_name": "Python 3", "language": "python", "name": "python3" },
            "language_info": { "name": "python" },
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    })
}

fn cell(number: usize, kind: &str, source: &str) -> Value {
    let lines: Vec<&str> = source.split_inclusive('\n').collect();
    let mut cell =
        json!({ "cell_type": kind, "id": format!("c{number:02}"), "metadata": {}, "source": lines });
    if kind == "code" {
        cell["execution_count"] = Value::Null;
        cell["outputs"] = json!([]);
    }
    cell
}

/// What is said first; of data only where the competition has any to work on.
fn introduction(has_data: bool) -> String {
    let (data_zh, data_en) = match has_data {
        true => {
            ("数据在 `/data` 下，只读，不出域。", "The data is under `/data`, read-only, and stays inside. ")
        }
        false => ("", ""),
    };
    format!(
        "{data_zh}您的文件保存在个人目录，停止后保留。怎样提交见 `/submit/README.md`。\n\n\
         {data_en}Your files stay in your home when the sandbox stops. See `/submit/README.md` for how to submit."
    )
}

const READ: &str = "\
from pathlib import Path

import pandas as pd

tables = sorted(p for p in Path(\"{data}\").rglob(\"*\") if p.suffix in {\".csv\", \".parquet\"})
if tables:
    path = tables[0]
    table = pd.read_parquet(path) if path.suffix == \".parquet\" else pd.read_csv(path, nrows=100_000)
else:
    path, table = None, pd.DataFrame()
print(path, table.shape)
table.head()";

const PLOT: &str = "\
import matplotlib.pyplot as plt

numbers = table.select_dtypes(\"number\").columns
if len(numbers):
    column = numbers[-1]
    table[column].plot.hist(bins=50, title=column)
    plt.show()
else:
    print(\"没有数值列 No column of numbers\")";

const SUBMIT: &str = "\
在笔记本或终端中运行 `submit 文件`，成绩直接显示在这里。去掉下面一行开头的 `#` 即可提交。

Run `submit FILE` here or in a terminal; the score is shown in place. Remove the `#` below to submit.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_notebook_has_the_format_and_names_the_data() {
        let used = DatasetUse { slug: "nyc-flights".to_owned(), version: 1 };
        let made = notebook(("航班", "Flights"), Some(&used), None);
        assert_eq!((made["nbformat"].as_i64(), made["nbformat_minor"].as_i64()), (Some(4), Some(5)));
        let cells = made["cells"].as_array().unwrap();
        let mut ids: Vec<_> = cells.iter().map(|cell| cell["id"].as_str().unwrap()).collect();
        ids.dedup();
        assert_eq!(ids.len(), cells.len());
        for cell in cells {
            let is_code = cell["cell_type"] == "code";
            assert_eq!(cell.get("outputs").is_some(), is_code);
            assert_eq!(cell.get("execution_count").is_some(), is_code);
            assert!(cell["source"].as_array().is_some_and(|lines| !lines.is_empty()));
        }
        let text = made.to_string();
        for part in ["/data/nyc-flights", "航班 Flights", "!submit", "/submit/README.md"] {
            assert!(text.contains(part), "{part}");
        }
        let without = notebook(("航班", "Flights"), None, None).to_string();
        assert!(!without.contains("/data") && !without.contains("table.") && without.contains("!submit"));
    }
}
