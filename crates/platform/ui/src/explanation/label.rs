//! Texts that fit: how wide they are about, where they are cut, where they break.

/// Size of the type in the style sheet, in units of the picture.
pub(super) const TYPE: f64 = 12.5;

/// A text as it is drawn, and the whole of it where it was cut.
pub(super) struct Label {
    pub(super) shown: String,
    pub(super) whole: Option<String>,
}

impl Label {
    pub(super) fn whole(text: &str) -> Self {
        Self { shown: clean(text), whole: None }
    }

    /// `text`, cut with an ellipsis where it is wider than `room`.
    pub(super) fn fitted(text: &str, room: f64) -> Self {
        let text = clean(text);
        if width(&text) <= room {
            return Self { shown: text, whole: None };
        }
        let mut left = room - width("…");
        let kept = text.chars().take_while(|letter| {
            left -= em(*letter) * TYPE;
            left >= 0.0
        });
        let shown = format!("{}…", kept.collect::<String>().trim_end());
        Self { shown, whole: Some(text) }
    }
}

/// XML knows no control characters, and a line break is none in a label.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|letter| if legal(letter) { letter } else { ' ' }).collect()
}

fn legal(letter: char) -> bool {
    !letter.is_control() && !matches!(letter, '\u{FFFE}' | '\u{FFFF}')
}

/// Units that `text` takes, a little generous: which font draws it is the reader's choice.
pub(super) fn width(text: &str) -> f64 {
    text.chars().map(em).sum::<f64>() * TYPE
}

fn em(letter: char) -> f64 {
    match letter {
        'i' | 'j' | 'l' | 'I' | '|' | '\'' | '.' | ',' | ':' | ';' | '!' => 0.34,
        'f' | 't' | 'r' | ' ' | '(' | ')' | '[' | ']' | '-' | '–' => 0.43,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' | '+' | '=' => 0.92,
        'A'..='Z' => 0.72,
        '\u{300}'..='\u{36F}' | '\u{200B}'..='\u{200F}' => 0.0,
        // From Hangul on, scripts are as wide as they are high.
        '\u{1100}'.. => 1.05,
        _ => 0.64,
    }
}

/// Lines no wider than `room`, broken at spaces; a longer word stands alone and is cut.
pub(super) fn wrapped(text: &str, room: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in clean(text).split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line) + width(" ") + width(word) <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(Label::fitted(word, room).shown),
        }
    }
    lines
}

/// `1 row`, `2 rows`, `10,000 rows`.
pub(super) fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", crate::format::count(number as u64), if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_and_kept_whole_beside() {
        for (text, room, shown, is_cut) in [
            ("age", 100.0, "age", false),
            ("number_of_previous_inquiries", 80.0, "number_o…", true),
            ("", 0.0, "", false),
            ("日本語の列", 40.0, "日本…", true),
            ("a\u{0}b\nc", 100.0, "a b c", false),
            ("x", -5.0, "…", true),
        ] {
            let label = Label::fitted(text, room);
            assert_eq!((label.shown.as_str(), label.whole.is_some()), (shown, is_cut), "{text}");
        }
    }

    #[test]
    fn notes_break_at_spaces() {
        assert_eq!(wrapped("one two three", width("one two ")), ["one two", "three"]);
        assert_eq!(wrapped("", 100.0), [""; 0]);
        assert_eq!(counted(1, "row", "rows"), "1 row");
        assert_eq!(counted(10_000, "row", "rows"), "10,000 rows");
    }
}
