//! The way into a container that has no network. It runs as the container's main command, starts
//! the program it is given, and joins connections from the host to the program's loopback ports:
//! `serve`; or joins those of a program that somebody else runs: `beside`. Under the name `submit` it hands a file to the host: [`submit`]. Both speak over one
//! unix socket of the host in a directory that the container sees read-only; the protocol stands at
//! the head of `src/sandbox/relay.rs` in the service. Under the name `shuyu-start` it holds a run
//! container that was started before its run was known: [`start`].
//!
//! It is one thread, since processes are counted, and it trusts nothing it reads: a container's
//! other programs may dial the same ports and the same socket.

mod child;
mod control;
mod flow;
mod pair;
mod serve;
mod start;
mod submit;

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where the socket stands in every container.
const SOCKET: &str = "/run/shuyu/relay.sock";
/// The exit code for words on the command line that make no sense.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let mut words = env::args_os();
    let program = words.next().unwrap_or_default();
    let words: Vec<OsString> = words.collect();
    match Path::new(&program).file_name() {
        Some(name) if name == OsStr::new("submit") => return submit::main(&words),
        Some(name) if name == OsStr::new("shuyu-start") => return start::main(),
        _ => {}
    }
    match words.split_first() {
        Some((verb, rest)) if verb == "serve" => serve_with(rest),
        Some((verb, rest)) if verb == "beside" => match rest {
            [] => serve::beside(Path::new(SOCKET)),
            [option, path] if option == "--socket" => serve::beside(Path::new(path)),
            _ => usage(),
        },
        Some((verb, rest)) if verb == "submit" => submit::main(rest),
        Some((verb, [])) if verb == "--version" => {
            println!("shuyu-relay {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        _ => usage(),
    }
}

fn serve_with(words: &[OsString]) -> ExitCode {
    let (socket, words) = match words {
        [option, path, rest @ ..] if option == "--socket" => (PathBuf::from(path), rest),
        _ => (PathBuf::from(SOCKET), words),
    };
    match words {
        [dashes, program, arguments @ ..] if dashes == "--" => serve::main(&socket, program, arguments),
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!(
        "shuyu-relay serve [--socket PATH] -- COMMAND [ARGUMENT…]\n\
         shuyu-relay beside [--socket PATH] (until standard input ends)\n\
         shuyu-relay submit [--socket PATH] FILE [-m MESSAGE] [--phase N]\n\
         (the socket is {SOCKET} unless named)"
    );
    ExitCode::from(USAGE)
}
