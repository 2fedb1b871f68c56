//! What names, tags and aliases may look like, on every surface.

use std::collections::BTreeMap;

use platform_web::mlflow::{DEFAULT_WORKSPACE, check_workspace_name};

use crate::RegistryError;

/// Keys that the platform writes and no client does: an approval cannot be forged as a tag.
const RESERVED_TAGS: &str = "loopwright.";
/// Marks a model that holds a prompt, for MLflow's clients.
pub(crate) const PROMPT_TAG: &str = "mlflow.prompt.is_prompt";
const PROMPT_TEXT_TAG: &str = "mlflow.prompt.text";

const MAX_NAME_CHARS: usize = 256;
const MAX_TAG_KEY_CHARS: usize = 250;
const MAX_TAG_VALUE_CHARS: usize = 100_000;
const MAX_ALIAS_CHARS: usize = 255;

/// A model's name in the whole product, from inside: one workspace may stand before it.
pub(crate) fn check_full_name(field: &'static str, name: &str) -> Result<(), RegistryError> {
    match name.split_once('/') {
        None => check_model_name(field, name),
        Some((workspace, plain))
            if workspace != DEFAULT_WORKSPACE && check_workspace_name(workspace).is_ok() =>
        {
            check_model_name(field, plain)
        }
        Some(_) => Err(RegistryError::ModelName { name: name.to_owned() }),
    }
}

/// A model's name as clients give it.
pub(crate) fn check_model_name(field: &'static str, name: &str) -> Result<(), RegistryError> {
    if name.trim().is_empty() {
        return Err(RegistryError::Missing { field });
    }
    if name.contains(['/', ':']) {
        return Err(RegistryError::ModelName { name: name.to_owned() });
    }
    if name == "." || name.starts_with("..") {
        let rule = "a name must not read as a path".to_owned();
        return Err(RegistryError::Invalid { field, value: name.to_owned(), rule });
    }
    check_length(field, name, MAX_NAME_CHARS)
}

/// Word characters and hyphens.
pub(crate) fn check_alias(alias: &str) -> Result<(), RegistryError> {
    let wrong = |rule: &'static str| Err(RegistryError::Alias { alias: alias.to_owned(), rule });
    if alias.is_empty() {
        return wrong("it cannot be empty");
    }
    if !alias.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-')) {
        return wrong("expected letters, digits, _ and -");
    }
    check_length("alias", alias, MAX_ALIAS_CHARS)
}

/// What reads as `latest` or as a version's number has a meaning already.
pub(crate) fn check_new_alias(alias: &str) -> Result<(), RegistryError> {
    check_alias(alias)?;
    let digits = alias.strip_prefix(['v', 'V']);
    let is_version = digits.is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()));
    if is_latest(alias) || is_version {
        let rule = "latest, in any case, and vNUMBER are reserved";
        return Err(RegistryError::Alias { alias: alias.to_owned(), rule });
    }
    Ok(())
}

/// Not an alias anybody set: the newest version.
pub(crate) fn is_latest(alias: &str) -> bool {
    alias.eq_ignore_ascii_case("latest")
}

pub(crate) fn check_tag(key: &str, value: &str) -> Result<(), RegistryError> {
    check_tag_key(key)?;
    check_length("key", key, MAX_TAG_KEY_CHARS)?;
    let field = if key == PROMPT_TEXT_TAG { "prompt text" } else { "value" };
    check_length(field, value, MAX_TAG_VALUE_CHARS)
}

pub(crate) fn check_tag_key(key: &str) -> Result<(), RegistryError> {
    let wrong = |rule: &str| {
        Err(RegistryError::Invalid { field: "key", value: key.to_owned(), rule: rule.to_owned() })
    };
    if is_reserved(key) {
        return Err(RegistryError::ReservedTag { key: key.to_owned() });
    }
    if !key.chars().all(|c| c.is_alphanumeric() || "_/.- :".contains(c)) {
        return wrong("expected letters, digits, _, -, ., space, : and /");
    }
    if key.starts_with("..") || key.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return wrong("a key must not read as a path to another key");
    }
    Ok(())
}

pub(crate) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), RegistryError> {
    tags.iter().try_for_each(|(key, value)| check_tag(key, value))
}

pub(crate) fn is_reserved(key: &str) -> bool {
    key.starts_with(RESERVED_TAGS)
}

pub(crate) fn is_prompt(tags: &BTreeMap<String, String>) -> bool {
    tags.get(PROMPT_TAG).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

pub(crate) fn check_length(field: &'static str, text: &str, limit: usize) -> Result<(), RegistryError> {
    // Characters are at most bytes: a short text needs no count.
    if text.len() > limit && text.chars().count() > limit {
        return Err(RegistryError::TooLong { field, limit });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_aliases_are_refused() {
        for alias in ["latest", "Latest", "v12", "V1", "", "a b", "a/b", &"a".repeat(256)] {
            assert!(check_new_alias(alias).is_err(), "{alias}");
        }
        for alias in ["champion", "v", "v1x", "Übung", &"a".repeat(255)] {
            assert!(check_new_alias(alias).is_ok(), "{alias}");
        }
    }

    #[test]
    fn keys_are_words_and_not_paths() {
        for key in ["", "a//b", "/a", "a/", "./a", "a/../b", "..", "..a", "a$", "loopwright.approval"] {
            assert!(check_tag(key, "x").is_err(), "{key}");
        }
        for key in ["a", "a b", "a/b", "mlflow.prompt.text", "k:1", "größe", "loopwright"] {
            assert!(check_tag(key, "x").is_ok(), "{key}");
        }
        let (long, longer) = ("ß".repeat(250), "ß".repeat(251));
        assert!(check_tag(&long, "").is_ok());
        assert!(matches!(check_tag(&longer, ""), Err(RegistryError::TooLong { field: "key", limit: 250 })));
        assert!(check_tag("k", &"x".repeat(100_000)).is_ok());
        assert!(check_tag("k", &"x".repeat(100_001)).is_err());
    }

    #[test]
    fn model_names_hold_no_separator() {
        for name in ["", "  ", "a/b", "a:b", ".", "..", &"a".repeat(257)] {
            assert!(check_model_name("name", name).is_err(), "{name}");
        }
        for name in ["a", "UpdateRMTest 2", ".hidden", "größe"] {
            assert!(check_model_name("name", name).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_full_name_holds_one_workspace_at_most() {
        for name in ["a", "team-a/a", "team-a/UpdateRMTest 2"] {
            assert!(check_full_name("name", name).is_ok(), "{name}");
        }
        for name in ["default/a", "team-a/b/c", "Team/a", "/a", "team-a/", "team-a/..", "team-a/a:b", "a:b"] {
            assert!(check_full_name("name", name).is_err(), "{name}");
        }
    }
}
