//! RLIKE, which the engines do not share: the texts in question are read, matched here, and stand in the filter as a list.

use platform_db::{Db, Value};
use platform_web::mlflow::filter::{Comparison, Expr, FilterError, Operand, Operator};
use regex::{Regex, RegexBuilder};

use super::filter::{Field, field};
use super::{Result, hole, holes};
use crate::json::loaded;

/// RLIKE clauses in one filter, and different texts that one of them looks at.
const MAX_PATTERNS: usize = 8;
const MAX_TEXTS: usize = 2_000;
const MAX_PATTERN_BYTES: usize = 1_000;
const MAX_COMPILED_BYTES: usize = 1 << 20;

/// The filter with each RLIKE clause replaced by the list of texts that match. What comes after a look is not seen.
pub(crate) async fn resolve(db: &Db, experiments: &[String], expr: &mut Expr) -> Result<()> {
    let mut clauses = Vec::new();
    collect(expr, &mut clauses);
    if clauses.len() > MAX_PATTERNS {
        let rule = format!("at most {MAX_PATTERNS} clauses with RLIKE are taken");
        return Err(FilterError::new("filter", clauses[0].text.clone(), rule).into());
    }
    for clause in clauses {
        let pattern = pattern(clause)?;
        let texts = candidates(db, experiments, clause).await?;
        let matching = texts.into_iter().filter(|text| pattern.is_match(text));
        clause.operand = Operand::List(matching.map(Operand::Text).collect());
        clause.operator = Operator::In;
    }
    Ok(())
}

fn collect<'e>(expr: &'e mut Expr, found: &mut Vec<&'e mut Comparison>) {
    match expr {
        Expr::And(parts) | Expr::Or(parts) => parts.iter_mut().for_each(|part| collect(part, found)),
        Expr::Not(inner) => collect(inner, found),
        Expr::Compare(comparison) if comparison.operator == Operator::RLike => found.push(comparison),
        Expr::Compare(_) => {}
    }
}

fn pattern(clause: &Comparison) -> Result<Regex> {
    let wrong = |rule: String| FilterError::new("filter", clause.text.clone(), rule);
    let Operand::Text(text) = &clause.operand else {
        return Err(wrong("expected a quoted pattern after RLIKE".to_owned()).into());
    };
    if text.len() > MAX_PATTERN_BYTES {
        return Err(wrong(format!("patterns have at most {MAX_PATTERN_BYTES} bytes")).into());
    }
    let built = RegexBuilder::new(text).size_limit(MAX_COMPILED_BYTES).build();
    built.map_err(|error| wrong(format!("the pattern cannot be used: {error}")).into())
}

/// The different texts that a clause is about, within the experiments.
async fn candidates(db: &Db, experiments: &[String], clause: &Comparison) -> Result<Vec<String>> {
    let wrong = |rule: String| FilterError::new("filter", clause.text.clone(), rule);
    let mut arguments: Vec<Value> = Vec::new();
    let within = format!("t.experiment_id IN {}", holes(&mut arguments, experiments));
    let of_span = "JOIN spans s ON s.trace_id = t.trace_id";
    let mut in_content = None;
    let (column, join, more) = match field("filter", &clause.entity, &clause.key)? {
        Field::Text(column) => (column, String::new(), String::new()),
        Field::Span(column) => (column, of_span.to_owned(), String::new()),
        Field::Side(side) => {
            let key = hole(&mut arguments, side.key);
            let join = format!("JOIN {} x ON x.trace_id = t.trace_id", side.table);
            ("x.value", join, format!(" AND x.key = {key}"))
        }
        Field::Assessment(kind, name) => {
            let name = hole(&mut arguments, name);
            let join = "JOIN trace_assessments a ON a.trace_id = t.trace_id".to_owned();
            ("a.value", join, format!(" AND a.kind = '{}' AND a.name = {name}", kind.name()))
        }
        Field::SpanAttribute(name) => {
            let needle = hole(&mut arguments, format!("\"{name}\": "));
            in_content = Some(name);
            let more = format!(" AND REPLACE(s.content, {needle}, '') <> s.content");
            ("s.content", of_span.to_owned(), more)
        }
        Field::Number(_) | Field::Run | Field::Prompt | Field::SpanText | Field::Issue => {
            return Err(wrong("RLIKE is not for this field".to_owned()).into());
        }
    };
    let most = MAX_TEXTS + 1;
    let sql = format!(
        "SELECT DISTINCT {column} FROM traces t {join} WHERE {within}{more} AND {column} IS NOT NULL LIMIT {most}"
    );
    let rows = db.read(sql, arguments).await?;
    if rows.len() > MAX_TEXTS {
        let rule = format!("RLIKE looks at up to {MAX_TEXTS} different texts, and there are more; use LIKE");
        return Err(wrong(rule).into());
    }
    let mut texts = Vec::new();
    for row in rows {
        let text = row.text(0)?;
        match &in_content {
            None => texts.push(text.to_owned()),
            Some(name) => texts.extend(attribute_of(text, name)),
        }
    }
    texts.sort();
    texts.dedup();
    Ok(texts)
}

/// An attribute's text in a span's content; that of a number or a list is its JSON.
fn attribute_of(content: &str, name: &str) -> Option<String> {
    let content = loaded(content);
    let raw = content.get("attributes")?.get(name)?.as_str()?;
    match loaded(raw) {
        serde_json::Value::String(text) => Some(text),
        _ => Some(raw.to_owned()),
    }
}
