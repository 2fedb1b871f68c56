//! Numbers, texts and comments as each language writes them.

use std::fmt::Write;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    C,
    Rust,
    Go,
    Java,
    TypeScript,
    Python,
}

/// Columns of a line of a table.
const WIDTH: usize = 100;
/// Bytes of a text in a class file are at most 65,535.
const LONGEST_TEXT: usize = 60_000;

/// One line for a comment: what could end it, or stand for something else, is a code point.
pub(crate) fn comment(text: &str) -> String {
    let mut line = String::new();
    let mut before = ' ';
    for letter in text.chars() {
        let ends = letter == '/' && before == '*' || letter == '?' && before == '?';
        if letter == '\\' || ends || !(letter == ' ' || letter.is_ascii_graphic()) {
            // Writing to a string does not fail.
            let _ = write!(line, "<U+{:04X}>", u32::from(letter));
        } else {
            line.push(letter);
        }
        before = letter;
    }
    line
}

impl Language {
    /// A literal of a text.
    pub(crate) fn string(self, text: &str) -> String {
        let mut literal = String::from("\"");
        for letter in text.chars() {
            match letter {
                '"' | '\\' => literal.extend(['\\', letter]),
                // Two of them begin a trigraph.
                '?' if self == Self::C => literal.push_str("\\?"),
                ' '..='~' => literal.push(letter),
                _ => self.escape(letter, &mut literal),
            }
        }
        literal.push('"');
        literal
    }

    fn escape(self, letter: char, literal: &mut String) {
        let code = u32::from(letter);
        let written = match self {
            // Three octal digits end by themselves; hexadecimal ones would take the next letter.
            Self::C => letter.to_string().bytes().try_for_each(|byte| write!(literal, "\\{byte:03o}")),
            Self::Rust => write!(literal, "\\u{{{code:x}}}"),
            Self::Go | Self::Python if code > 0xffff => write!(literal, "\\U{code:08x}"),
            // In Java `\u000a` is the line's end even here.
            Self::Java if code < 0x80 => write!(literal, "\\{code:03o}"),
            Self::Java | Self::TypeScript => {
                let mut units = [0; 2];
                letter.encode_utf16(&mut units).iter().try_for_each(|unit| write!(literal, "\\u{unit:04x}"))
            }
            Self::Go | Self::Python => write!(literal, "\\u{code:04x}"),
        };
        debug_assert!(written.is_ok(), "writing to a string does not fail");
    }

    /// A number in a table, which is read back to the bit.
    pub(crate) fn real(self, value: f64) -> String {
        let [nan, infinity, least] = match self {
            Self::C => ["NAN", "INFINITY", "-INFINITY"],
            Self::Rust => ["f64::NAN", "f64::INFINITY", "f64::NEG_INFINITY"],
            Self::Go => ["math.NaN()", "math.Inf(1)", "math.Inf(-1)"],
            Self::Java | Self::TypeScript => ["NaN", "Infinity", "-Infinity"],
            Self::Python => ["_NAN", "_INF", "-_INF"],
        };
        match value {
            value if value.is_nan() => nan.to_owned(),
            value if value.is_infinite() && value > 0.0 => infinity.to_owned(),
            value if value.is_infinite() => least.to_owned(),
            // Go's constants have no sign of zero.
            value if self == Self::Go && value == 0.0 && value.is_sign_negative() => {
                "math.Copysign(0, -1)".to_owned()
            }
            value if self == Self::C => hexadecimal(value),
            value => format!("{value:?}"),
        }
    }

    /// A number in an expression.
    pub(crate) fn scalar(self, value: f64) -> String {
        match self {
            Self::Java if value.is_nan() => "Double.NaN".to_owned(),
            Self::Java if value.is_infinite() && value > 0.0 => "Double.POSITIVE_INFINITY".to_owned(),
            Self::Java if value.is_infinite() => "Double.NEGATIVE_INFINITY".to_owned(),
            _ => self.real(value),
        }
    }

    /// The lines of a table. C has no empty ones, so that one without entries holds a zero.
    pub(crate) fn table(self, entries: impl Iterator<Item = String>) -> String {
        let (separator, first, end, width) = match self {
            Self::Java => (" ", "        \"", "\",", LONGEST_TEXT),
            _ => (", ", "    ", ",", WIDTH),
        };
        let mut table = String::new();
        let mut room = 0;
        for entry in entries {
            let length = entry.len() + separator.len();
            if table.is_empty() || length > room {
                if !table.is_empty() {
                    table.push_str(end);
                    table.push('\n');
                }
                table.push_str(first);
                room = width;
            } else {
                table.push_str(separator);
            }
            table.push_str(&entry);
            room -= length.min(room);
        }
        if table.is_empty() {
            return self.table(std::iter::once("0".to_owned()));
        }
        table.push_str(end);
        table
    }
}

