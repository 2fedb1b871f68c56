//! A PostgreSQL cluster of our own for one test run: a temporary folder, a free port, gone afterwards.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tools;

pub struct Cluster {
    pub url: String,
    programs: PathBuf,
    folder: PathBuf,
}

/// The newest `initdb` on this machine.
pub fn programs() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = fs_err::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|folder| folder.join("initdb").is_file())
        .collect();
    found.sort();
    found.pop()
}

impl Cluster {
    pub fn start(root: &Path) -> Result<Self, String> {
        let programs = programs().ok_or("no PostgreSQL on this machine")?;
        let folder = std::env::temp_dir().join(format!("loopwright-postgres-{}", std::process::id()));
        fs_err::create_dir_all(&folder).map_err(|error| error.to_string())?;
        if tools::is_root() {
            // PostgreSQL refuses to run as root; Debian's package has a user for it.
            let folder = folder.display().to_string();
            tools::output(tools::command("chown", &["postgres", &folder], root))?;
        }
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(|error| error.to_string())?
            .port();
        let cluster =
            Self { url: format!("postgresql://postgres@127.0.0.1:{port}/postgres"), programs, folder };
        let data = cluster.folder.join("data").display().to_string();
        // Texts in the order of a language, as most installations have them: what relies on the order of bytes shows.
        let language = ["-E", "UTF8", "--locale-provider=icu", "--icu-locale=en-US"];
        let plain = ["-D", &data, "-U", "postgres", "-A", "trust", "--no-sync"];
        tools::output(cluster.program("initdb", &[&plain[..], &language[..]].concat()))?;
        let sockets = cluster.folder.display();
        let options = format!(
            "-p {port} -k {sockets} -c listen_addresses=127.0.0.1 -c max_connections=300 -c shared_buffers=64MB"
        );
        let log = cluster.folder.join("log").display().to_string();
        tools::output(cluster.program("pg_ctl", &["-D", &data, "-l", &log, "-w", "-o", &options, "start"]))?;
        Ok(cluster)
    }

    /// A program of the cluster's, as a user it accepts.
    fn program(&self, name: &str, arguments: &[&str]) -> Command {
        let path = self.programs.join(name).display().to_string();
        if !tools::is_root() {
            return tools::command(&path, arguments, &self.folder);
        }
        let mut all = vec!["-u", "postgres", "--", path.as_str()];
        all.extend(arguments);
        tools::command("runuser", &all, &self.folder)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.folder.join("data").display().to_string();
        // Best effort: the folder is temporary and the port is free for others anyway.
        let _ = tools::output(self.program("pg_ctl", &["-D", &data, "-m", "immediate", "stop"]));
        let _ = fs_err::remove_dir_all(&self.folder);
    }
}
