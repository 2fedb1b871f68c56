//! MLflow's filter and order grammar, turned into SQL with arguments.
//!
//! `metrics.mae < 1.5 and params.booster = 'gbdt'`: clauses joined by AND; an entity prefix or none for attributes;
//! `= != > >= < <= LIKE ILIKE IN`, `NOT IN`, `IS NULL`, `IS NOT NULL`. Each group says what can be searched with a
//! [`Domain`]; values always travel as arguments.

use platform_db::Value;

use platform_primitives::{ErrorKind, Fault};

/// A filter or an order that is not in the grammar.
#[derive(Debug, Clone, thiserror::Error)]
#[error("Invalid value {value:?} for parameter '{field}' supplied: {rule}")]
pub struct SearchError {
    pub field: &'static str,
    pub value: String,
    pub rule: String,
}

impl Fault for SearchError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
    fn code(&self) -> &'static str {
        "mlflow/search"
    }
}

/// What is searched: its own columns and its side tables.
pub struct Domain {
    /// Attribute name as clients write it, column, and whether it is a number.
    pub attributes: &'static [(&'static str, &'static str, bool)],
    /// Condition that ties a side table's row to the searched row, with `{table}`, `{key}` for the key's placeholder.
    pub sides: &'static [Side],
}

pub struct Side {
    pub names: &'static [&'static str],
    pub table: &'static str,
    /// `SELECT` condition that joins, for example `s.run_id = r.id`.
    pub join: &'static str,
    pub numeric: bool,
    /// `!=` finds rows that lack the key too.
    pub missing_differs: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// A name, with dots; quoted parts keep their blanks.
    Name(String),
    Text(String),
    Number(f64),
    Operator(String),
    Open,
    Close,
    Comma,
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(text) | Self::Operator(text) => f.write_str(text),
            Self::Text(text) => write!(f, "'{text}'"),
            Self::Number(number) => number.fmt(f),
            Self::Open => f.write_str("("),
            Self::Close => f.write_str(")"),
            Self::Comma => f.write_str(","),
        }
    }
}

/// A token as a message shows it.
fn shown(token: Option<&Token>) -> String {
    token.map_or("the end".to_owned(), ToString::to_string)
}

fn invalid(filter: &str, rule: impl Into<String>) -> SearchError {
    SearchError { field: "filter", value: filter.to_owned(), rule: rule.into() }
}

fn tokens(filter: &str) -> Result<Vec<Token>, SearchError> {
    let mut tokens = Vec::new();
    let mut rest = filter.trim_start();
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '(' | ')' | ',' => {
                tokens.push(match first {
                    '(' => Token::Open,
                    ')' => Token::Close,
                    _ => Token::Comma,
                });
                1
            }
            '\'' | '"' => {
                let end = rest[1..].find(first).ok_or_else(|| invalid(filter, "a quote is not closed"))?;
                tokens.push(Token::Text(rest[1..=end].to_owned()));
                end + 2
            }
            '=' | '!' | '<' | '>' => {
                let length = if rest[1..].starts_with('=') { 2 } else { 1 };
                tokens.push(Token::Operator(rest[..length].to_owned()));
                length
            }
            '0'..='9' | '-' | '+' | '.' => {
                let end = rest.find(|c: char| c.is_whitespace() || ",)".contains(c)).unwrap_or(rest.len());
                let number = rest[..end]
                    .parse()
                    .map_err(|_| invalid(filter, format!("{:?} is not a number", &rest[..end])))?;
                tokens.push(Token::Number(number));
                end
            }
            _ => {
                let (name, length) = name_token(filter, rest)?;
                let word = name.to_ascii_uppercase();
                tokens.push(match word.as_str() {
                    "LIKE" | "ILIKE" | "IN" | "AND" | "OR" | "NOT" | "IS" | "NULL" => Token::Operator(word),
                    _ => Token::Name(name),
                });
                length
            }
        };
        rest = rest[taken..].trim_start();
    }
    Ok(tokens)
}

/// `metrics.mae`, ``metrics.`my key` ``, `tags."mlflow.user"`.
fn name_token(filter: &str, rest: &str) -> Result<(String, usize), SearchError> {
    let mut name = String::new();
    let mut at = 0;
    while let Some(c) = rest[at..].chars().next() {
        match c {
            '`' | '"' if name.ends_with('.') || name.is_empty() => {
                let end = rest[at + 1..].find(c).ok_or_else(|| invalid(filter, "a quote is not closed"))?;
                name.push_str(&rest[at + 1..at + 1 + end]);
                at += end + 2;
            }
            c if c.is_whitespace() || "=!<>(),".contains(c) => break,
            ';' => return Err(invalid(filter, "';' is not allowed")),
            c => {
                name.push(c);
                at += c.len_utf8();
            }
        }
    }
    Ok((name, at))
}

