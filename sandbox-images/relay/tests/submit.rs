//! `submit` as a process, with the test in the host's place.

#![expect(clippy::expect_used, reason = "a test's own functions fail by panicking too")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// Started under its own name, as the link in the image does it.
fn submit(directory: &Path, words: &[&str]) -> Child {
    let link = directory.join("submit");
    if !link.exists() {
        symlink(env!("CARGO_BIN_EXE_shuyu-relay"), &link).expect("a link");
    }
    let mut command = Command::new(link);
    command.arg("--socket").arg(directory.join("relay.sock")).args(words).current_dir(directory);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started")
}

fn place() -> (TempDir, UnixListener) {
    let directory = tempfile::tempdir().expect("a directory");
    let listener = UnixListener::bind(directory.path().join("relay.sock")).expect("bound");
    (directory, listener)
}

fn end(child: Child) -> (Output, String, String) {
    let output = child.wait_with_output().expect("ended");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let (said, complained) = (text(&output.stdout), text(&output.stderr));
    (output, said, complained)
}

#[test]
fn a_file_arrives_whole_and_the_answer_is_shown() {
    for (answer, code) in
        [("{\"ok\":true,\"id\":\"x\"}\n", 0), ("{\"ok\":false,\"error\":\"quota\"}\n", 1), ("", 1)]
    {
        let (directory, listener) = place();
        let content: Vec<u8> = (0..300_000u32).map(|n| (n % 253) as u8).collect();
        fs::write(directory.path().join("预测.zip"), &content).expect("written");
        let child = submit(directory.path(), &["预测.zip", "-m", "a \"try\"", "--phase", "1"]);
        let mut stream = BufReader::new(listener.accept().expect("dialled").0);
        let mut header = String::new();
        stream.read_line(&mut header).expect("a header");
        let expected = r#"submit {"name":"预测.zip","size":300000,"message":"a \"try\"","phase":1}"#;
        assert_eq!(header, format!("{expected}\n"));
        let mut received = Vec::new();
        stream.read_to_end(&mut received).expect("read to its end");
        assert!(received == content);
        let lines =
            if answer.is_empty() { String::new() } else { format!("{{\"note\":\"queued\"}}\n{answer}") };
        stream.get_ref().write_all(lines.as_bytes()).expect("answered");
        drop(stream);
        let (output, said, complained) = end(child);
        assert_eq!(output.status.code(), Some(code), "{said}{complained}");
        let last = "{\"ok\":false,\"code\":\"interrupted\"}\n";
        assert_eq!(said, if lines.is_empty() { last } else { &lines });
        assert_eq!(complained.is_empty(), !answer.is_empty(), "{complained}");
    }
}

#[test]
fn a_refusal_before_the_end_of_the_file_is_shown_too() {
    let (directory, listener) = place();
    fs::write(directory.path().join("big.zip"), vec![1; 20 << 20]).expect("written");
    let child = submit(directory.path(), &["big.zip"]);
    let mut stream = BufReader::new(listener.accept().expect("dialled").0);
    let mut header = String::new();
    stream.read_line(&mut header).expect("a header");
    assert!(header.contains("\"size\":20971520,\"message\":null,\"phase\":null"), "{header}");
    stream.get_ref().write_all(b"{\"ok\":false,\"error\":\"too large\"}\n").expect("answered");
    drop(stream);
    let (output, said, complained) = end(child);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(said, "{\"ok\":false,\"error\":\"too large\"}\n");
    assert_eq!(complained, "");
}

#[test]
fn what_cannot_be_handed_in_is_said_in_both_languages() {
    let (directory, listener) = place();
    fs::write(directory.path().join("a.zip"), "x").expect("written");
    // the last line is for programs, whatever went wrong
    let complaint = |words: &[&str], told: &str| {
        let (output, said, complained) = end(submit(directory.path(), words));
        assert_eq!(said, format!("{{\"ok\":false,\"code\":\"{told}\"}}\n"));
        (output.status.code(), complained)
    };
    let (code, text) = complaint(&["b.zip"], "no-file");
    assert_eq!((code, &*text), (Some(1), "没有文件 b.zip\nthere is no file b.zip; see: ls\n"));
    let (code, text) = complaint(&["."], "not-a-file");
    assert!(code == Some(1) && text.contains("is not a regular file; to submit a folder"), "{text}");
    let (code, text) = complaint(&[], "usage");
    assert!(code == Some(2) && text.starts_with("用法：submit 文件"), "{text}");
    drop(listener);
    let (code, text) = complaint(&["a.zip"], "away");
    assert!(code == Some(1) && text.contains("the service is away (Connection refused"), "{text}");
    fs::remove_file(directory.path().join("relay.sock")).expect("removed");
    let (code, text) = complaint(&["a.zip"], "away");
    assert!(code == Some(1) && text.contains("平台暂时无法连接（No such file"), "{text}");
}
