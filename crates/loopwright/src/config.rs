//! Where things are. Everything has a default; nothing needs a file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use platform_db::DbLocation;

use crate::cli::Place;

#[derive(Debug, Clone)]
pub struct Config {
    pub data_dir: PathBuf,
    pub database: DbLocation,
    pub listen: SocketAddr,
    pub hosts: Vec<String>,
    /// Hosts that webhooks may reach although their address is not public.
    pub webhook_hosts: Vec<String>,
    /// Jobs at the same time.
    pub job_slots: usize,
}

impl Config {
    pub fn from_place(place: &Place) -> std::io::Result<Self> {
        fs_err::create_dir_all(&place.data_dir)?;
        // Jobs run in other folders: paths must not depend on ours.
        let data_dir = fs_err::canonicalize(&place.data_dir)?;
        let database = match &place.database {
            Some(url) => DbLocation::Postgres { url: url.clone() },
            None => DbLocation::Sqlite {
                path: data_dir.join("loopwright.sqlite"),
                durability: place.durability.into(),
            },
        };
        let job_slots = std::thread::available_parallelism().map_or(1, |n| n.get());
        Ok(Self {
            data_dir,
            database,
            listen: place.listen,
            hosts: place.hosts.clone(),
            webhook_hosts: place.webhook_hosts.clone(),
            job_slots,
        })
    }

    pub fn folder(&self, name: &str) -> PathBuf {
        self.data_dir.join(name)
    }
}

/// Who is at this machine, for the audit log.
pub fn local_user() -> String {
    let name = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    format!("local:{}", name.unwrap_or_else(|_| "owner".to_owned()))
}

/// A path as it is written in messages: relative where that is shorter.
pub fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}
