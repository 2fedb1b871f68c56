//! Identifiers: 32 lower-case hexadecimal digits, ordered by creation time (the layout of UUID version 7).

use std::fmt::Write as _;

use crate::{Clock, SystemClock};

/// A new id. The first 12 digits are the Unix time in milliseconds, the rest is random.
pub fn new_id() -> String {
    let millis = SystemClock.now().as_millis().max(0) as u64;
    let mut random = [0u8; 10];
    getrandom::fill(&mut random).expect("the operating system provides random bytes");
    random[0] = 0x70 | (random[0] & 0x0f);
    random[2] = 0x80 | (random[2] & 0x3f);
    let mut id = format!("{millis:012x}");
    push_hex(&mut id, &random);
    id
}

/// An unguessable token of 256 bits with a prefix that secret scanners can find.
pub fn random_token() -> String {
    let mut random = [0u8; 32];
    getrandom::fill(&mut random).expect("the operating system provides random bytes");
    let mut token = String::from("lwt_");
    push_hex(&mut token, &random);
    token
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_hex_unique_and_time_ordered() {
        let first = new_id();
        std::thread::sleep(std::time::Duration::from_millis(2));
        let second = new_id();
        assert_eq!(first.len(), 32);
        assert!(first.bytes().all(|b| b.is_ascii_hexdigit()));
        assert!(first < second);
        assert_eq!(&first[12..13], "7");
    }
}
