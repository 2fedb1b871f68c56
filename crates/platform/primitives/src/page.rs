//! Keyset pages: a list is always read in bounded pieces.

use serde::Serialize;

/// How much of a list, and after which key.
#[derive(Debug, Clone)]
pub struct PageRequest {
    pub limit: usize,
    pub after: Option<String>,
}

impl PageRequest {
    pub const MAX: usize = 1_000;

    /// The first `limit` items, at most [`PageRequest::MAX`].
    pub fn first(limit: usize) -> Self {
        Self { limit: limit.clamp(1, Self::MAX), after: None }
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Key to ask for the next page with; absent on the last one.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Builds a page from up to `limit + 1` items: the surplus item only tells that there is more.
    pub fn from_surplus(mut items: Vec<T>, limit: usize, key: impl Fn(&T) -> String) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(&key) } else { None };
        Self { items, next }
    }
}
