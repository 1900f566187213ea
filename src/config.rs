//! Every setting of the service, typed, with its default and its environment variable.
//!
//! Later sources win: defaults, then the TOML file named with `--config`, then environment variables
//! `SHUYU_…` (`__` goes one level down: `SHUYU_OBJECTS__KIND=s3`), then command-line flags.
//! `docs/configuration.md` lists them; a test below keeps it complete.

mod sandboxes;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Deserializer, Serialize};

pub use self::sandboxes::Sandboxes;

/// What can be wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A source could not be read, or a value has the wrong form.
    #[error("the settings cannot be read: {0}; docs/configuration.md lists every setting")]
    Unreadable(Box<figment::Error>),
    /// A value is well formed but makes no sense.
    #[error("setting {name} = {value:?} cannot be used: {problem}")]
    Unusable {
        /// The setting, as in the TOML file.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is wrong, and how to mend it.
        problem: &'static str,
    },
}

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `SHUYU_DATA_DIR`: where the embedded database, local objects and the key file are kept.
    pub data_dir: PathBuf,
    /// `SHUYU_LISTEN`: address and port the web server listens on.
    pub listen: SocketAddr,
    /// `SHUYU_PUBLIC_URL`: the address people type, without a trailing slash. It makes links, decides
    /// whether cookies are `Secure`, and is the origin that forms may come from. Empty: `http://` and
    /// the listening address.
    pub public_url: String,
    /// `SHUYU_DATABASE` (or plain `DATABASE_URL`): `sqlite:PATH` or `postgres://…`. Empty:
    /// `sqlite:<data_dir>/shuyu.db`.
    pub database: String,
    /// Where uploaded and made files are kept.
    pub objects: Objects,
    /// `SHUYU_KEY_FILE`: the file with the key that seals hidden data. Empty: `<data_dir>/key`.
    pub key_file: PathBuf,
    /// `SHUYU_WORK_DIR`: where runs are staged. Empty: `<data_dir>/work`.
    pub work_dir: PathBuf,
    /// `SHUYU_DOCKER_HOST` (or plain `DOCKER_HOST`): the engine's socket. Empty:
    /// `unix:///var/run/docker.sock`.
    pub docker_host: String,
    /// `SHUYU_RUNTIME`: `runc`, or `runsc` for gVisor.
    pub runtime: Runtime,
    /// `SHUYU_IMAGES` (`NAME=IMAGE,…`) or `[images]`: image named by a bundle → image on this machine.
    #[serde(deserialize_with = "crate::sandbox::image_names")]
    pub images: BTreeMap<String, String>,
    /// The worker in this process.
    pub worker: Worker,
    /// Interactive sandboxes.
    pub sandboxes: Sandboxes,
    /// Uploads.
    pub upload: Upload,
    /// How often one address or one person may do what costs us something.
    pub limits: RateLimits,
    /// Browser sessions.
    pub session: SessionSettings,
    /// What the pages say about this installation.
    pub site: Site,
    /// `SHUYU_TRUSTED_PROXIES`: addresses whose `X-Forwarded-For` is believed, as `["127.0.0.1"]`.
    pub trusted_proxies: Vec<IpAddr>,
    /// Logging.
    pub log: Log,
}

/// Where files are kept.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Objects {
    /// `SHUYU_OBJECTS__KIND`: `local` (under `data_dir`) or `s3`.
    pub kind: ObjectsKind,
    /// `SHUYU_OBJECTS__ENDPOINT`: address of the S3-compatible server.
    pub endpoint: String,
    /// `SHUYU_OBJECTS__BUCKET`: the bucket.
    #[serde(deserialize_with = "text")]
    pub bucket: String,
    /// `SHUYU_OBJECTS__REGION`: the region; most servers of one's own take any.
    #[serde(deserialize_with = "text")]
    pub region: String,
    /// `SHUYU_OBJECTS__ACCESS_KEY`: the access key.
    #[serde(deserialize_with = "text")]
    pub access_key: String,
    /// `SHUYU_OBJECTS__SECRET_KEY`: the secret key.
    #[serde(deserialize_with = "text")]
    pub secret_key: Secret,
    /// `SHUYU_OBJECTS__ALLOW_HTTP`: whether the endpoint may be plain HTTP.
    pub allow_http: bool,
}

