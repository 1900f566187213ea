//! An app's files as a container sees them: its own, and the wheels that it brings, where machine code can run.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{Manifest, Start};
use crate::contest::packages;
use crate::submission::model::Reason;

/// Where a container sees the app's own files.
pub const PROGRAM: &str = "/app/program";
/// Where it sees what its wheels install.
pub const WHEELS: &str = "/app/wheels";

/// Where an app's own files lie below `area`.
pub fn program_in(area: &Path) -> PathBuf {
    area.join("program")
}

/// Where what its wheels install lies below `area`.
pub fn wheels_in(area: &Path) -> PathBuf {
    area.join("wheels")
}

/// Lays an app's unpacked zip out below `area`, an empty directory. The inner error is a fault of the upload.
///
/// # Errors
/// When the file system refuses.
pub fn lay_out(from: &Path, area: &Path, manifest: &Manifest) -> io::Result<Result<(), Reason>> {
    let (program, wheels) = (program_in(area), wheels_in(area));
    for directory in [&program, &wheels] {
        fs::create_dir(directory)?;
    }
    copy(from, &program)?;
    if let Some(file) = manifest.program() {
        let path = program.join(file);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() => fs::set_permissions(&path, Permissions::from_mode(0o755))?,
            _ => {
                let text = format!(
                    "app.yaml runs `{file}`, and there is no such file in the zip; correct `command`"
                );
                return Ok(Err(Reason::new("app-command", text)));
            }
        }
    }
    if let Start::Files(folder) = &manifest.start
        && !program.join(folder).is_dir()
    {
        let text =
            format!("app.yaml serves `{folder}`, and there is no such folder in the zip; correct `static`");
        return Ok(Err(Reason::new("app-static", text)));
    }
    for wheel in &manifest.wheels {
        if let Err(why) = install(&program.join(wheel), &wheels) {
            let text = format!("the wheel `{wheel}`, which app.yaml names, is refused: {why}");
            return Ok(Err(Reason::new("app-wheel", text)));
        }
    }
    Ok(Ok(()))
}

fn install(wheel: &Path, wheels: &Path) -> Result<(), String> {
    let name = wheel.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let file =
        File::open(wheel).map_err(|_| "it is not in the zip; add it, or correct the path".to_owned())?;
    packages::lay_out_wheel(file, &name, wheels).map_err(|error| error.to_string())
}

/// Copies regular files; there is nothing else in what was unpacked.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            fs::create_dir(&target)?;
            fs::set_permissions(&target, Permissions::from_mode(0o755))?;
            copy(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