/// C's hexadecimal float: 1.5 is `0x1.8p+0`.
fn hexadecimal(value: f64) -> String {
    let bits = value.to_bits();
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let (fraction, exponent) = (bits & ((1 << 52) - 1), (bits >> 52 & 0x7ff) as i64);
    let (whole, power) = match (exponent, fraction) {
        (0, 0) => return format!("{sign}0x0p+0"),
        (0, _) => (0, -1022),
        _ => (1, exponent - 1023),
    };
    let digits = format!("{fraction:013x}");
    let digits = digits.trim_end_matches('0');
    let point = if digits.is_empty() { "" } else { "." };
    format!("{sign}0x{whole}{point}{digits}p{power:+}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_back_to_the_bit() {
        let cases = [
            (1.0, "0x1p+0", "1.0"),
            (-1.5, "-0x1.8p+0", "-1.5"),
            (0.1, "0x1.999999999999ap-4", "0.1"),
            (5e-324, "0x0.0000000000001p-1022", "5e-324"),
            (f64::MAX, "0x1.fffffffffffffp+1023", "1.7976931348623157e308"),
            (0.0, "0x0p+0", "0.0"),
        ];
        for (value, c, others) in cases {
            assert_eq!(Language::C.real(value), c);
            for language in [Language::Rust, Language::Go, Language::Java, Language::Python] {
                assert_eq!(language.real(value), others);
            }
            assert_eq!(others.parse::<f64>().map(f64::to_bits), Ok(value.to_bits()));
        }
        assert_eq!(Language::Go.real(-0.0), "math.Copysign(0, -1)");
        assert_eq!(Language::Java.real(f64::NAN), "NaN");
        assert_eq!(Language::Java.scalar(f64::NEG_INFINITY), "Double.NEGATIVE_INFINITY");
        assert_eq!(Language::Python.real(f64::NEG_INFINITY), "-_INF");
    }

    #[test]
    fn texts_stay_texts() {
        let text = "a\"b\\c\nd??/é\u{1f600}";
        let cases = [
            (Language::C, r#""a\"b\\c\012d\?\?/\303\251\360\237\230\200""#),
            (Language::Rust, r#""a\"b\\c\u{a}d??/\u{e9}\u{1f600}""#),
            (Language::Go, r#""a\"b\\c\u000ad??/\u00e9\U0001f600""#),
            (Language::Java, r#""a\"b\\c\012d??/\u00e9\ud83d\ude00""#),
            (Language::TypeScript, r#""a\"b\\c\u000ad??/\u00e9\ud83d\ude00""#),
            (Language::Python, r#""a\"b\\c\u000ad??/\u00e9\U0001f600""#),
        ];
        for (language, expected) in cases {
            assert_eq!(language.string(text), expected, "{language:?}");
        }
    }

    #[test]
    fn a_comment_stays_one_line() {
        assert_eq!(comment("a*/b"), "a*<U+002F>b");
        assert_eq!(comment("x\\u000a??/\ny"), "x<U+005C>u000a?<U+003F>/<U+000A>y");
        assert_eq!(comment("größe, 1 km²"), "gr<U+00F6><U+00DF>e, 1 km<U+00B2>");
    }

    #[test]
    fn tables_are_wrapped_and_never_empty() {
        let numbers = || (0..60).map(|number| number.to_string());
        let table = Language::Python.table(numbers());
        assert!(table.lines().all(|line| line.len() <= WIDTH + 5 && line.ends_with(',')), "{table}");
        assert_eq!(table.matches(',').count(), 60);
        assert_eq!(Language::C.table(std::iter::empty()), "    0,");
        assert_eq!(Language::Java.table(["1", "-2"].map(str::to_owned).into_iter()), "        \"1 -2\",");
        let long = Language::Java.table((0..30_000).map(|number| number.to_string()));
        assert!(long.lines().count() > 2 && long.lines().all(|line| line.len() < 65_535));
        let tokens: usize =
            long.lines().map(|line| line.trim_matches([' ', '"', ',']).split(' ').count()).sum();
        assert_eq!(tokens, 30_000);
    }
}
