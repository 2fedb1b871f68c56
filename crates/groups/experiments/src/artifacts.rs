//! Paths of artifacts: data in a table, never joined to a path on disk.

use platform_web::mlflow::unquoted;

use crate::ExperimentError;

const MAX_PATH: usize = 1_000;

/// A checked, relative path with plain parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ArtifactPath(String);

impl ArtifactPath {
    pub(crate) fn parse(text: &str) -> Result<Self, ExperimentError> {
        // A client unquotes what it is told, and refuses the whole run when something hostile comes out.
        if text.len() > MAX_PATH || is_hostile(text) || is_hostile(&unquoted(text)) {
            return Err(ExperimentError::HostilePath { path: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder it lies in; empty at the top.
    pub(crate) fn folder(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// Every folder above it with that folder's parent, nearest first.
    pub(crate) fn ancestors(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        let mut folder = self.folder();
        while !folder.is_empty() {
            let parent = folder.rsplit_once('/').map_or("", |(parent, _)| parent);
            all.push((folder.to_owned(), parent.to_owned()));
            folder = parent;
        }
        all
    }
}

fn is_hostile(path: &str) -> bool {
    // What follows a semicolon is a parameter of the part to some readers of URLs.
    let bad_part = |part: &str| matches!(part.split(';').next(), Some("" | "." | ".."));
    let scheme = path.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("file:"));
    scheme
        || path.contains(['\\', '\0', '\n', '\r', '#'])
        || path.contains("://")
        || path.split('/').any(bad_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_paths_are_refused() {
        for path in [
            "../x",
            "a/../b",
            "/etc/passwd",
            "a//b",
            "a\\b",
            "",
            ".",
            "a/%2e%2e/b",
            "file:///etc/passwd",
            "a\0b",
            "%252E%252e/x",
            "a%255Cb",
            "..;/x",
            "a#b",
            "FILE:x",
        ] {
            assert!(ArtifactPath::parse(path).is_err(), "{path:?}");
        }
        let path = ArtifactPath::parse("1/run/artifacts/model/MLmodel").unwrap();
        assert_eq!(path.folder(), "1/run/artifacts/model");
        assert_eq!(path.ancestors().len(), 4);
        assert_eq!(path.ancestors()[3], ("1".to_owned(), String::new()));
    }
}
