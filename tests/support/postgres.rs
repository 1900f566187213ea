//! A throw-away PostgreSQL server: its own data directory, a socket in it, no TCP port.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The unprivileged user that the server runs as when the tests run as root, which it refuses to.
const USER: &str = "postgres";

/// A running server with a database named `shuyu`; it is stopped and its data removed when dropped.
pub struct PostgresServer {
    directory: tempfile::TempDir,
    child: Child,
}

impl PostgresServer {
    /// Makes a cluster and starts a server on it.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start, with what it said.
    pub fn start() -> Self {
        let binaries = binaries();
        let directory = tempfile::Builder::new().prefix("shuyu-pg").tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let data = directory.path().join("data");
        fs::create_dir(&data).unwrap();
        if is_root() {
            let (user, group) = user_and_group();
            chown(&data, Some(user), Some(group)).unwrap();
        }
        let made = as_user(&binaries.join("initdb"))
            .args(["--auth=trust", "--username=shuyu", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));

        let mut child = as_user(&binaries.join("postgres"))
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(&data)
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_until_ready(&mut child);
        let server = Self { directory, child };
        server.create_database("shuyu");
        server
    }

    /// The address of the database `shuyu`.
    pub fn address(&self) -> String {
        self.address_of("shuyu")
    }

    /// The address of another database of this server, made by [`PostgresServer::create_database`].
    pub fn address_of(&self, database: &str) -> String {
        let socket = self.directory.path().join("data").display().to_string();
        format!("postgres://shuyu@localhost/{database}?host={socket}")
    }

    /// Makes another, empty database.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn create_database(&self, database: &str) {
        let made = Command::new(binaries().join("createdb"))
            .args(["-U", "shuyu", "-h"])
            .arg(self.directory.path().join("data"))
            .arg(database)
            .output()
            .unwrap();
        assert!(made.status.success(), "createdb: {}", String::from_utf8_lossy(&made.stderr));
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // The child may be `runuser`, which passes the signal on; the server's own id is in its pid
        // file. SIGINT is PostgreSQL's fast shutdown: it ends the sessions and then itself.
        let file = self.directory.path().join("data/postmaster.pid");
        let pid = fs::read_to_string(file).ok().and_then(|text| text.lines().next()?.trim().parse().ok());
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        } else {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Reads what the server says until it accepts connections, and keeps reading so that it never
/// blocks on a full pipe.
fn wait_until_ready(child: &mut Child) {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = String::new();
    for line in lines.by_ref().map_while(Result::ok) {
        if line.contains("database system is ready to accept connections") {
            std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
            return;
        }
        said.push_str(&line);
        said.push('\n');
    }
    panic!("PostgreSQL did not start:\n{said}");
}

/// Where the server's programs are: Debian keeps them out of the path, a directory a version.
fn binaries() -> PathBuf {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .map_while(Result::ok)
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, path)| path.join("postgres").is_file())
        .collect();
    versions.sort();
    versions.pop().expect("PostgreSQL is installed (apt-get install postgresql)").1
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn as_user(program: &Path) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", USER, "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// The numbers of [`USER`] in `/etc/passwd`.
fn user_and_group() -> (u32, u32) {
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd
        .lines()
        .find(|line| line.starts_with(&format!("{USER}:")))
        .expect("the user postgres exists (made by the package postgresql)");
    let fields: Vec<&str> = line.split(':').collect();
    (fields[2].parse().unwrap(), fields[3].parse().unwrap())
}
