/// `%2f` becomes `/`, as often as there is something to unquote; what is no UTF-8 afterwards is replaced.
///
/// Cost: the square of the length at worst; callers bound the length first.
pub fn unquoted(text: &str) -> String {
    let mut plain = text.to_owned();
    loop {
        let next = once(&plain);
        if next == plain {
            return plain;
        }
        plain = next;
    }
}

fn once(text: &str) -> String {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%'
            && let (Some(high), Some(low)) = (digit(bytes.get(at + 1)), digit(bytes.get(at + 2)))
        {
            out.push((high * 16 + low) as u8);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_quoted_twice_is_plain_and_what_is_no_quote_stays() {
        for (text, plain) in [
            ("%252e%2E/x", "../x"),
            ("a%25255cb", "a\\b"),
            ("50% of %zz", "50% of %zz"),
            ("%", "%"),
            ("", ""),
        ] {
            assert_eq!(unquoted(text), plain, "{text:?}");
        }
    }
}
