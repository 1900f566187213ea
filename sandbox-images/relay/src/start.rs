//! The first process of a run container that is started before its run is known: it says `ready`, waits
//! for one job on standard input, and lets the job's program take its place. Images whose programs
//! gain from more bring a `shuyu-start` of their own; the job is the same: a number of bytes in decimal, a
//! newline, and so many bytes, words that each end in NUL: the working directory, then the command.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// Nobody sent a job that can be read.
const NO_JOB: u8 = 125;
/// What a shell answers for a program that cannot be run, and for one that is not there.
const NOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;
/// Bytes of a job: more than the kernel takes as a command line.
const LONGEST: usize = 4 << 20;

pub(crate) fn main() -> ExitCode {
    let said = io::stdout().write_all(b"ready\n").and_then(|()| io::stdout().flush());
    let Ok(words) = said.and_then(|()| received(&mut io::stdin().lock())) else {
        return ExitCode::from(NO_JOB);
    };
    let [workdir, program, arguments @ ..] = words.as_slice() else { return ExitCode::from(NO_JOB) };
    let error = take_place(workdir, program, arguments);
    eprintln!("{}: {error}", program.to_string_lossy());
    ExitCode::from(if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_RUN })
}

/// Returns only when the program cannot be run.
fn take_place(workdir: &OsStr, program: &OsStr, arguments: &[OsString]) -> io::Error {
    let nothing = match env::set_current_dir(workdir).and_then(|()| File::open("/dev/null")) {
        Ok(nothing) => nothing,
        Err(error) => return error,
    };
    Command::new(program).args(arguments).stdin(nothing).exec()
}

/// The words of the job. Nothing is read beyond them.
fn received(from: &mut impl Read) -> io::Result<Vec<OsString>> {
    let mut length: usize = 0;
    loop {
        let mut digit = [0];
        from.read_exact(&mut digit)?;
        match digit[0] {
            b'\n' => break,
            digit @ b'0'..=b'9' => {
                length = length.saturating_mul(10).saturating_add(usize::from(digit - b'0'))
            }
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
    if length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    let Some(words) = body.strip_suffix(b"\0") else { return Err(io::ErrorKind::InvalidData.into()) };
    Ok(words.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_read_to_its_end_and_no_further() {
        let mut sent: &[u8] = b"16\n/app/program\0a\0\0more";
        let words = received(&mut sent).expect("a job");
        assert_eq!(words, ["/app/program", "a", ""]);
        assert_eq!(sent, b"more");
    }

    #[test]
    fn what_is_no_job_is_refused() {
        for sent in ["", "x\n", "4\na\0", "2\nab", "99999999999999999999999\na"] {
            assert!(received(&mut sent.as_bytes()).is_err(), "{sent:?}");
        }
    }
}
