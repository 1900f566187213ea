//! The relay as a process, with the test in the host's place.

#![expect(clippy::expect_used, reason = "a test's own functions fail by panicking too")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

type Reader = BufReader<UnixStream>;

/// The host: its socket, and the relay as a process of its own.
struct Host {
    socket: PathBuf,
    listener: UnixListener,
    relay: Child,
    numbers: u32,
    _directory: TempDir,
}

impl Host {
    fn with(command: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("relay.sock");
        let listener = UnixListener::bind(&socket).expect("bound");
        let relay = start(&socket, command);
        Self { socket, listener, relay, numbers: 0, _directory: directory }
    }

    /// A relay whose program reads a line and exits with 7.
    fn waiting() -> (Self, Reader) {
        let host = Self::with(&["sh", "-c", "read line; exit 7"]);
        let control = host.control();
        (host, control)
    }

    /// A relay beside a program that somebody else runs.
    fn beside() -> (Self, Reader) {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("relay.sock");
        let listener = UnixListener::bind(&socket).expect("bound");
        let mut relay = Command::new(env!("CARGO_BIN_EXE_shuyu-relay"));
        relay.args(["beside", "--socket"]).arg(&socket).stdin(Stdio::piped());
        let relay = relay.spawn().expect("started");
        let host = Self { socket, listener, relay, numbers: 0, _directory: directory };
        let control = host.control();
        (host, control)
    }

    fn accept(&self) -> Reader {
        BufReader::new(self.listener.accept().expect("dialled").0)
    }

    fn control(&self) -> Reader {
        let mut control = self.accept();
        assert_eq!(line(&mut control), "control 1\n");
        control
    }

    /// Asks for a port and gives what the relay dials, and what it should begin with.
    fn open(&mut self, control: &Reader, port: u16) -> (Reader, String) {
        self.numbers += 1;
        let nonce = format!("{:032x}", self.numbers);
        control.get_ref().write_all(format!("open {port} {nonce}\n").as_bytes()).expect("asked");
        (self.accept(), nonce)
    }

    /// The same, for a port that answers.
    fn dialled(&mut self, control: &Reader, port: u16) -> Reader {
        let (mut stream, nonce) = self.open(control, port);
        assert_eq!(line(&mut stream), format!("dial {nonce}\n"));
        stream
    }

    /// Lets the program end.
    fn end(mut self, control: &mut Reader) {
        drop(self.relay.stdin.take());
        assert_eq!(line(control), "ended 7\n");
        assert_eq!(self.relay.wait().expect("ended").code(), Some(7));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.relay.kill();
        let _ = self.relay.wait();
    }
}

fn start(socket: &Path, command: &[&str]) -> Child {
    let mut relay = Command::new(env!("CARGO_BIN_EXE_shuyu-relay"));
    relay.args(["serve", "--socket"]).arg(socket).arg("--").args(command);
    relay.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("started")
}

fn line(stream: &mut Reader) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).expect("a line");
    line
}

fn server() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

/// The other side is what a program in the container has accepted.
fn join(host: &mut Host, control: &Reader, server: &(TcpListener, u16)) -> (Reader, TcpStream) {
    let stream = host.dialled(control, server.1);
    (stream, server.0.accept().expect("dialled").0)
}

/// Sends both ways on an open pair.
fn speaks(stream: &mut Reader, program: &mut TcpStream) {
    stream.get_ref().write_all(b"there").expect("sent");
    let mut there = [0; 5];
    program.read_exact(&mut there).expect("received");
    program.write_all(b"back").expect("sent");
    let mut back = [0; 4];
    stream.read_exact(&mut back).expect("received");
    assert_eq!((&there, &back), (b"there", b"back"));
}

#[test]
fn beside_another_program_it_relays_until_its_input_ends() {
    let (mut host, control) = Host::beside();
    let server = server();
    let (mut stream, mut program) = join(&mut host, &control, &server);
    speaks(&mut stream, &mut program);
    drop(host.relay.stdin.take());
    assert_eq!(host.relay.wait().expect("ended").code(), Some(0));
}

#[test]
fn the_programs_end_is_reported_and_passed_on() {
    let (host, mut control) = Host::waiting();
    host.end(&mut control);
    for (command, code) in [
        (&["sh", "-c", "kill -9 $$"][..], 137),
        (&["/no/such/program"], 127),
        (&["/etc/passwd"], 126),
        (&["true"], 0),
    ] {
        let mut host = Host::with(command);
        let mut said = String::new();
        host.accept().read_to_string(&mut said).expect("read to its end");
        assert_eq!(said, format!("control 1\nended {code}\n"), "{command:?}");
        assert_eq!(host.relay.wait().expect("ended").code(), Some(code), "{command:?}");
    }
}

#[test]
fn signals_reach_the_program_and_its_answer_counts() {
    for (signal, code) in [(Signal::TERM, 9), (Signal::INT, 8)] {
        let script = "trap 'exit 9' TERM; trap 'exit 8' INT; echo ready; read line";
        let mut host = Host::with(&["sh", "-c", script]);
        // Waiting would close it, and the end of its input would end the program too.
        let _input = host.relay.stdin.take();
        let mut output = BufReader::new(host.relay.stdout.take().expect("piped"));
        let mut ready = String::new();
        output.read_line(&mut ready).expect("printed");
        kill_process(Pid::from_child(&host.relay), signal).expect("signalled");
        assert_eq!(host.relay.wait().expect("ended").code(), Some(code));
    }
}

