//! Where the objects lie: a local directory or an S3-compatible store.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use serde::Deserialize;

use super::ObjectError;

/// Where the objects lie.
#[derive(Clone, Debug)]
pub enum ObjectPlace {
    /// A directory of this machine.
    Directory(PathBuf),
    /// A bucket of an S3-compatible store.
    S3(S3Settings),
}

/// How to reach an S3-compatible store. `Debug` leaves the secret out.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3Settings {
    /// Address of the service, such as `https://s3.example.org`.
    pub endpoint: String,
    /// The bucket; it must exist.
    pub bucket: String,
    /// The region the requests are signed for.
    #[serde(default = "default_region")]
    pub region: String,
    /// The access key's id.
    pub access_key: String,
    /// The access key's secret.
    pub secret_key: String,
    /// Whether plain HTTP is accepted: only on a network of one's own.
    #[serde(default)]
    pub allow_http: bool,
    /// Whether the bucket stands in the path (most own installations) and not in the host name.
    #[serde(default = "default_path_style")]
    pub path_style: bool,
}

fn default_region() -> String {
    "us-east-1".to_owned()
}

fn default_path_style() -> bool {
    true
}

impl fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Settings")
            .field("endpoint", &self.endpoint)
            .field("bucket", &self.bucket)
            .field("region", &self.region)
            .field("access_key", &self.access_key)
            .field("allow_http", &self.allow_http)
            .field("path_style", &self.path_style)
            .finish_non_exhaustive()
    }
}

impl ObjectPlace {
    /// The store, and its directory when it is local.
    pub(super) fn open(&self) -> Result<(Arc<dyn ObjectStore>, Option<PathBuf>), ObjectError> {
        match self {
            Self::Directory(directory) => {
                let unusable =
                    |problem: String| ObjectError::Place { place: directory.display().to_string(), problem };
                fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(directory)
                    .map_err(|error| unusable(error.to_string()))?;
                let store = LocalFileSystem::new_with_prefix(directory)
                    .map_err(|error| unusable(error.to_string()))?
                    .with_automatic_cleanup(true);
                Ok((Arc::new(store), Some(directory.clone())))
            }
            Self::S3(settings) => {
                let store = AmazonS3Builder::new()
                    .with_endpoint(&settings.endpoint)
                    .with_bucket_name(&settings.bucket)
                    .with_region(&settings.region)
                    .with_access_key_id(&settings.access_key)
                    .with_secret_access_key(&settings.secret_key)
                    .with_allow_http(settings.allow_http)
                    .with_virtual_hosted_style_request(!settings.path_style)
                    .build()
                    .map_err(|error| ObjectError::Place {
                        place: settings.endpoint.clone(),
                        problem: error.to_string(),
                    })?;
                Ok((Arc::new(store), None))
            }
        }
    }
}

/// Removes staged files (`NAME#NUMBER`, the form `LocalFileSystem` gives them) below `directory` that
/// nobody has written to since `before`, and counts them.
pub(super) fn sweep(directory: &Path, before: Timestamp) -> io::Result<usize> {
    let before = SystemTime::from(before);
    let mut swept = 0;
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && is_staged(&entry.file_name().to_string_lossy()) {
                // Another process may have finished or removed it meanwhile.
                let written = entry.metadata().and_then(|metadata| metadata.modified());
                if written.is_ok_and(|at| at < before) && fs::remove_file(entry.path()).is_ok() {
                    swept += 1;
                }
            }
        }
    }
    Ok(swept)
}

fn is_staged(name: &str) -> bool {
    name.rsplit_once('#')
        .is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn the_sweep_takes_staged_files_that_rest_and_no_others() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("submissions/1");
        fs::create_dir_all(&folder).unwrap();
        for name in ["a.zip", "a.zip#1", "b.zip#22", "c#x"] {
            fs::write(folder.join(name), b"x").unwrap();
        }
        let clock = Clock::movable();
        clock.shift(-3_600_000);
        assert_eq!(sweep(directory.path(), clock.now()).unwrap(), 0, "an upload under way is left alone");
        clock.shift(7_200_000);
        assert_eq!(sweep(directory.path(), clock.now()).unwrap(), 2);
        let mut left: Vec<_> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["a.zip", "c#x"]);
    }

    #[test]
    fn the_secret_is_not_shown() {
        let settings: S3Settings = serde_json::from_str(
            r#"{"endpoint":"http://s3","bucket":"b","access_key":"id","secret_key":"top-secret"}"#,
        )
        .unwrap();
        assert!(settings.path_style && !settings.allow_http);
        assert!(!format!("{settings:?}").contains("top-secret"));
    }
}
