//! Where the files of an experiment lie: in this server's store, or in one that its clients write to by themselves.

use platform_web::mlflow::unquoted;

use crate::ExperimentError;
use crate::artifacts::ArtifactPath;

const FIELD: &str = "artifact_location";
/// Upstream's limit, in characters.
const MAX_LOCATION: usize = 2_048;
/// Leaves room for runs and their files below it.
const MAX_FOLDER: usize = 500;
/// This server's store, as its clients name it.
const STORE: &str = "mlflow-artifacts:/";
/// Stores with a host, a bucket or a container, as the clients' part of MLflow knows them.
const HOSTS: [&str; 10] = ["s3", "r2", "b2", "gs", "wasbs", "abfss", "http", "https", "ftp", "sftp"];
/// Stores whose host may be left to the client's configuration.
const FILE_SYSTEMS: [&str; 3] = ["dbfs", "hdfs", "viewfs"];

/// Where a client wants the files of a new experiment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Location {
    /// As the client wrote it; empty for this server's store, below the number of the experiment.
    pub root: String,
    /// That number, when the client named it.
    number: Option<i64>,
}

impl Location {
    pub fn parse(text: &str) -> Result<Self, ExperimentError> {
        check_secrets(text)?;
        let refused = |rule: &str| Err(ExperimentError::invalid(FIELD, text, rule));
        let plain = unquoted(text);
        if text.chars().chain(plain.chars()).any(char::is_control) {
            return refused("expected no control characters");
        }
        if text.contains(['#', '?', ';']) || plain.contains('\\') {
            return refused("expected no fragment, query or parameter, and no backslash");
        }
        if plain.split('/').any(|part| matches!(part.split(';').next(), Some("." | ".."))) {
            return refused("expected no '.' and no '..' between slashes");
        }
        if let Some(folder) = text.strip_prefix(STORE) {
            return Self::in_store(text, folder.trim_end_matches('/'));
        }
        let (scheme, rest) = text.split_once(':').unwrap_or_default();
        let has_host = rest.strip_prefix("//").is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
        let known = match HOSTS.contains(&scheme) {
            true => has_host,
            false => FILE_SYSTEMS.contains(&scheme) && rest.starts_with('/'),
        };
        if !text.is_empty() && !known {
            let stores = [HOSTS.as_slice(), FILE_SYSTEMS.as_slice()].concat().join(", ");
            let rule = format!(
                "expected no path of this machine, but {STORE}FOLDER or an address in a store: {stores}"
            );
            return refused(&rule);
        }
        Ok(Self { root: text.to_owned(), number: None })
    }

    fn in_store(text: &str, folder: &str) -> Result<Self, ExperimentError> {
        let refused = |rule: String| Err(ExperimentError::invalid(FIELD, text, rule));
        // What is below a number belongs to the experiment with that number, in whatever way it is written.
        if let Ok(number) = folder.split('/').next().unwrap_or_default().parse::<i64>() {
            return match folder == number.to_string() {
                true => Ok(Self { root: String::new(), number: Some(number) }),
                false => refused("a folder that begins with a number is an experiment's own".to_owned()),
            };
        }
        if folder.len() > MAX_FOLDER || folder.contains('%') || ArtifactPath::parse(folder).is_err() {
            return refused(format!(
                "expected {STORE}FOLDER with plain names, at most {MAX_FOLDER} bytes, no host and no '%'"
            ));
        }
        Ok(Self { root: text.to_owned(), number: None })
    }

    /// Whether it is a folder of this server's store that no number leads to.
    pub fn is_folder(&self) -> bool {
        self.root.starts_with(STORE)
    }

    /// A folder above or below that of another experiment would hold files of its runs, and lose its own with them.
    pub fn check_apart(&self, others: &[String]) -> Result<(), ExperimentError> {
        let own = self.root.trim_end_matches('/');
        let is_below =
            |one: &str, other: &str| one.strip_prefix(other).is_some_and(|rest| rest.starts_with('/'));
        match others
            .iter()
            .map(|other| other.trim_end_matches('/'))
            .find(|other| is_below(own, other) || is_below(other, own))
        {
            Some(other) => {
                let rule = format!(
                    "expected a folder neither above nor below {other}, which is another experiment's"
                );
                Err(ExperimentError::invalid(FIELD, self.root.clone(), rule))
            }
            None => Ok(()),
        }
    }

    /// The number that a client named must be the one that the experiment got.
    pub fn check_number(&self, id: i64) -> Result<(), ExperimentError> {
        match self.number {
            Some(number) if number != id => {
                let rule = format!("that is the folder of experiment {number}, and this is another one");
                Err(ExperimentError::invalid(FIELD, format!("{STORE}{number}"), rule))
            }
            _ => Ok(()),
        }
    }
}

/// Neither refusal shows what may be a password.
fn check_secrets(text: &str) -> Result<(), ExperimentError> {
    let (start, rest) = text.split_once("//").unwrap_or((text, ""));
    let refused = |rule: String| {
        let start: String = start.chars().take(32).collect();
        Err(ExperimentError::invalid(FIELD, format!("{start}…"), rule))
    };
    let length = text.chars().count();
    if length > MAX_LOCATION {
        return refused(format!("had length {length}, which exceeded the limit of {MAX_LOCATION}"));
    }
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.rsplit_once('@').is_some_and(|(user, _)| unquoted(user).contains(':')) {
        return refused("expected no user and password: clients bring their own".to_owned());
    }
    Ok(())
}