/// Adds `AND …` conditions for `filter` and their arguments.
pub fn conditions(domain: &Domain, filter: &str, arguments: &mut Vec<Value>) -> Result<String, SearchError> {
    let tokens = tokens(filter)?;
    let mut sql = String::new();
    let mut at = 0;
    while at < tokens.len() {
        let Token::Name(name) = &tokens[at] else {
            return Err(invalid(filter, "expected `entity.key operator value`, clauses joined by AND"));
        };
        let (operator, words) = operator(filter, name, &tokens[at + 1..])?;
        let (values, used) = values(filter, operator, &tokens[at + 1 + words..])?;
        sql.push_str(&clause(domain, filter, name, operator, values, arguments)?);
        at += 1 + words + used;
        match tokens.get(at) {
            None => break,
            Some(Token::Operator(word)) if word == "AND" => at += 1,
            Some(other) => {
                return Err(invalid(filter, format!("Invalid clause(s) in filter string: {other}")));
            }
        }
    }
    Ok(sql)
}

/// The operator and how many words it takes.
fn operator<'t>(filter: &str, name: &str, tokens: &'t [Token]) -> Result<(&'t str, usize), SearchError> {
    let word = |index: usize| match tokens.get(index) {
        Some(Token::Operator(word)) => word.as_str(),
        _ => "",
    };
    match (word(0), word(1), word(2)) {
        ("", _, _) => Err(invalid(filter, format!("expected an operator after {name:?}"))),
        ("IS", "NULL", _) => Ok(("IS NULL", 2)),
        ("IS", "NOT", "NULL") => Ok(("IS NOT NULL", 3)),
        ("NOT", "IN", _) => Ok(("NOT IN", 2)),
        (one, _, _) => Ok((one, 1)),
    }
}

fn values(filter: &str, operator: &str, tokens: &[Token]) -> Result<(Vec<Value>, usize), SearchError> {
    let value = |token: Option<&Token>| match token {
        Some(Token::Text(text)) => Ok(Value::Text(text.clone())),
        Some(Token::Number(number)) => Ok(Value::Real(*number)),
        other => Err(invalid(
            filter,
            format!("expected a quoted text or a number after {operator}, found {}", shown(other)),
        )),
    };
    if matches!(operator, "IS NULL" | "IS NOT NULL") {
        return Ok((Vec::new(), 0));
    }
    if !matches!(operator, "IN" | "NOT IN") {
        return Ok((vec![value(tokens.first())?], 1));
    }
    if tokens.first() != Some(&Token::Open) {
        return Err(invalid(filter, "expected ( after IN"));
    }
    let mut list = Vec::new();
    let mut at = 1;
    loop {
        list.push(value(tokens.get(at))?);
        match tokens.get(at + 1) {
            Some(Token::Comma) => at += 2,
            Some(Token::Close) => return Ok((list, at + 2)),
            _ => return Err(invalid(filter, "the list after IN is not closed")),
        }
    }
}

fn clause(
    domain: &Domain,
    filter: &str,
    name: &str,
    operator: &str,
    values: Vec<Value>,
    arguments: &mut Vec<Value>,
) -> Result<String, SearchError> {
    let (prefix, key) = name.split_once('.').unwrap_or(("attribute", name));
    let mut push = |value: Value| {
        arguments.push(value);
        format!("${}", arguments.len())
    };
    if matches!(prefix, "attribute" | "attributes" | "attr" | "run") {
        let found = domain.attributes.iter().find(|(attribute, _, _)| *attribute == key);
        let Some((_, column, numeric)) = found else {
            return Err(invalid(filter, format!("{key:?} is not a searchable attribute")));
        };
        if values.is_empty() {
            return Ok(format!(" AND {column} {operator}"));
        }
        return Ok(format!(" AND {}", comparison(filter, column, operator, *numeric, values, &mut push)?));
    }
    let side = domain.sides.iter().find(|side| side.names.contains(&prefix));
    let Some(side) = side else {
        return Err(invalid(filter, format!("{prefix:?} is not a searchable entity")));
    };
    let key = push(Value::Text(key.to_owned()));
    let (table, join) = (side.table, side.join);
    let exists =
        |compared: &str| format!("EXISTS (SELECT 1 FROM {table} s WHERE {join} AND s.key = {key}{compared})");
    Ok(match operator {
        "IS NULL" => format!(" AND NOT {}", exists("")),
        "IS NOT NULL" => format!(" AND {}", exists("")),
        "!=" if side.missing_differs => {
            let equal = comparison(filter, "s.value", "=", side.numeric, values, &mut push)?;
            format!(" AND NOT {}", exists(&format!(" AND {equal}")))
        }
        _ => {
            let compared = comparison(filter, "s.value", operator, side.numeric, values, &mut push)?;
            format!(" AND {}", exists(&format!(" AND {compared}")))
        }
    })
}

