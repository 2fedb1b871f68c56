//! Page tokens: opaque to clients, a place in a list to us.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::TraceError;
use crate::store::Position;

/// Deeper pages of an order that no index has are refused: each page sorts everything before it.
const MAX_OFFSET: usize = 1_000_000;

pub(crate) fn token(position: &Position) -> String {
    let text = match position {
        Position::Key { request_ms, trace_id } => format!("k{request_ms}:{trace_id}"),
        Position::Offset(offset) => format!("o{offset}"),
    };
    URL_SAFE_NO_PAD.encode(text)
}

/// `by_key` says which kind of token the order goes with.
pub(crate) fn position(token: &str, by_key: bool) -> Result<Position, TraceError> {
    let bytes = URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
    let text = String::from_utf8(bytes).unwrap_or_default();
    let found = if by_key {
        text.strip_prefix('k').and_then(|text| text.split_once(':')).and_then(|(at, trace_id)| {
            Some(Position::Key { request_ms: at.parse().ok()?, trace_id: trace_id.to_owned() })
        })
    } else {
        let offset = text.strip_prefix('o').and_then(|text| text.parse().ok());
        offset.filter(|offset| *offset <= MAX_OFFSET).map(Position::Offset)
    };
    found.ok_or_else(|| {
        TraceError::invalid(
            "page_token",
            token,
            "Invalid page token: expected one from a search in this order",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_say_what_they_were_made_of() {
        let key = Position::Key { request_ms: -5, trace_id: "tr-a:b".to_owned() };
        assert_eq!(position(&token(&key), true).unwrap(), key);
        assert_eq!(position(&token(&Position::Offset(7)), false).unwrap(), Position::Offset(7));
        for (text, by_key) in [("", true), ("!", false), (token(&key).as_str(), false)] {
            assert!(position(text, by_key).is_err(), "{text}");
        }
    }
}