/// The kinds of object store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectsKind {
    /// A directory under the data directory.
    #[default]
    Local,
    /// An S3-compatible server.
    S3,
}

/// The container runtimes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// Docker's own.
    #[default]
    Runc,
    /// gVisor.
    Runsc,
}

/// A text that is never shown in logs.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { "\"…\"" })
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// The worker in this process.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Worker {
    /// `SHUYU_WORKER__ENABLED`: whether `shuyu serve` also takes runs from the queue.
    pub enabled: bool,
    /// `SHUYU_WORKER__SLOTS`: runs at the same time; 0: one for each core.
    pub slots: usize,
    /// `SHUYU_WORKER__WARM`: containers kept started for the next runs, of the kinds that were asked for
    /// lately; each takes some 130 MiB of memory while it waits. 0: every run starts its own.
    pub warm: usize,
    /// `SHUYU_WORKER__NAME`: the name shown on the desks. Empty: the host's name.
    #[serde(deserialize_with = "text")]
    pub name: String,
}

/// Uploads.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upload {
    /// `SHUYU_UPLOAD__CAP_BYTES`: the largest submission taken, in bytes.
    pub cap_bytes: u64,
    /// `SHUYU_UPLOAD__TIMEOUT_SECONDS`: the longest an upload may take.
    pub timeout_seconds: u64,
    /// `SHUYU_UPLOAD__DAILY_BYTES`: how much a person may hand in to a competition in a day (UTC), in bytes;
    /// 0: any amount.
    pub daily_bytes: u64,
    /// `SHUYU_UPLOAD__KEEP_REJECTED_DAYS`: the file of a submission that was refused before it was scored is
    /// kept so many days; 0: for ever.
    pub keep_rejected_days: u32,
}

/// Rate limits: so many in a minute, with bursts of the same size. 0 turns one off.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimits {
    /// `SHUYU_LIMITS__LOGIN`: login attempts a minute from one address.
    pub login: u32,
    /// `SHUYU_LIMITS__REGISTRATION`: registrations a minute from one address.
    pub registration: u32,
    /// `SHUYU_LIMITS__UPLOAD`: uploads a minute by one person.
    pub upload: u32,
    /// `SHUYU_LIMITS__API`: API requests a minute by one person or address.
    pub api: u32,
    /// `SHUYU_LIMITS__SANDBOX`: sandboxes opened, stopped, restarted or copied a minute by one person.
    pub sandbox: u32,
    /// `SHUYU_LIMITS__LIVE_CONNECTIONS`: live connections open at once by one person or address.
    pub live_connections: usize,
}

/// Browser sessions.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionSettings {
    /// `SHUYU_SESSION__IDLE_MINUTES`: a session unused for so long ends.
    pub idle_minutes: u32,
    /// `SHUYU_SESSION__ABSOLUTE_HOURS`: a session ends so long after the login.
    pub absolute_hours: u32,
}

/// What the pages say about this installation.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Site {
    /// `SHUYU_SITE__NAME`: the installation's name, shown in the footer.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// `SHUYU_SITE__OPERATOR`: who runs it, shown in the footer.
    #[serde(deserialize_with = "text")]
    pub operator: String,
    /// `SHUYU_SITE__ZONE`: the time zone of times rendered by the server (IANA name).
    pub zone: String,
    /// `SHUYU_SITE__REGISTRATION`: whether people may register themselves.
    pub registration: bool,
}

/// Logging.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `SHUYU_LOG__FORMAT`: `text`, `json`, or `auto` (JSON when the output is not a terminal).
    pub format: LogFormat,
    /// `SHUYU_LOG__FILTER`: what is logged, as in `info,shuyu=debug`.
    pub filter: String,
}

/// The forms of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// JSON when the output is not a terminal.
    #[default]
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_dir: "data".into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: String::new(),
            database: String::new(),
            objects: Objects::default(),
            key_file: PathBuf::new(),
            work_dir: PathBuf::new(),
            docker_host: String::new(),
            runtime: Runtime::default(),
            images: BTreeMap::new(),
            worker: Worker::default(),
            sandboxes: Sandboxes::default(),
            upload: Upload::default(),
            limits: RateLimits::default(),
            session: SessionSettings::default(),
            site: Site::default(),
            trusted_proxies: Vec::new(),
            log: Log::default(),
        }
    }
}

