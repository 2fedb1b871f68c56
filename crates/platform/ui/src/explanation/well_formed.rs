//! For tests: is a text one well-formed XML element? Knows what the charts write, which is elements, attributes in
//! double quotes and escaped text.

use std::collections::BTreeSet;

/// Panics with the reason.
pub(super) fn assert_svg(svg: &str) {
    if let Err(reason) = check(svg) {
        let start: String = svg.chars().take(2_000).collect();
        panic!("{reason}\n{start}");
    }
    assert!(
        svg.starts_with("<svg class=\"chart explanation\"") && svg.contains("role=\"img\"><title>"),
        "{svg}"
    );
    assert!(svg.contains("</title><desc>"), "{svg}");
    for word in ["NaN", "inf", "<script"] {
        assert!(!svg.contains(word), "{word} in {svg}");
    }
    assert!(!svg.contains("style="), "the policy of the pages forbids inline styles");
}

fn check(text: &str) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text;
    let mut roots = 0;
    while let Some(start) = rest.find('<') {
        legal_text(&rest[..start])?;
        let end = rest[start..].find('>').ok_or("a tag does not end")? + start;
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            let expected = open.pop().ok_or_else(|| format!("</{name}> closes nothing"))?;
            if expected != name {
                return Err(format!("</{name}> closes <{expected}>"));
            }
            continue;
        }
        let is_empty = tag.ends_with('/');
        let tag = tag.trim_end_matches('/');
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        legal_attributes(attributes).map_err(|reason| format!("<{tag}>: {reason}"))?;
        roots += usize::from(open.is_empty());
        if !is_empty {
            open.push(name);
        }
    }
    legal_text(rest)?;
    match (open.len(), roots, rest) {
        (0, 1, "") => Ok(()),
        (0, 1, rest) => Err(format!("text after the root: {rest}")),
        (unclosed, roots, _) => Err(format!("{unclosed} unclosed, {roots} roots")),
    }
}

fn legal_attributes(attributes: &str) -> Result<(), String> {
    let mut names = BTreeSet::new();
    let mut rest = attributes.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").ok_or("an attribute without a value")?;
        let (value, after) = after.split_once('"').ok_or("a value does not end")?;
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-:".contains(&byte)) {
            return Err(format!("{name} is no name"));
        }
        if !names.insert(name) {
            return Err(format!("{name} stands twice"));
        }
        legal_text(value)?;
        rest = after.trim_start();
    }
    Ok(())
}

fn legal_text(text: &str) -> Result<(), String> {
    for after in text.split('&').skip(1) {
        if !["amp;", "lt;", "gt;", "quot;"].iter().any(|entity| after.starts_with(entity)) {
            return Err(format!("a bare ampersand before {after}"));
        }
    }
    match text.chars().find(|letter| letter.is_control() || *letter == '>') {
        Some(letter) => Err(format!("{letter:?} in text")),
        None => Ok(()),
    }
}

#[test]
fn the_check_can_fail() {
    for (text, is_well_formed) in [
        ("<a b=\"1\"><c/>x &amp; y</a>", true),
        ("<a><b></a></b>", false),
        ("<a>", false),
        ("<a/><a/>", false),
        ("<a b=\"1\" b=\"2\"/>", false),
        ("<a b=1/>", false),
        ("<a>x & y</a>", false),
        ("<a>\u{1}</a>", false),
        ("<a/>x", false),
    ] {
        assert_eq!(check(text).is_ok(), is_well_formed, "{text}");
    }
}