fn comparison(
    filter: &str,
    column: &str,
    operator: &str,
    numeric: bool,
    values: Vec<Value>,
    push: &mut impl FnMut(Value) -> String,
) -> Result<String, SearchError> {
    let is_number = |value: &Value| matches!(value, Value::Real(_));
    if values.iter().any(|value| is_number(value) != numeric) {
        let expected = if numeric { "a number" } else { "a quoted text" };
        return Err(invalid(filter, format!("{column:?} is compared with {expected}")));
    }
    let allowed = if numeric { "= != > >= < <=" } else { "= != LIKE ILIKE IN 'NOT IN'" };
    if operator != "NOT IN" && !allowed.split(' ').any(|known| known == operator)
        || operator == "NOT IN" && numeric
    {
        return Err(invalid(filter, format!("operator {operator:?} is not among {allowed}")));
    }
    if matches!(operator, "IN" | "NOT IN") {
        let holes: Vec<String> = values.into_iter().map(&mut *push).collect();
        return Ok(format!("{column} {operator} ({})", holes.join(", ")));
    }
    let hole = push(values.into_iter().next().unwrap_or(Value::Null));
    Ok(match operator {
        "ILIKE" => format!("LOWER({column}) LIKE LOWER({hole})"),
        "!=" => format!("{column} <> {hole}"),
        other => format!("{column} {other} {hole}"),
    })
}

/// `ORDER BY` terms for MLflow's `order_by` strings; the caller adds the tie break.
pub fn order_terms(
    domain: &Domain,
    order_by: &[String],
    arguments: &mut Vec<Value>,
) -> Result<Vec<String>, SearchError> {
    let mut terms = Vec::new();
    for text in order_by {
        let invalid =
            |rule: &str| SearchError { field: "order_by", value: text.clone(), rule: rule.to_owned() };
        let (name, used) = name_token(text, text.trim_start())?;
        let direction = match text.trim_start()[used..].trim().to_ascii_uppercase().as_str() {
            "" | "ASC" => "ASC",
            "DESC" => "DESC",
            _ => return Err(invalid("expected ASC or DESC after the key")),
        };
        let (prefix, key) = name.split_once('.').unwrap_or(("attribute", &name));
        if matches!(prefix, "attribute" | "attributes" | "attr" | "run") {
            let found = domain.attributes.iter().find(|(attribute, _, _)| *attribute == key);
            let (_, column, _) = found.ok_or_else(|| invalid("is not a sortable attribute"))?;
            terms.push(format!("{column} {direction}"));
            continue;
        }
        let side = domain.sides.iter().find(|side| side.names.contains(&prefix));
        let side = side.ok_or_else(|| invalid("is not a sortable entity"))?;
        arguments.push(Value::Text(key.to_owned()));
        let (table, join, hole) = (side.table, side.join, arguments.len());
        let value = format!("(SELECT s.value FROM {table} s WHERE {join} AND s.key = ${hole})");
        // Missing values come last in both directions.
        terms.push(format!("CASE WHEN {value} IS NULL THEN 1 ELSE 0 END, {value} {direction}"));
    }
    Ok(terms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOMAIN: Domain = Domain {
        attributes: &[("status", "r.status", false), ("start_time", "r.start_ms", true)],
        sides: &[Side {
            names: &["metrics", "metric"],
            table: "metric_latest",
            join: "s.run_id = r.id",
            numeric: true,
            missing_differs: false,
        }],
    };

    #[test]
    fn filters_become_conditions() {
        let mut arguments = Vec::new();
        let sql =
            conditions(&DOMAIN, "metrics.`my mae` <= 1.5e0 AND status = 'FINISHED'", &mut arguments).unwrap();
        assert_eq!(
            sql,
            " AND EXISTS (SELECT 1 FROM metric_latest s WHERE s.run_id = r.id AND s.key = $1 AND s.value <= $2) \
             AND r.status = $3"
        );
        assert_eq!(arguments[0], Value::Text("my mae".to_owned()));
        assert_eq!(arguments[1], Value::Real(1.5));
    }

    #[test]
    fn what_is_not_in_the_grammar_is_refused() {
        for filter in [
            "metrics.a < 1 OR metrics.b < 2",
            "metrics.a LIKE 'x'",
            "metrics.a < 'x'",
            "status > 'x'",
            "color = 'red'",
            "wheels.a = 'x'",
            "metrics.a <",
            "status = 'x' ; DROP TABLE runs",
            "status IN ('a'",
            "  ,",
        ] {
            assert!(conditions(&DOMAIN, filter, &mut Vec::new()).is_err(), "{filter}");
        }
    }
}
