//! What to say of a file that has not the shape of a loop file.

use serde_saphyr::{Error, MessageFormatter, UserMessageFormatter};

use crate::Problem;
use crate::locate::{Place, Places, around};

pub(crate) fn problem(text: &str, error: &Error) -> Problem {
    let at = error.location().map_or((0, 0), |location| (location.line(), location.column()));
    let cause = original(error);
    let places = Places::of(text);
    let key = match cause {
        // It is told at a key beside the missing one, or at the start of the block.
        Error::SerdeMissingField { .. } => match places.key_at(at) {
            Some(place) => around(&place.path),
            None => places.value_at(at).map_or("", |place| place.path.as_str()),
        },
        Error::SerdeUnknownField { .. } => places.key_at(at).map_or("", |place| place.path.as_str()),
        _ => place_of(cause, &places, at).map_or("", |place| place.path.as_str()),
    };
    let message = match cause {
        Error::InvalidScalar { ty, .. } => format!("invalid {}", plain_type(ty)),
        _ => UserMessageFormatter.format_message(cause).into_owned(),
    };
    let is_about_value = matches!(
        cause,
        Error::InvalidScalar { .. } | Error::InvalidBooleanStrict { .. } | Error::Unexpected { .. }
    );
    let rule = match places.value_at(at).filter(|_| is_about_value) {
        Some(place) => format!("{message}, found {}", place.found),
        None => message,
    };
    // A key or a value may hold what would move the cursor of a terminal.
    Problem { line: at.0, key: key.to_owned(), rule: rule.replace(char::is_control, " ") }
}

fn place_of<'p>(cause: &Error, places: &'p Places, at: (u64, u64)) -> Option<&'p Place> {
    let exact = match cause {
        // A list or a mapping where a value was expected, or the other way round.
        Error::Unexpected { .. } => places.value_at(at),
        _ => places.scalar_at(at).or_else(|| places.value_at(at)),
    };
    exact.or_else(|| places.near(at))
}

/// The error without the wrappings that repeat its place.
fn original(mut error: &Error) -> &Error {
    while let Error::AliasError { error: inner, .. } | Error::WithSnippet { error: inner, .. } = error {
        error = inner;
    }
    error
}

/// The words of people who do not write Rust.
fn plain_type(name: &str) -> &str {
    match name {
        "floating point" => "number",
        _ if name.starts_with(['i', 'u']) => "whole number",
        other => other,
    }
}
