//! Where the client keeps which server it is logged in to: `~/.config/shuyu/credentials`, readable by
//! its owner alone. `SHUYU_SERVER` and `SHUYU_TOKEN` win over it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// A login that was made.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Credentials {
    /// Address of the server.
    pub server: String,
    /// Who logged in.
    pub login: String,
    /// The token's id.
    pub id: String,
    /// The token.
    pub token: String,
}

fn file() -> Result<PathBuf> {
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    let config = config.or_else(home).context("neither XDG_CONFIG_HOME nor HOME is set")?;
    Ok(config.join("shuyu").join("credentials"))
}

impl Credentials {
    /// Those kept, if there are any.
    pub fn load() -> Result<Option<Self>> {
        let file = file()?;
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        };
        let kept = serde_json::from_str(&text);
        kept.map(Some).with_context(|| format!("{} is damaged; log in again", file.display()))
    }

    /// Keeps them, in place of earlier ones.
    pub fn store(&self) -> Result<PathBuf> {
        let file = file()?;
        let folder = file.parent().context("the credentials have no folder")?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        // a new file, so that its mode is ours from the first byte
        let part = file.with_extension("part");
        let _ = fs::remove_file(&part);
        let mut out = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&part)
            .with_context(|| format!("cannot write {}", part.display()))?;
        serde_json::to_writer_pretty(&mut out, self)?;
        out.write_all(b"\n")?;
        fs::rename(&part, &file).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }

    /// Forgets them.
    pub fn forget() -> Result<()> {
        let file = file()?;
        match fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", file.display()))
            }
            _ => Ok(()),
        }
    }
}