#[test]
fn a_connection_goes_both_ways_and_ends_one_way_at_a_time() {
    let (mut host, mut control) = Host::waiting();
    let server = server();
    let (mut stream, mut program) = join(&mut host, &control, &server);
    speaks(&mut stream, &mut program);
    stream.get_ref().shutdown(Shutdown::Write).expect("shut down");
    let mut rest = Vec::new();
    program.read_to_end(&mut rest).expect("read to its end");
    assert!(rest.is_empty());
    program.write_all(b"the answer, after the end of the question").expect("sent");
    drop(program);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read to its end");
    assert_eq!(answer, "the answer, after the end of the question");
    host.end(&mut control);
}

#[test]
fn a_port_nobody_listens_on_is_refused_at_once() {
    let (mut host, mut control) = Host::waiting();
    let (listener, port) = server();
    drop(listener);
    let (mut stream, nonce) = host.open(&control, port);
    let mut said = String::new();
    stream.read_to_string(&mut said).expect("read to its end");
    assert_eq!(said, format!("refused {nonce} refused\n"));
    host.end(&mut control);
}

#[test]
fn the_host_may_go_away_and_come_back() {
    let (mut host, control) = Host::waiting();
    let server = server();
    let (mut stream, mut program) = join(&mut host, &control, &server);
    std::fs::remove_file(&host.socket).expect("removed");
    host.listener = UnixListener::bind(&host.socket).expect("bound again");
    drop(control);
    let mut control = host.control();
    speaks(&mut stream, &mut program);
    let (mut stream, mut program) = join(&mut host, &control, &server);
    speaks(&mut stream, &mut program);
    host.end(&mut control);
}

#[test]
fn words_without_end_close_the_control_connection_and_unknown_ones_do_not() {
    let (host, mut control) = Host::waiting();
    control.get_ref().write_all(b"close everything\nopen 80 short\n\n").expect("sent");
    // The relay may close before it has read everything.
    let _ = control.get_ref().write_all(&[b'x'; 5000]);
    let mut said = Vec::new();
    let _ = control.read_to_end(&mut said);
    assert!(said.is_empty());
    control = host.control();
    host.end(&mut control);
}

#[test]
fn a_pair_that_is_stuck_holds_up_no_other_and_there_is_an_end_to_them() {
    let (mut host, mut control) = Host::waiting();
    let server = server();
    let mut pairs = vec![join(&mut host, &control, &server)];
    // The first one's program takes nothing.
    let stuck = pairs[0].0.get_ref();
    stuck.set_nonblocking(true).expect("non-blocking");
    let mut sent = 0u64;
    loop {
        match (&*stuck).write(&[1; 1 << 16]) {
            Ok(count) => sent += count as u64,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                // Whatever is moved while another pair is used was moved meanwhile.
                let mut other = join(&mut host, &control, &server);
                speaks(&mut other.0, &mut other.1);
                if matches!((&*stuck).write(&[1]), Err(error) if error.kind() == ErrorKind::WouldBlock) {
                    break;
                }
                sent += 1;
            }
        }
    }
    while pairs.len() < 128 {
        pairs.push(join(&mut host, &control, &server));
    }
    let (mut refused, nonce) = host.open(&control, server.1);
    assert_eq!(line(&mut refused), format!("refused {nonce} busy\n"));
    for (stream, program) in &mut pairs[1..] {
        speaks(stream, program);
    }
    // What was stuck arrives whole once it is taken, though its sender is gone.
    let (stream, mut program) = pairs.remove(0);
    drop(stream);
    let mut received = Vec::new();
    program.read_to_end(&mut received).expect("read to its end");
    assert_eq!(received.len() as u64, sent);
    drop(program);
    // Its place is free once the relay has seen the end of it.
    let mut again = loop {
        let (mut stream, nonce) = host.open(&control, server.1);
        match line(&mut stream) {
            said if said == format!("dial {nonce}\n") => {
                break (stream, server.0.accept().expect("dialled").0);
            }
            said => assert_eq!(said, format!("refused {nonce} busy\n")),
        }
    };
    speaks(&mut again.0, &mut again.1);
    host.end(&mut control);
}

#[test]
fn a_full_queue_is_waited_out() {
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
    use std::net::{Ipv4Addr, SocketAddrV4};

    let (mut host, mut control) = Host::waiting();
    let narrow = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    bind(&narrow, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("bound");
    // Room for one that waits to be accepted.
    listen(&narrow, 0).expect("listening");
    let port = SocketAddrV4::try_from(getsockname(&narrow).expect("an address")).expect("IPv4").port();
    let listener = TcpListener::from(narrow);
    let nonces: Vec<String> = (0..20).map(|number| format!("{number:032x}")).collect();
    for nonce in &nonces {
        control.get_ref().write_all(format!("open {port} {nonce}\n").as_bytes()).expect("asked");
    }
    let mut first = Vec::new();
    for _ in &nonces {
        let mut stream = host.accept();
        first.push(line(&mut stream));
        drop((stream, listener.accept().expect("dialled")));
    }
    first.sort();
    assert_eq!(first, nonces.iter().map(|nonce| format!("dial {nonce}\n")).collect::<Vec<_>>());
    host.numbers = 20;
    host.end(&mut control);
}
