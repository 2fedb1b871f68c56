//! Which workspace a request is about: the one in the header `X-MLFLOW-WORKSPACE`, else the default one.

use std::sync::{Arc, LazyLock};

use axum::extract::{FromRequestParts, Request};
use axum::response::Response;
use http::request::Parts;
use http::{Extensions, HeaderMap};
use platform_primitives::{ErrorKind, Failure};
use tower::util::MapRequestLayer;

use crate::dialect::Dialect;
use crate::edge::route_dialect;
use crate::routes::Surface;

pub const WORKSPACE_HEADER: &str = "x-mlflow-workspace";
/// It is always there.
pub const DEFAULT_WORKSPACE: &str = "default";

static DEFAULT: LazyLock<Arc<str>> = LazyLock::new(|| DEFAULT_WORKSPACE.into());

/// Whether there is a workspace of a name; asked with every request that names one, so from memory.
pub type KnownWorkspaces = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// What the header came to. The guard of a route judges it, after it has judged the caller.
#[derive(Clone)]
pub(crate) struct Asked(Result<Arc<str>, Failure>);

/// The workspace of the request, in handlers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace(Arc<str>);

impl Workspace {
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Workspace {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let failure = match parts.extensions.get::<Asked>() {
            Some(Asked(Ok(name))) => return Ok(Self(Arc::clone(name))),
            Some(Asked(Err(failure))) => failure.clone(),
            // A header that nobody looked up must not pass for the default workspace.
            None if parts.headers.contains_key(WORKSPACE_HEADER) => {
                Failure::new(ErrorKind::Internal, "web/no-workspace", "the workspace was not looked up")
            }
            None => return Ok(Self(Arc::clone(&DEFAULT))),
        };
        Err(route_dialect(&parts.extensions).render(&failure))
    }
}

/// A service that can be narrowed to what lies in one workspace.
pub trait Within {
    fn within(&self, workspace: &str) -> Self;
}

/// The state of routes whose handlers see one workspace: they reach the service by [`Scoped`], and in no other way.
#[derive(Clone)]
pub struct Unscoped<T>(T);

impl<T> Unscoped<T> {
    pub fn new(service: T) -> Self {
        Self(service)
    }
}

/// The service as the workspace of the request sees it.
pub struct Scoped<T>(pub T);

impl<T: Within + Send + Sync> FromRequestParts<Unscoped<T>> for Scoped<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &Unscoped<T>) -> Result<Self, Self::Rejection> {
        let workspace = Workspace::from_request_parts(parts, state).await?;
        Ok(Self(state.0.within(workspace.name())))
    }
}

impl Surface {
    /// Looks up the workspace that a request to these routes names.
    pub fn among(self, known: KnownWorkspaces) -> Self {
        let look_up = MapRequestLayer::new(move |mut request: Request| {
            if let Some(asked) = asked(request.headers(), &known) {
                request.extensions_mut().insert(asked);
            }
            request
        });
        Self { router: self.router.layer(look_up), table: self.table }
    }
}

/// `None` without the header: the usual case costs one look.
fn asked(headers: &HeaderMap, known: &KnownWorkspaces) -> Option<Asked> {
    let first = headers.get(WORKSPACE_HEADER)?;
    let invalid = |message: &str| Failure::new(ErrorKind::Invalid, "web/workspace-name", message);
    if headers.get_all(WORKSPACE_HEADER).iter().any(|other| other != first) {
        return Some(Asked(Err(invalid("the request names two workspaces"))));
    }
    let Ok(text) = first.to_str() else {
        return Some(Asked(Err(invalid("the name of the workspace is no text"))));
    };
    Some(Asked(match text.trim() {
        "" | DEFAULT_WORKSPACE => Ok(Arc::clone(&DEFAULT)),
        name => check_workspace_name(name).and_then(|()| match (**known)(name) {
            true => Ok(name.into()),
            false => Err(no_workspace(name)),
        }),
    }))
}

pub(crate) fn refusal(dialect: Dialect, extensions: &Extensions) -> Option<Failure> {
    match extensions.get::<Asked>() {
        Some(Asked(Err(failure))) if dialect == Dialect::Mlflow => Some(failure.clone()),
        _ => None,
    }
}

pub fn no_workspace(name: &str) -> Failure {
    let message = format!("Workspace '{name}' not found");
    Failure::new(ErrorKind::NotFound, "web/workspace-not-found", message)
}

/// What a name is allowed to be, by MLflow's rule. `default` keeps to it.
pub fn check_workspace_name(name: &str) -> Result<(), Failure> {
    const LENGTHS: std::ops::RangeInclusive<usize> = 2..=63;
    const RESERVED: [&str; 4] = ["workspaces", "api", "ajax-api", "static-files"];
    let is_plain = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    let rule = if !LENGTHS.contains(&name.chars().count()) {
        "must be between 2 and 63 characters"
    } else if !is_plain || name.starts_with('-') || name.ends_with('-') || name.contains("--") {
        "must match the pattern of lower-case letters and digits, with single hyphens inside"
    } else if RESERVED.contains(&name) {
        "is reserved and cannot be used"
    } else {
        return Ok(());
    };
    let shown: String = name.chars().take(80).collect();
    let message = format!("Workspace name '{shown}' {rule}.");
    Err(Failure::new(ErrorKind::Invalid, "web/workspace-name", message))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use platform_primitives::Fault as _;

    use super::*;

    #[test]
    fn names_are_words_between_single_hyphens() {
        for name in ["default", "team-a", "a1", "0-0", &"a".repeat(63)] {
            assert!(check_workspace_name(name).is_ok(), "{name}");
        }
        for name in
            ["", "a", "Team", "team_a", "-a", "a-", "a--b", "a/b", "ä1", "api", "workspaces", &"a".repeat(64)]
        {
            assert!(check_workspace_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn the_header_names_a_workspace_that_there_is_or_nothing() {
        let known: KnownWorkspaces = Arc::new(|name: &str| name == "team-a");
        let look_up = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                // Header values are bytes: here one for each letter.
                let bytes: Vec<u8> = value.chars().map(|letter| letter as u8).collect();
                headers.append(WORKSPACE_HEADER, HeaderValue::from_bytes(&bytes).unwrap());
            }
            asked(&headers, &known).map(|Asked(outcome)| outcome.map_err(|failure| failure.kind()))
        };
        assert_eq!(look_up(&[]), None);
        for (values, name) in [
            (vec![""], "default"),
            (vec!["  "], "default"),
            (vec!["default"], "default"),
            (vec![" team-a "], "team-a"),
            (vec!["team-a", "team-a"], "team-a"),
        ] {
            assert_eq!(look_up(&values), Some(Ok(Arc::from(name))), "{values:?}");
        }
        assert_eq!(look_up(&["team-b"]), Some(Err(ErrorKind::NotFound)));
        for values in [vec!["Team"], vec!["\u{ff}\u{fe}"], vec!["team-a", "default"]] {
            assert_eq!(look_up(&values), Some(Err(ErrorKind::Invalid)), "{values:?}");
        }
    }
}
