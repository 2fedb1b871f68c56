//! What a query may ask for. The numbers and the texts are upstream's, but for those of the text itself.

use async_graphql_parser::types::{ExecutableDocument, Selection, SelectionSet};

use crate::QueryError;

const ROOT_FIELDS: usize = 10;
const ALIASES: usize = 10;
const DEPTH: usize = 10;
const SELECTIONS: usize = 1_000;
const TEXT_BYTES: usize = 64 * 1024;
/// The parser calls itself once per bracket.
const BRACKETS: usize = 64;

/// Before the text is parsed.
pub(crate) fn check_text(query: &str) -> Result<(), QueryError> {
    if query.trim().is_empty() {
        return Err(QueryError::Operation("Must provide query string.".to_owned()));
    }
    if query.len() > TEXT_BYTES {
        let length = query.len();
        return Err(QueryError::Limit(format!(
            "the query has {length} bytes, at most {TEXT_BYTES} are taken"
        )));
    }
    let bytes = query.as_bytes();
    let (mut open, mut at) = (0_usize, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'#' => at += bytes[at..].iter().take_while(|byte| !matches!(byte, b'\n' | b'\r')).count(),
            b'"' if bytes[at..].starts_with(BLOCK) => {
                at = end_of(bytes, at + BLOCK.len(), |rest| rest.starts_with(BLOCK)) + BLOCK.len() - 1;
            }
            b'"' => at = end_of(bytes, at + 1, |rest| matches!(rest[0], b'"' | b'\n' | b'\r')),
            b'{' | b'[' | b'(' => open += 1,
            b'}' | b']' | b')' => open = open.saturating_sub(1),
            _ => {}
        }
        at += 1;
        if open > BRACKETS {
            let text = format!("the query opens {open} brackets in each other, at most {BRACKETS} are taken");
            return Err(QueryError::Limit(text));
        }
    }
    Ok(())
}

/// The fence of a text of many lines.
const BLOCK: &[u8] = b"\"\"\"";

/// Where the text that goes on at `at` ends; what follows a backslash ends nothing.
fn end_of(bytes: &[u8], mut at: usize, ends: impl Fn(&[u8]) -> bool) -> usize {
    while at < bytes.len() && !ends(&bytes[at..]) {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at
}

pub(crate) fn check(document: &ExecutableDocument) -> Result<(), QueryError> {
    let (mut roots, mut aliases, mut selections) = (0, 0, 0);
    for (_, operation) in document.operations.iter() {
        let mut stack = vec![(&operation.node.selection_set.node, 1)];
        while let Some((set, depth)) = stack.pop() {
            if depth > DEPTH {
                return Err(QueryError::Limit(format!("Query exceeds maximum depth of {DEPTH}")));
            }
            let mut level = 0;
            for field in fields(document, set)? {
                roots += usize::from(depth == 1);
                level += usize::from(field.alias.is_some());
                selections += 1;
                if selections > SELECTIONS {
                    let text = format!("Query exceeds maximum total selections of {SELECTIONS}");
                    return Err(QueryError::Limit(text));
                }
                if !field.selection_set.node.items.is_empty() {
                    stack.push((&field.selection_set.node, depth + 1));
                }
            }
            aliases = aliases.max(level);
        }
    }
    let too_many = |what: &str, most: usize, found: usize| {
        QueryError::Limit(format!("GraphQL queries should have at most {most} {what}, got {found} {what}."))
    };
    match (roots, aliases) {
        (roots, _) if roots > ROOT_FIELDS => Err(too_many("root fields", ROOT_FIELDS, roots)),
        (_, aliases) if aliases > ALIASES => Err(too_many("aliases", ALIASES, aliases)),
        _ => Ok(()),
    }
}

/// The fields of a set, with those of its fragments; a fragment counts once.
pub(crate) fn fields<'d>(
    document: &'d ExecutableDocument,
    set: &'d SelectionSet,
) -> Result<Vec<&'d async_graphql_parser::types::Field>, QueryError> {
    let mut found = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    let mut waiting: Vec<&Selection> = set.items.iter().rev().map(|item| &item.node).collect();
    while let Some(selection) = waiting.pop() {
        let more = match selection {
            Selection::Field(field) => {
                found.push(&field.node);
                continue;
            }
            Selection::InlineFragment(fragment) => &fragment.node.selection_set.node,
            Selection::FragmentSpread(spread) => {
                let name = spread.node.fragment_name.node.as_str();
                if seen.contains(&name) {
                    continue;
                }
                seen.push(name);
                let fragment = document.fragments.get(name);
                &fragment.ok_or_else(|| QueryError::Fragment(name.to_owned()))?.node.selection_set.node
            }
        };
        waiting.extend(more.items.iter().rev().map(|item| &item.node));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(query: &str) -> Option<String> {
        let checked = check_text(query).and_then(|()| match async_graphql_parser::parse_query(query) {
            Ok(document) => check(&document),
            Err(error) => Err(QueryError::Syntax(error.to_string())),
        });
        checked.err().map(|error| error.to_string())
    }

    #[test]
    fn what_asks_for_too_much_is_refused_before_it_is_run() {
        assert_eq!(refused("{ a { b } }"), None);
        assert!(refused(&"{a".repeat(100_000)).unwrap().contains("bytes"));
        assert!(refused(&"{a".repeat(100)).unwrap().contains("brackets"));
        for cover in ["#\"\n", "#\\", "\"}\" \"\"\"\"\"\"", "\"\"\" \" \"\"\""] {
            let hidden = format!("{cover}\n{}", "{a".repeat(1_000));
            assert!(refused(&hidden).unwrap().contains("brackets"), "{cover}");
        }
        let deep = format!("{}{}", "{a".repeat(11), "}".repeat(11));
        assert_eq!(refused(&deep).unwrap(), "Query exceeds maximum depth of 10");
        assert!(refused(&format!("{{{}}}", "x: a ".repeat(11))).unwrap().contains("10 root fields"));
        assert!(refused(&format!("{{a {{{}}}}}", "x: b ".repeat(11))).unwrap().contains("10 aliases"));
        assert!(refused(&format!("{{a {{{}}}}}", "b ".repeat(1_001))).unwrap().contains("1000"));
        assert!(refused("{ ...F }").unwrap().contains("Unknown fragment"));
        // A fragment that holds itself ends at the depth that is allowed.
        assert!(refused("{ ...F } fragment F on Query { a { ...F } }").unwrap().contains("depth"));
    }
}
