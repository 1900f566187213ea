//! What a test leaves on the machine, at the latest when it fails: containers, sockets, and mounts below its
//! directory.

use std::process::Command;

use shuyu::cli::assembly;
use shuyu::config::Settings;

/// Containers of an installation.
pub fn containers(settings: &Settings) -> Vec<String> {
    let instance = assembly::instance_of(settings).unwrap();
    let filter = format!("label=shuyu.instance={instance}");
    let listed = Command::new("docker").args(["ps", "-aq", "--filter", &filter]).output().unwrap();
    String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Removes an installation's containers, its sockets, and unmounts what lies below its data and work directories.
pub fn clear(settings: &Settings) {
    for container in containers(settings) {
        let _ = Command::new("docker").args(["rm", "-f", &container]).output();
    }
    let names = [&settings.data_dir, &settings.work_dir].map(|directory| directory.display().to_string());
    let table = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(1));
    for mount in points.filter(|point| names.iter().any(|name| point.contains(name))) {
        let _ = Command::new("umount").args(["-l", mount]).output();
    }
    // the sockets of relays lie elsewhere: their paths have to be short
    let instance = assembly::instance_of(settings).unwrap();
    let _ = std::fs::remove_dir_all(std::path::Path::new("/run/shuyu").join(instance));
}