impl Default for Worker {
    fn default() -> Self {
        Self { enabled: true, slots: 0, warm: 2, name: String::new() }
    }
}

impl Default for Upload {
    fn default() -> Self {
        Self { cap_bytes: 100 << 20, timeout_seconds: 1800, daily_bytes: 2 << 30, keep_rejected_days: 7 }
    }
}

impl Default for RateLimits {
    fn default() -> Self {
        Self { login: 20, registration: 10, upload: 30, api: 600, sandbox: 30, live_connections: 8 }
    }
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self { idle_minutes: 24 * 60, absolute_hours: 14 * 24 }
    }
}

impl Default for Site {
    fn default() -> Self {
        Self {
            name: "数域 Shuyu".into(),
            operator: String::new(),
            zone: "Asia/Shanghai".into(),
            registration: true,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Auto, filter: "info".into() }
    }
}

/// A text that a source may have taken for a number or a truth value (a key of digits only).
fn text<'de, D: Deserializer<'de>, T: From<String>>(deserializer: D) -> Result<T, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        Whole(i128),
        Truth(bool),
        Real(f64),
    }
    Ok(T::from(match Either::deserialize(deserializer)? {
        Either::Text(text) => text,
        Either::Whole(number) => number.to_string(),
        Either::Truth(truth) => truth.to_string(),
        Either::Real(number) => number.to_string(),
    }))
}

impl Settings {
    /// Reads the settings: defaults, then `file` (TOML), then the environment. `flags` holds what the
    /// command line sets, by the names of the TOML file, and wins.
    ///
    /// # Errors
    /// When the file cannot be read, a name is unknown in it, or a value has the wrong form.
    pub fn load(file: Option<&Path>, flags: &BTreeMap<&str, String>) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = file {
            figment = figment.merge(Toml::file_exact(file));
        }
        figment = figment
            .merge(Env::raw().only(&["DATABASE_URL"]).map(|_| "database".into()))
            .merge(Env::raw().only(&["DOCKER_HOST"]).map(|_| "docker_host".into()))
            .merge(Env::prefixed("SHUYU_").filter(|key| known(key.as_str())).split("__"));
        let defaults = serde_json::to_value(Self::default()).unwrap_or_default();
        for (name, value) in flags {
            // A flag is text: it is read as what the setting is, so a directory named `1` stays text.
            let default = defaults.pointer(&format!("/{}", name.replace('.', "/")));
            figment = match default {
                Some(serde_json::Value::Bool(_) | serde_json::Value::Number(_)) => {
                    let Ok(read) = value.parse::<figment::value::Value>();
                    figment.merge((*name, read))
                }
                _ => figment.merge((*name, value.clone())),
            };
        }
        let settings: Self = figment.extract().map_err(|error| ConfigError::Unreadable(Box::new(error)))?;
        settings.checked()
    }

    /// The defaults with everything kept under `data_dir`.
    pub fn under(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned(), ..Self::default() }.filled()
    }

    fn checked(self) -> Result<Self, ConfigError> {
        let settings = self.filled();
        let url = &settings.public_url;
        if !(url.starts_with("http://") || url.starts_with("https://")) || url.ends_with('/') {
            return Err(ConfigError::Unusable {
                name: "public_url",
                value: url.clone(),
                problem: "give http://HOST[:PORT] or https://HOST[:PORT], without a slash at the end",
            });
        }
        if url.splitn(4, '/').count() == 4 {
            return Err(ConfigError::Unusable {
                name: "public_url",
                value: url.clone(),
                problem: "the service must have a host name of its own: leave out the path",
            });
        }
        settings.sandboxes.check(url)?;
        Ok(settings)
    }

    /// Puts in the defaults that depend on other settings.
    fn filled(mut self) -> Self {
        if self.public_url.is_empty() {
            self.public_url = format!("http://{}", self.listen);
        }
        if self.database.is_empty() {
            self.database = format!("sqlite:{}", self.data_dir.join("shuyu.db").display());
        }
        if self.key_file.as_os_str().is_empty() {
            self.key_file = self.data_dir.join("key");
        }
        if self.work_dir.as_os_str().is_empty() {
            self.work_dir = self.data_dir.join("work");
        }
        self.sandboxes.fill(&self.public_url);
        if self.docker_host.is_empty() {
            self.docker_host = "unix:///var/run/docker.sock".into();
        }
        self
    }

    /// Whether people reach the service over TLS, so that cookies are `Secure`.
    pub fn is_https(&self) -> bool {
        self.public_url.starts_with("https://")
    }

    /// Runs at the same time in this process.
    pub fn slots(&self) -> usize {
        match self.worker.slots {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            slots => slots,
        }
    }
}

