//! Running programs and installing what is missing.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A command in the repository's folder. Only this tool and the jobs crate start processes.
#[allow(clippy::disallowed_methods)]
pub fn command(program: &str, arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    command
}

pub fn succeeds(mut command: Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}

/// Output of a command that must succeed.
pub fn output(mut command: Command) -> Result<Output, String> {
    let shown = format!("{command:?}");
    let output = command.output().map_err(|error| format!("{shown}: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    Err(format!(
        "{shown} failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}

pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

pub fn is_root() -> bool {
    // The owner of this process's own folder under /proc is its effective user.
    use std::os::unix::fs::MetadataExt;
    fs_err::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// `uv`, from PyPI when it is not there.
pub fn ensure_uv(root: &Path) -> Result<(), String> {
    if on_path("uv").is_some() {
        return Ok(());
    }
    println!("installing uv");
    let install = command("python3", &["-m", "pip", "install", "--quiet", "uv"], root);
    if succeeds(install) && on_path("uv").is_some() {
        return Ok(());
    }
    Err("uv is not on PATH and `python3 -m pip install uv` did not help".to_owned())
}

/// Debian packages, installed as root when `present` says that one is missing.
pub fn ensure_packages(root: &Path, packages: &[&str], present: impl Fn() -> bool) -> Result<(), String> {
    if present() {
        return Ok(());
    }
    let missing =
        || format!("needed: {}; install with: apt-get install {}", packages.join(", "), packages.join(" "));
    if !is_root() || on_path("apt-get").is_none() {
        return Err(missing());
    }
    println!("installing {}", packages.join(", "));
    if !succeeds(command("apt-get", &["update", "-qq"], root)) {
        return Err(missing());
    }
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(packages);
    let mut install = command("apt-get", &arguments, root);
    install.env("DEBIAN_FRONTEND", "noninteractive").stdout(std::process::Stdio::null());
    if succeeds(install) && present() { Ok(()) } else { Err(missing()) }
}
