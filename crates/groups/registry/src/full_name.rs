//! The name of a model in the whole product: `WORKSPACE/NAME`, in the default workspace `NAME` alone. What clients give holds
//! no `/`.

use platform_web::mlflow::DEFAULT_WORKSPACE;

pub fn full_name(workspace: &str, name: &str) -> String {
    match workspace {
        DEFAULT_WORKSPACE => name.to_owned(),
        workspace => format!("{workspace}/{name}"),
    }
}

/// The workspace of a model, and its name in it.
pub fn split_name(full: &str) -> (&str, &str) {
    full.split_once('/').unwrap_or((DEFAULT_WORKSPACE, full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_split_as_it_was_made() {
        for (workspace, name, full) in [("default", "churn", "churn"), ("team-a", "churn", "team-a/churn")] {
            assert_eq!(full_name(workspace, name), full);
            assert_eq!(split_name(full), (workspace, name));
        }
    }
}