/// Variables of the environment that begin like ours and are none: most likely misspelt.
pub fn unknown_variables() -> Vec<String> {
    /// The client's, the tests' and the scripts'.
    const OTHERS: [&str; 6] = ["SERVER", "TOKEN", "CONFIG", "NO_INSTALL", "TEST_", "BIN"];
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let ours = |name: &String| {
        let key = name.strip_prefix("SHUYU_")?;
        Some(known(key) || OTHERS.iter().any(|other| key.starts_with(other)))
    };
    names.filter(|name| ours(name) == Some(false)).collect()
}

/// Whether an environment variable's name, without its prefix, is one of ours: `SHUYU_TOKEN` and
/// `SHUYU_SERVER` belong to the client, `SHUYU_TEST_…` to the tests.
fn known(key: &str) -> bool {
    let first = key.split("__").next().unwrap_or(key).to_ascii_lowercase();
    serde_json::to_value(Settings::default()).is_ok_and(|all| all.get(&first).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(prefix: &str, value: &serde_json::Value, into: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(map) if !map.is_empty() => {
                for (key, value) in map {
                    let separator = if prefix.is_empty() { "" } else { "__" };
                    leaves(&format!("{prefix}{separator}{}", key.to_uppercase()), value, into);
                }
            }
            _ => into.push(prefix.to_owned()),
        }
    }

    #[test]
    fn the_documentation_names_every_setting() {
        let documentation = include_str!("../docs/configuration.md");
        let mut names = Vec::new();
        leaves("", &serde_json::to_value(Settings::default()).unwrap(), &mut names);
        assert!(names.len() > 30, "{names:?}");
        for name in names {
            assert!(documentation.contains(&format!("`SHUYU_{name}`")), "SHUYU_{name} is missing");
        }
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("shuyu.toml");
        std::fs::write(&file, "listen = \"0.0.0.0:80\"\n[worker]\nslots = 3\n[objects]\nsecret_key = 123\n")
            .unwrap();
        let flags = BTreeMap::from([
            ("listen", "127.0.0.1:9".to_owned()),
            ("data_dir", "1".to_owned()),
            ("worker.enabled", "false".to_owned()),
        ]);
        let settings = Settings::load(Some(&file), &flags).unwrap();
        assert!(!settings.worker.enabled);
        assert_eq!(settings.data_dir, Path::new("1"));
        assert_eq!(settings.listen.to_string(), "127.0.0.1:9");
        assert_eq!(settings.slots(), 3);
        assert_eq!(settings.objects.secret_key, Secret("123".into()));
        assert!(!format!("{settings:?}").contains("123"));
        assert_eq!(settings.public_url, "http://127.0.0.1:9");
    }

    #[test]
    fn an_unknown_name_in_the_file_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("shuyu.toml");
        std::fs::write(&file, "lisen = \"0.0.0.0:80\"\n").unwrap();
        let message = Settings::load(Some(&file), &BTreeMap::new()).unwrap_err().to_string();
        assert!(message.contains("lisen"), "{message}");
    }

    #[test]
    fn a_public_url_with_a_path_is_refused() {
        let flags = BTreeMap::from([("public_url", "https://a.example/shuyu".to_owned())]);
        let message = Settings::load(None, &flags).unwrap_err().to_string();
        assert!(message.contains("leave out the path"), "{message}");
    }
}
