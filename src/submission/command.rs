//! The command of a program: where it is written, what its variables stand for, and how it is cut
//! into arguments. All three follow Codabench (COMPAT, "How a run goes"), so that its programs run
//! here as they are.

use serde::Deserialize;
use thiserror::Error;

/// Names of the file that holds a program's command, the first that exists counts.
pub const METADATA_NAMES: [&str; 2] = ["metadata.yaml", "metadata"];

/// Which program of a run a command belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// The participant's program in the prediction step.
    Prediction,
    /// The organizer's ingestion program in the prediction step.
    Ingestion,
    /// The organizer's scoring program.
    Scoring,
    /// The organizer's ingestion program beside the scoring program
    /// (`ingestion_only_during_scoring`).
    IngestionWhileScoring,
}

/// Why a command cannot be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CommandError {
    /// A quotation that is not closed, or a backslash at the end.
    #[error("the command has a quotation or an escape that does not end; close it in the metadata file")]
    Unfinished,
    /// A NUL character, which no program can be given.
    #[error("the command holds a NUL character; remove it from the metadata file")]
    Nul,
    /// Nothing to run.
    #[error("the command is empty; write one in the metadata file")]
    Empty,
}

/// The command in the text of a metadata file; `None` when the text is not a YAML mapping with a
/// text or a number under `command`.
pub fn command_of(metadata: &str) -> Option<String> {
    read_metadata(metadata).ok().flatten()
}

/// As [`command_of`], but tells a file without a command from one that cannot be read.
///
/// # Errors
/// What the YAML parser said, with the line.
pub fn read_metadata(metadata: &str) -> Result<Option<String>, String> {
    #[derive(Deserialize)]
    struct Metadata {
        command: Option<String>,
    }
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
        budget: serde_saphyr::budget! { max_events: 10_000, max_depth: 16, max_documents: 1 },
    };
    let read: Metadata = serde_saphyr::from_str_with_options(metadata, options)
        .map_err(|error| error.without_snippet().to_string())?;
    Ok(read.command.filter(|command| !command.trim().is_empty()))
}

/// Puts the paths of a step in place of a command's variables: plain text, in Codabench's order.
/// `only_during_scoring` is the task's `ingestion_only_during_scoring`.
pub fn substitute(command: &str, step: StepKind, only_during_scoring: bool) -> String {
    let ingestion = matches!(step, StepKind::Ingestion | StepKind::IngestionWhileScoring);
    let scoring = matches!(step, StepKind::Scoring | StepKind::IngestionWhileScoring);
    let table = [
        ("$input", if ingestion { "/app/input_data" } else { "/app/input" }),
        ("$output", "/app/output"),
        ("$program", if only_during_scoring && scoring { "/app/ingestion_program" } else { "/app/program" }),
        ("$ingestion_program", "/app/program"),
        ("$hidden", "/app/input/ref"),
        ("$shared", "/app/shared"),
        ("$submission_program", "/app/ingested_program"),
        ("$tmp", "/app/output"),
        ("$predictions", if scoring { "/app/input/res" } else { "/app/output" }),
    ];
    table.iter().fold(command.to_owned(), |text, (variable, path)| text.replace(variable, path))
}

/// Cuts a command into its arguments as Codabench's engine client does, with the rules of Python's
/// `shlex.split` (POSIX mode): single quotes keep everything, in double quotes a backslash escapes
/// only `"` and `\`, outside it escapes any character, `#` begins no comment. No shell is involved.
///
/// # Errors
/// [`CommandError`] when a quotation stays open, nothing is left or there is a NUL character.
pub fn split(command: &str) -> Result<Vec<String>, CommandError> {
    if command.contains('\0') {
        return Err(CommandError::Nul);
    }
    let mut arguments = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => arguments.extend(word.take()),
            '\'' | '"' => quoted(c, &mut chars, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().push(chars.next().ok_or(CommandError::Unfinished)?),
            c => word.get_or_insert_default().push(c),
        }
    }
    arguments.extend(word);
    if arguments.is_empty() { Err(CommandError::Empty) } else { Ok(arguments) }
}

fn quoted(quote: char, chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), CommandError> {
    loop {
        match chars.next().ok_or(CommandError::Unfinished)? {
            c if c == quote => return Ok(()),
            '\\' if quote == '"' => match chars.next().ok_or(CommandError::Unfinished)? {
                c @ ('"' | '\\') => word.push(c),
                c => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_stand_for_codabenchs_paths_in_each_step() {
        let all = "$input $output $program $ingestion_program $hidden $shared $submission_program $tmp \
                   $predictions";
        insta::assert_snapshot!(
            [
                (StepKind::Prediction, false),
                (StepKind::Ingestion, false),
                (StepKind::Scoring, false),
                (StepKind::Scoring, true),
                (StepKind::IngestionWhileScoring, true),
                (StepKind::Prediction, true),
            ]
            .map(|(step, only)| format!("{step:?} {only}: {}", substitute(all, step, only)))
            .join("\n")
        );
    }

    #[test]
    fn substitution_is_plain_text_even_inside_a_longer_name() {
        assert_eq!(substitute("x$input_data", StepKind::Scoring, false), "x/app/input_data");
        assert_eq!(substitute("$input_data", StepKind::Ingestion, false), "/app/input_data_data");
    }

    #[test]
    fn arguments_are_cut_as_shlex_cuts_them() {
        // Right-hand sides are what Python's shlex.split returns.
        let cases: [(&str, &[&str]); 8] = [
            ("python3 score.py /app/input", &["python3", "score.py", "/app/input"]),
            ("  a\t b \n c ", &["a", "b", "c"]),
            (r#"a "b c" 'd "e' f\ g"#, &["a", "b c", "d \"e", "f g"]),
            (r#""\$x \" \\ \n""#, &[r#"\$x " \ \n"#]),
            ("a '' \"\"", &["a", "", ""]),
            ("a # b", &["a", "#", "b"]),
            ("a=1;b&&c|d", &["a=1;b&&c|d"]),
            ("x'y'\"z\"", &["xyz"]),
        ];
        for (command, expected) in cases {
            assert_eq!(split(command).as_deref(), Ok(expected.map_owned().as_slice()), "{command}");
        }
        for open in ["'a", "\"a", "a\\", "\"a\\"] {
            assert_eq!(split(open), Err(CommandError::Unfinished), "{open}");
        }
        assert_eq!(split(" \n "), Err(CommandError::Empty));
    }

    trait MapOwned {
        fn map_owned(&self) -> Vec<String>;
    }

    impl MapOwned for &[&str] {
        fn map_owned(&self) -> Vec<String> {
            self.iter().map(|part| (*part).to_owned()).collect()
        }
    }

    #[test]
    fn a_command_is_read_from_the_metadata_in_use() {
        let command = "python $program/score.py $input $output";
        assert_eq!(command_of(&format!("command: {command}\ndescription: x\n")).as_deref(), Some(command));
        for none in
            ["description: Please do not delete\n", "This is the result.\n", "", "command:\n", "{", "- a"]
        {
            assert_eq!(command_of(none), None, "{none}");
        }
        assert_eq!(command_of("command: a\ncommand: b\n").as_deref(), Some("b"));
    }
}
