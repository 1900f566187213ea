//! The command `submit`: hands a file to the service over the host's socket. No credentials are
//! needed or known in a sandbox: the socket is the participant's own.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Bytes of the first line at most, without the word before it: the host reads no more.
const HEADER: usize = 4096;
/// What the last line of the host's answer begins with where all went well.
const OK: &str = "{\"ok\":true";
/// The exit code for words on the command line that make no sense.
const USAGE: u8 = 2;

/// What is handed in.
#[derive(Debug)]
struct Request {
    socket: PathBuf,
    file: PathBuf,
    message: Option<String>,
    phase: Option<u32>,
}

/// Why nothing was handed in, as it is said to the participant: in Chinese, then in English.
#[derive(Debug)]
enum Fault {
    Usage,
    NoFile(PathBuf, io::Error),
    NotAFile(PathBuf),
    Name(PathBuf),
    HeaderTooLong,
    Away(io::Error),
    Changed(PathBuf),
    Interrupted(io::Error),
}

impl Fault {
    /// A stable word.
    fn code(&self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::NoFile(..) => "no-file",
            Self::NotAFile(_) => "not-a-file",
            Self::Name(_) => "file-name",
            Self::HeaderTooLong => "header-too-long",
            Self::Away(_) => "away",
            Self::Changed(_) => "changed",
            Self::Interrupted(_) => "interrupted",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (chinese, english) = match self {
            Self::Usage => (
                "用法：submit 文件 [-m 说明] [--phase 阶段序号]".to_owned(),
                "usage: submit FILE [-m MESSAGE] [--phase N]".to_owned(),
            ),
            Self::NoFile(path, error) if error.kind() == ErrorKind::NotFound => (
                format!("没有文件 {}", path.display()),
                format!("there is no file {}; see: ls", path.display()),
            ),
            Self::NoFile(path, error) => (
                format!("无法读取 {}：{error}", path.display()),
                format!("cannot read {}: {error}", path.display()),
            ),
            Self::NotAFile(path) => (
                format!("{} 不是普通文件；要提交一个文件夹，先把它压缩成 zip", path.display()),
                format!(
                    "{} is not a regular file; to submit a folder, make a zip of it first",
                    path.display()
                ),
            ),
            Self::Name(path) => (
                format!("文件名 {} 不是 UTF-8，请先改名", path.display()),
                format!("the name {} is not UTF-8; rename it first", path.display()),
            ),
            Self::HeaderTooLong => (
                "文件名和说明太长，合计不能超过约 4 KiB".to_owned(),
                "the name and the message are too long; about 4 KiB together is the most".to_owned(),
            ),
            Self::Away(error) => (
                format!("平台暂时无法连接（{error}），请一分钟后再试；文件没有提交"),
                format!("the service is away ({error}); try again in a minute. Nothing was handed in"),
            ),
            Self::Changed(path) => (
                format!("{} 在提交过程中变短了；请等它写完再提交", path.display()),
                format!(
                    "{} became shorter while it was handed in; submit it once it is written",
                    path.display()
                ),
            ),
            Self::Interrupted(error) => (
                format!("连接中断（{error}）；请在网页上查看是否已收到，再决定是否重新提交"),
                format!("cut off ({error}); see in the page whether it arrived before trying again"),
            ),
        };
        write!(f, "{chinese}\n{english}")
    }
}

/// Hands a file in; the exit code is 0 only when the service said that it took it.
pub fn main(words: &[OsString]) -> ExitCode {
    match parse(words).and_then(|request| hand_in(&request)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("{fault}");
            // for programs, as the host's last line
            println!("{{\"ok\":false,\"code\":\"{}\"}}", fault.code());
            ExitCode::from(if matches!(fault, Fault::Usage) { USAGE } else { 1 })
        }
    }
}

fn parse(words: &[OsString]) -> Result<Request, Fault> {
    let mut request =
        Request { socket: PathBuf::from(crate::SOCKET), file: PathBuf::new(), message: None, phase: None };
    let mut files = Vec::new();
    let mut words = words.iter();
    let mut only_files = false;
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(Fault::Usage);
        match word.to_str() {
            Some("--") if !only_files => only_files = true,
            Some("-m" | "--message") if !only_files => {
                request.message = Some(value()?.to_str().ok_or(Fault::Usage)?.to_owned());
            }
            Some("--phase") if !only_files => {
                let number = value()?.to_str().and_then(|text| text.parse().ok());
                request.phase = Some(number.ok_or(Fault::Usage)?);
            }
            Some("--socket") if !only_files => request.socket = PathBuf::from(value()?),
            Some(option) if !only_files && option.starts_with('-') => return Err(Fault::Usage),
            _ => files.push(PathBuf::from(word)),
        }
    }
    match <[PathBuf; 1]>::try_from(files) {
        Ok([file]) => Ok(Request { file, ..request }),
        Err(_) => Err(Fault::Usage),
    }
}

