//! Numbers and times as people read them.

use platform_primitives::Timestamp;

/// Two or three significant decimals; NaN is a dash.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let decimals = match value.abs() {
        v if v >= 1000.0 => 0,
        v if v >= 0.1 || v == 0.0 => 2,
        _ => 4,
    };
    fixed(value, decimals)
}

/// As many decimals as all numbers of a chart have; NaN is a dash, and what rounds to nothing has no sign.
pub(crate) fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let text = format!("{value:.decimals$}");
    let nothing = !text.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    group(if nothing { text.trim_start_matches('-') } else { &text })
}

pub fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.1} %", share * 100.0) } else { "–".to_owned() }
}

/// A text as one part of a path: `team-a/churn` is `team-a%2Fchurn`.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Whole units of a currency, `1,234,567 USD`.
pub fn money(value: f64, currency: &str) -> String {
    if value.is_finite() { format!("{} {currency}", group(&format!("{value:.0}"))) } else { "–".to_owned() }
}

pub fn count(value: u64) -> String {
    group(&value.to_string())
}

/// `2019-02-01 10:30`
pub fn short_time(at: Timestamp) -> String {
    at.to_string()[..16].replace('T', " ")
}

/// Commas between thousands of the whole part.
fn group(text: &str) -> String {
    let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, fraction) = rest.split_once('.').map_or((rest, None), |(w, f)| (w, Some(f)));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    match fraction {
        Some(fraction) => format!("{sign}{grouped}.{fraction}"),
        None => format!("{sign}{grouped}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(number(1234567.8), "1,234,568");
        assert_eq!(number(-1.239), "-1.24");
        assert_eq!(number(f64::NAN), "–");
        assert_eq!(fixed(-0.0004, 3), "0.000");
        assert_eq!(fixed(-1234.5678, 1), "-1,234.6");
        assert_eq!(fixed(f64::INFINITY, 1), "–");
        assert_eq!(money(-1234.4, "USD"), "-1,234 USD");
        assert_eq!(percent(0.1234), "12.3 %");
        assert_eq!(encoded("team-a/taxi ü"), "team-a%2Ftaxi%20%C3%BC");
        assert_eq!(count(1000), "1,000");
    }
}
