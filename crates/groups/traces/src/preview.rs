//! The first thousand characters of what went into a trace and came out, for lists.

use serde_json::Value;

const MAX_CHARS: usize = 1_000;

/// The text of the last message by `role`, where `text` holds a chat in one of the usual forms; else `text` itself.
pub(crate) fn preview(text: &str, role: &str) -> String {
    let message = serde_json::from_str::<Value>(text).ok().and_then(|value| {
        let messages = messages(&value)?;
        let last = messages.iter().rev().find(|message| message["role"] == role).or(messages.last())?;
        content(last)
    });
    let shown = message.filter(|text| !text.is_empty()).unwrap_or_else(|| text.to_owned());
    // The database holds no NUL.
    let shown = shown.replace('\0', "");
    if shown.chars().count() <= MAX_CHARS {
        return shown;
    }
    shown.chars().take(MAX_CHARS - 3).chain("...".chars()).collect()
}

fn messages(value: &Value) -> Option<Vec<&Value>> {
    let is_message = |value: &&Value| value.get("role").is_some() && value.get("content").is_some();
    for key in ["messages", "input", "output"] {
        if let Some(list) = value.get(key).and_then(Value::as_array).filter(|list| !list.is_empty()) {
            return Some(list.iter().filter(is_message).collect());
        }
    }
    let choice =
        value.get("choices").and_then(|choices| choices.get(0)).and_then(|first| first.get("message"));
    if let Some(message) = choice.filter(is_message) {
        return Some(vec![message]);
    }
    messages(value.get("request")?)
}

fn content(message: &Value) -> Option<String> {
    match &message["content"] {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => parts.iter().find_map(|part| match part {
            Value::String(text) => Some(text.clone()),
            part if part["type"] == "text" || part["type"] == "output_text" => {
                part["text"].as_str().map(str::to_owned)
            }
            _ => None,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chats_show_their_last_message() {
        for (text, role, shown) in [
            (
                r#"{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"yo"}]}"#,
                "user",
                "hi",
            ),
            (r#"{"choices":[{"message":{"role":"assistant","content":"yo"}}]}"#, "assistant", "yo"),
            (
                r#"{"request":{"input":[{"role":"user","content":[{"type":"text","text":"a"}]}]}}"#,
                "user",
                "a",
            ),
            (r#"{"a": 1}"#, "user", r#"{"a": 1}"#),
            ("plain", "user", "plain"),
        ] {
            assert_eq!(preview(text, role), shown);
        }
        let long = preview(&"ü".repeat(2_000), "user");
        assert_eq!(long.chars().count(), 1_000);
        assert!(long.ends_with("..."));
    }
}