fn hand_in(request: &Request) -> Result<bool, Fault> {
    let path = &request.file;
    let no_file = |error| Fault::NoFile(path.clone(), error);
    // Asked before it is opened: opening a FIFO would wait for its writer.
    if !path.metadata().map_err(no_file)?.is_file() {
        return Err(Fault::NotAFile(path.clone()));
    }
    let mut file = File::open(path).map_err(no_file)?;
    let size = file.metadata().map_err(no_file)?.len();
    let header = header(request, size)?;
    let mut socket = UnixStream::connect(&request.socket).map_err(Fault::Away)?;
    if let Err(fault) = send(&mut socket, &header, &mut file, size, path) {
        // A host that refuses says why and closes before it has read all.
        let cut_off = matches!(&fault, Fault::Interrupted(_));
        return if cut_off && matches!(answer(&socket), Ok(Some(_))) { Ok(false) } else { Err(fault) };
    }
    match answer(&socket) {
        Ok(Some(last)) => Ok(last.starts_with(OK)),
        Ok(None) => Err(Fault::Interrupted(ErrorKind::UnexpectedEof.into())),
        Err(error) => Err(Fault::Interrupted(error)),
    }
}

/// The first line without its end: the word and a JSON object.
fn header(request: &Request, size: u64) -> Result<String, Fault> {
    let nameless = || Fault::Name(request.file.clone());
    let name = request.file.file_name().and_then(OsStr::to_str).ok_or_else(nameless)?;
    let message = request.message.as_deref().map_or("null".to_owned(), json_string);
    let phase = request.phase.map_or("null".to_owned(), |phase| phase.to_string());
    let name = json_string(name);
    let json = format!("{{\"name\":{name},\"size\":{size},\"message\":{message},\"phase\":{phase}}}");
    if json.len() > HEADER { Err(Fault::HeaderTooLong) } else { Ok(format!("submit {json}\n")) }
}

/// RFC 8259, section 7.
fn json_string(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\0'..='\x1f' => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn send(socket: &mut UnixStream, header: &str, file: &mut File, size: u64, path: &Path) -> Result<(), Fault> {
    socket.write_all(header.as_bytes()).map_err(Fault::Interrupted)?;
    let mut left = size;
    let mut piece = vec![0; 64 << 10];
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        let count = file.read(&mut piece[..most]).map_err(|error| Fault::NoFile(path.to_owned(), error))?;
        if count == 0 {
            // Not shut down: the host must not take it for the whole file.
            return Err(Fault::Changed(path.to_owned()));
        }
        socket.write_all(&piece[..count]).map_err(Fault::Interrupted)?;
        left -= count as u64;
    }
    socket.shutdown(Shutdown::Write).map_err(Fault::Interrupted)
}

/// Prints what the host says, line by line as it comes, and gives the last line, if there was one.
fn answer(socket: &UnixStream) -> io::Result<Option<String>> {
    let mut last = None;
    for line in BufReader::new(socket).lines() {
        let line = match line {
            // The host closed before it had read all we sent: said, and said no more.
            Err(_) if last.is_some() => break,
            line => line?,
        };
        println!("{line}");
        last = Some(line);
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn options_stand_anywhere_and_one_file_is_needed() {
        let request = parse(&words("-m 说明 a.zip --phase 2")).expect("well formed");
        assert_eq!(request.file, Path::new("a.zip"));
        assert_eq!((request.message.as_deref(), request.phase), (Some("说明"), Some(2)));
        assert_eq!(request.socket, Path::new(crate::SOCKET));
        assert_eq!(parse(&words("-- -m")).expect("a file of that name").file, Path::new("-m"));
        for line in ["-m", "a b", "--phase x a", "--phase", "--force a", "-m text"] {
            assert!(matches!(parse(&words(line)), Err(Fault::Usage)), "{line}");
        }
        assert!(matches!(parse(&[]), Err(Fault::Usage)));
    }

    #[test]
    fn the_header_is_one_line_of_json_whatever_the_words() {
        let mut request = parse(&words("/x/a\"b.zip")).expect("well formed");
        request.message = Some("two\nlines \\ \u{1}\u{7f} 说明".to_owned());
        request.phase = Some(0);
        assert_eq!(
            header(&request, 12).expect("short"),
            "submit {\"name\":\"a\\\"b.zip\",\"size\":12,\"message\":\"two\\u000alines \\\\ \\u0001\u{7f} 说明\",\
             \"phase\":0}\n"
        );
        request.message = Some("x".repeat(HEADER));
        assert!(matches!(header(&request, 12), Err(Fault::HeaderTooLong)));
    }
}