/// The address of `path` below a root as experiments, runs and logged models keep it, joined as upstream joins them.
pub(crate) fn uri(root: &str, experiment: i64, path: &str) -> String {
    if root.is_empty() {
        return format!("{STORE}{experiment}/{path}");
    }
    let slash = if root.ends_with('/') { "" } else { "/" };
    match root.split_once(":///") {
        // The slashes of a host that is not named go.
        Some((scheme, rest)) if !scheme.contains('/') => format!("{scheme}:/{rest}{slash}{path}"),
        _ => format!("{root}{slash}{path}"),
    }
}

/// The same place among this server's artifacts.
pub(crate) fn folder(root: &str, experiment: i64, path: &str) -> Result<String, ExperimentError> {
    if root.is_empty() {
        return Ok(format!("{experiment}/{path}"));
    }
    match root.strip_prefix(STORE) {
        Some(folder) => Ok(format!("{}/{path}", folder.trim_end_matches('/'))),
        None => Err(ExperimentError::FilesElsewhere { location: uri(root, experiment, path) }),
    }
}

/// The address of the root itself, as an experiment shows it.
pub(crate) fn root_uri(root: &str, experiment: i64) -> String {
    if root.is_empty() { format!("{STORE}{experiment}") } else { root.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_stays_as_it_was_written() {
        for text in [
            "s3://bucket",
            "s3://bucket/a/b/",
            "gs://bucket/a b",
            "abfss://container@account.dfs.core.windows.net/a",
            "wasbs://container@account.blob.core.windows.net/a",
            "https://files.example.org/a%20b",
            "dbfs:/a",
            "hdfs:///a",
            "hdfs://name:9000/a",
            "mlflow-artifacts:/own/folder",
            "mlflow-artifacts:/own/7",
        ] {
            let kept = Location::parse(text).unwrap();
            assert_eq!((kept.root.as_str(), kept.number), (text, None), "{text}");
        }
        assert_eq!(Location::parse("").unwrap(), Location::default());
        let numbered = Location::parse("mlflow-artifacts:/7/").unwrap();
        assert_eq!((numbered.root.as_str(), numbered.number), ("", Some(7)));
        assert!(numbered.check_number(7).is_ok() && numbered.check_number(8).is_err());
    }

    #[test]
    fn what_may_not_be_kept_is_refused() {
        let folder = format!("mlflow-artifacts:/{}", "x".repeat(501));
        let long = format!("s3://{}", "x".repeat(2_048));
        for text in [
            "/etc/x",
            "x",
            "x/y",
            "~/x",
            "C:\\x",
            "C:/x",
            "\\\\host\\share",
            " s3://bucket",
            "file:///etc/x",
            "FiLe:/etc/x",
            "file:x",
            "runs:/a/b",
            "models:/a/1",
            "s3:bucket",
            "s3:///a",
            "http:/a",
            "javascript:/a",
            "s3://bucket/a#b",
            "s3://bucket/a?b=c",
            "s3://bucket/a;b",
            "s3://bucket/../a",
            "s3://bucket/./a",
            "s3://bucket/%2e%2e/a",
            "s3://bucket/..%25252fa",
            "s3://bucket/a%5cb",
            "s3://bucket/a\nb",
            "s3://bucket/a%00b",
            "https://ada:secret@example.org/a",
            "https://ada%3asecret@example.org/a",
            "mlflow-artifacts:",
            "mlflow-artifacts:/",
            "mlflow-artifacts:own",
            "mlflow-artifacts://host/own",
            "mlflow-artifacts:///own",
            "mlflow-artifacts:/own//x",
            "mlflow-artifacts:/%37/x",
            "mlflow-artifacts:/7/x",
            "mlflow-artifacts:/07",
            "mlflow-artifacts:/+7",
            folder.as_str(),
            long.as_str(),
        ] {
            let refused = Location::parse(text).unwrap_err().to_string();
            assert!(!refused.contains("secret"), "{refused}");
        }
    }

    #[test]
    fn paths_are_joined_as_upstream_joins_them() {
        for (root, expected) in [
            ("", "mlflow-artifacts:/3/id/artifacts"),
            ("s3://bucket", "s3://bucket/id/artifacts"),
            ("s3://bucket/", "s3://bucket/id/artifacts"),
            ("s3://bucket/a//", "s3://bucket/a//id/artifacts"),
            ("hdfs:///a", "hdfs:/a/id/artifacts"),
            ("hdfs://name:9000/a", "hdfs://name:9000/a/id/artifacts"),
            ("dbfs:/", "dbfs:/id/artifacts"),
            ("mlflow-artifacts:/own/", "mlflow-artifacts:/own/id/artifacts"),
        ] {
            assert_eq!(uri(root, 3, "id/artifacts"), expected);
        }
        assert_eq!(folder("", 3, "id").unwrap(), "3/id");
        assert_eq!(folder("mlflow-artifacts:/own/", 3, "id").unwrap(), "own/id");
        assert!(folder("s3://bucket", 3, "id").is_err());
        assert_eq!(root_uri("", 3), "mlflow-artifacts:/3");
    }
}
