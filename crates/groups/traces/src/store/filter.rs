//! MLflow's filters of traces as SQL over `traces t`. Values always travel as arguments.

use platform_db::Value;
use platform_web::mlflow::filter::{Comparison, Expr, FilterError, Operand, Operator};

use super::{LinkKind, Side, hole, holes};
use crate::assessment::AssessmentKind;
use crate::json::dumped;
use crate::names::{metadata, tag};

type Result<T> = std::result::Result<T, FilterError>;

/// Numbers beyond this are compared as reals.
const MAX_WHOLE: f64 = 9e15;

/// SQLite refuses patterns of more than 50,000 bytes.
const MAX_PATTERN_BYTES: usize = 10_000;

/// Values that one clause on a span attribute is compared with; each is two terms of an expression that SQLite bounds.
const MAX_ATTRIBUTE_VALUES: usize = 200;

/// SQLite takes 32,766 in a statement.
const MAX_ARGUMENTS: usize = 30_000;

/// The escape of LIKE: a backslash on PostgreSQL and none on SQLite, unless both are told. This one is in no pattern.
const ESCAPE: char = '\u{1}';

/// What a clause looks at.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Field {
    /// A whole number of the trace, as an SQL expression.
    Number(&'static str),
    /// A text of the trace, as a column.
    Text(&'static str),
    Side(SideKey),
    /// The run that made the trace or was linked with it later.
    Run,
    Prompt,
    /// A column of a span.
    Span(&'static str),
    /// All of a span.
    SpanText,
    SpanAttribute(String),
    Assessment(AssessmentKind, String),
    Issue,
}

/// A tag or a piece of metadata.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SideKey {
    pub table: &'static str,
    pub key: String,
}

fn on_side(side: Side, key: &str) -> Field {
    Field::Side(SideKey { table: side.table(), key: key.to_owned() })
}

/// Columns and expressions that are attributes of a trace, by the name that clients use.
fn attribute(key: &str) -> Option<Field> {
    Some(match key {
        "request_id" | "trace_id" => Field::Text("t.trace_id"),
        "experiment_id" => Field::Text("t.experiment_id"),
        "timestamp" | "timestamp_ms" | "request_time" => Field::Number("t.request_ms"),
        "execution_time" | "execution_time_ms" | "execution_duration" => Field::Number("t.duration_ms"),
        "end_time" | "end_time_ms" => Field::Number("(t.request_ms + COALESCE(t.duration_ms, 0))"),
        "status" | "state" => Field::Text("t.state"),
        "client_request_id" => Field::Text("t.client_request_id"),
        "name" => on_side(Side::Tags, tag::NAME),
        "run_id" => Field::Run,
        "prompt" => Field::Prompt,
        "text" => Field::SpanText,
        _ => return None,
    })
}

/// `parameter` names where the key stood, for the message.
pub(super) fn field(parameter: &'static str, entity: &str, key: &str) -> Result<Field> {
    let wrong = |rule: &str| FilterError::new(parameter, format!("{entity}.{key}"), rule);
    Ok(match entity {
        "" | "attribute" | "attributes" | "trace" => {
            return attribute(key).ok_or_else(|| wrong(&format!("Invalid attribute key '{key}' specified")));
        }
        "tag" | "tags" => on_side(Side::Tags, key),
        "metadata" | "request_metadata" if key == metadata::SOURCE_RUN => Field::Run,
        "metadata" | "request_metadata" => on_side(Side::Metadata, key),
        "span" => match key {
            "name" => Field::Span("s.name"),
            "type" => Field::Span("s.span_type"),
            "status" => Field::Span("s.status"),
            "content" => Field::SpanText,
            _ => match key.strip_prefix("attributes.").map(|name| name.trim_matches(['`', '"'])) {
                Some(name) if !name.is_empty() => Field::SpanAttribute(name.to_owned()),
                _ => {
                    return Err(wrong(
                        "Invalid span attribute; supported are name, status, type, attributes.<attribute_name>",
                    ));
                }
            },
        },
        "feedback" | "expectation" if key.is_empty() => {
            return Err(wrong("Assessment field name cannot be empty"));
        }
        "feedback" => Field::Assessment(AssessmentKind::Feedback, key.to_owned()),
        "expectation" => Field::Assessment(AssessmentKind::Expectation, key.to_owned()),
        "issue" if key == "id" => Field::Issue,
        "issue" => return Err(wrong("Invalid issue attribute; supported is id")),
        _ => return Err(wrong(&format!("Invalid entity type '{entity}'"))),
    })
}

/// A condition on `traces t`.
pub(super) fn condition(expr: &Expr, arguments: &mut Vec<Value>) -> Result<String> {
    Ok(match expr {
        Expr::And(parts) => conjunction(parts, arguments)?,
        Expr::Or(parts) => {
            let parts = parts.iter().map(|part| condition(part, arguments)).collect::<Result<Vec<_>>>()?;
            format!("({})", parts.join(" OR "))
        }
        Expr::Not(inner) => format!("NOT ({})", condition(inner, arguments)?),
        Expr::Compare(_) => conjunction(std::slice::from_ref(expr), arguments)?,
    })
}

/// What a filter asks for must fit into one statement.
pub(super) fn check_size(arguments: &[Value]) -> Result<()> {
    match arguments.len() {
        count if count > MAX_ARGUMENTS => {
            let rule = format!("Invalid filter: more than {MAX_ARGUMENTS} values");
            Err(FilterError::new("filter", count.to_string(), rule))
        }
        _ => Ok(()),
    }
}

/// Clauses on spans that stand side by side are about one and the same span.
fn conjunction(parts: &[Expr], arguments: &mut Vec<Value>) -> Result<String> {
    let mut conditions = Vec::new();
    let mut on_span = Vec::new();
    for part in parts {
        let Expr::Compare(comparison) = part else {
            conditions.push(condition(part, arguments)?);
            continue;
        };
        if comparison.aggregate.is_some() {
            return Err(wrong(comparison, "aggregates are of metrics, and traces have none"));
        }
        match field("filter", &comparison.entity, &comparison.key)? {
            Field::Span(column) => on_span.push(text(column, comparison, arguments)?),
            Field::SpanText => on_span.push(span_text(comparison, arguments)?),
            Field::SpanAttribute(name) => on_span.push(span_attribute(&name, comparison, arguments)?),
            other => conditions.push(clause(&other, comparison, arguments)?),
        }
    }
    if !on_span.is_empty() {
        let on_span = on_span.join(" AND ");
        conditions
            .push(format!("EXISTS (SELECT 1 FROM spans s WHERE s.trace_id = t.trace_id AND {on_span})"));
    }
    Ok(format!("({})", conditions.join(" AND ")))
}

fn clause(field: &Field, comparison: &Comparison, arguments: &mut Vec<Value>) -> Result<String> {
    match field {
        Field::Number(expression) => number(expression, comparison, arguments),
        Field::Text(column) => text(column, comparison, arguments),
        Field::Side(side) => {
            let exists = |compared: &str, key: &str| {
                format!(
                    "EXISTS (SELECT 1 FROM {} x WHERE x.trace_id = t.trace_id AND x.key = {key}{compared})",
                    side.table
                )
            };
            let key = hole(arguments, &side.key);
            presence(comparison, arguments, "x.value", |compared| exists(compared, &key))
        }
        Field::Run => {
            let key = hole(arguments, metadata::SOURCE_RUN);
            let run = LinkKind::Run.name();
            presence(comparison, arguments, "r.run_id", |compared| {
                format!(
                    "EXISTS (SELECT 1 FROM (SELECT x.trace_id, x.value AS run_id FROM trace_metadata x \
                     WHERE x.trace_id = t.trace_id AND x.key = {key} UNION ALL SELECT l.trace_id, l.target \
                     FROM trace_links l WHERE l.trace_id = t.trace_id AND l.kind = '{run}') r WHERE 1 = 1{compared})"
                )
            })
        }
        Field::Prompt => prompt(comparison, arguments),
        Field::Assessment(kind, name) => assessment(*kind, name, comparison, arguments),
        Field::Issue => {
            let compared = text("a.name", comparison, arguments)?;
            Ok(format!(
                "EXISTS (SELECT 1 FROM trace_assessments a WHERE a.trace_id = t.trace_id \
                 AND a.kind = 'issue' AND {compared})"
            ))
        }
        Field::Span(_) | Field::SpanText | Field::SpanAttribute(_) => {
            Err(wrong(comparison, "a clause on a span stands with others on spans"))
        }
    }
}

/// A clause on something that a trace may lack; what it lacks is unlike every value.
fn presence(
    comparison: &Comparison,
    arguments: &mut Vec<Value>,
    column: &str,
    exists: impl Fn(&str) -> String,
) -> Result<String> {
    match comparison.operator {
        Operator::IsNull => Ok(format!("NOT {}", exists(""))),
        Operator::IsNotNull => Ok(exists("")),
        _ => {
            let compared = text(column, comparison, arguments)?;
            Ok(exists(&format!(" AND {compared}")))
        }
    }
}

fn prompt(comparison: &Comparison, arguments: &mut Vec<Value>) -> Result<String> {
    let Operand::Text(target) = &comparison.operand else {
        return Err(wrong(comparison, "expected prompt = \"name/version\""));
    };
    if comparison.operator != Operator::Eq || target.matches('/').count() != 1 {
        return Err(wrong(comparison, "Invalid prompts filter: expected prompt = \"name/version\""));
    }
    let target = hole(arguments, target);
    let kind = LinkKind::Prompt.name();
    Ok(format!(
        "EXISTS (SELECT 1 FROM trace_links l WHERE l.trace_id = t.trace_id AND l.kind = '{kind}' \
         AND l.target = {target})"
    ))
}

/// An assessment of the trace, or one of its session that was made on another trace of it.
fn assessment(
    kind: AssessmentKind,
    name: &str,
    comparison: &Comparison,
    arguments: &mut Vec<Value>,
) -> Result<String> {
    let about =
        format!("a.kind = '{}' AND a.name = {} AND a.valid <> (1 = 0)", kind.name(), hole(arguments, name));
    let session = hole(arguments, metadata::SESSION);
    let scope = hole(arguments, format!("%\"{}\":%", metadata::SESSION));
    let exists = |compared: &str| {
        format!(
            "(EXISTS (SELECT 1 FROM trace_assessments a WHERE a.trace_id = t.trace_id AND {about}{compared}) \
             OR EXISTS (SELECT 1 FROM trace_metadata own JOIN trace_metadata other ON other.key = own.key \
             AND other.value = own.value JOIN trace_assessments a ON a.trace_id = other.trace_id \
             WHERE own.trace_id = t.trace_id AND own.key = {session} AND a.metadata LIKE {scope} \
             AND {about}{compared}))"
        )
    };
    let compared = match (comparison.operator, &comparison.operand) {
        (Operator::IsNull, _) => return Ok(format!("NOT {}", exists(""))),
        (Operator::IsNotNull, _) => return Ok(exists("")),
        // Values are JSON: a text stands in quotes there, a number or a boolean does not.
        (Operator::Eq | Operator::Ne, Operand::Text(value)) => {
            let plain = hole(arguments, value);
            let quoted = hole(arguments, dumped(&serde_json::Value::String(value.clone())));
            let not = if comparison.operator == Operator::Ne { "NOT " } else { "" };
            format!("{not}(a.value = {plain} OR a.value = {quoted})")
        }
        _ => text("a.value", comparison, arguments)?,
    };
    Ok(exists(&format!(" AND {compared}")))
}

fn span_text(comparison: &Comparison, arguments: &mut Vec<Value>) -> Result<String> {
    match comparison.operator {
        Operator::Like | Operator::ILike => text("s.content", comparison, arguments),
        _ => Err(wrong(comparison, "full text is compared with LIKE or ILIKE")),
    }
}

/// An attribute stands in a span's content as `"name": "<its JSON text>"`.
fn span_attribute(name: &str, comparison: &Comparison, arguments: &mut Vec<Value>) -> Result<String> {
    let values = match (&comparison.operand, comparison.operator) {
        (Operand::Text(pattern), Operator::Like | Operator::ILike) => {
            let pattern = format!("%\"{name}\"{pattern}%");
            return like("s.content", &pattern, comparison, arguments);
        }
        (Operand::Text(value), Operator::Eq | Operator::Ne) => std::slice::from_ref(value).to_vec(),
        (Operand::List(list), Operator::In | Operator::NotIn) => texts(comparison, list)?,
        _ => return Err(wrong(comparison, "span attributes are compared with = != IN LIKE ILIKE RLIKE")),
    };
    if values.len() > MAX_ATTRIBUTE_VALUES {
        let rule = "span attributes are compared with at most 200 values, or patterns that match as many";
        return Err(wrong(comparison, rule));
    }
    let holds = |needle: String, arguments: &mut Vec<Value>| {
        let needle = hole(arguments, needle);
        format!("REPLACE(s.content, {needle}, '') <> s.content")
    };
    let quoted = |text: &str| dumped(&serde_json::Value::String(text.to_owned()));
    let mut any = Vec::new();
    for value in values {
        for text in [value.clone(), quoted(&value)] {
            any.push(holds(format!("{}: {}", quoted(name), quoted(&text)), arguments));
        }
    }
    if any.is_empty() {
        any.push("1 = 0".to_owned());
    }
    let any = any.join(" OR ");
    Ok(match comparison.operator {
        Operator::Eq | Operator::In => format!("({any})"),
        _ => {
            let present = holds(format!("{}: ", quoted(name)), arguments);
            format!("({present} AND NOT ({any}))")
        }
    })
}

fn number(expression: &str, comparison: &Comparison, arguments: &mut Vec<Value>) -> Result<String> {
    let operator = comparison.operator;
    if matches!(operator, Operator::IsNull | Operator::IsNotNull) {
        return Ok(format!("{expression} {}", operator.name()));
    }
    let value = match &comparison.operand {
        Operand::Number(value) => Some(*value),
        Operand::Text(text) => text.trim().parse().ok(),
        Operand::None | Operand::List(_) => None,
    };
    let Some(value) = value.filter(|value: &f64| value.is_finite() && operator.is_numeric()) else {
        return Err(wrong(comparison, "expected a number after one of = != > >= < <="));
    };
    let sign = if operator == Operator::Ne { "<>" } else { operator.name() };
    if value.fract() == 0.0 && value.abs() < MAX_WHOLE {
        return Ok(format!("{expression} {sign} {}", hole(arguments, value as i64)));
    }
    Ok(format!("CAST({expression} AS DOUBLE PRECISION) {sign} {}", hole(arguments, value)))
}

fn text(column: &str, comparison: &Comparison, arguments: &mut Vec<Value>) -> Result<String> {
    Ok(match (comparison.operator, &comparison.operand) {
        (Operator::Eq, Operand::Text(value)) => format!("{column} = {}", hole(arguments, value)),
        (Operator::Ne, Operand::Text(value)) => format!("{column} <> {}", hole(arguments, value)),
        (Operator::Like | Operator::ILike, Operand::Text(value)) => {
            like(column, value, comparison, arguments)?
        }
        (Operator::In | Operator::NotIn, Operand::List(list)) => {
            let values = texts(comparison, list)?;
            format!("{column} {} {}", comparison.operator.name(), holes(arguments, &values))
        }
        (Operator::IsNull | Operator::IsNotNull, _) => format!("{column} {}", comparison.operator.name()),
        _ => {
            return Err(wrong(comparison, "expected a quoted text after one of = != LIKE ILIKE RLIKE IN"));
        }
    })
}

/// LIKE or ILIKE, as the comparison says.
fn like(column: &str, pattern: &str, comparison: &Comparison, arguments: &mut Vec<Value>) -> Result<String> {
    if pattern.len() > MAX_PATTERN_BYTES || pattern.contains(ESCAPE) {
        return Err(wrong(comparison, "patterns have at most 10,000 bytes and no control characters"));
    }
    let pattern = hole(arguments, pattern);
    Ok(match comparison.operator {
        Operator::ILike => format!("LOWER({column}) LIKE LOWER({pattern}) ESCAPE '{ESCAPE}'"),
        _ => format!("{column} LIKE {pattern} ESCAPE '{ESCAPE}'"),
    })
}

fn texts(comparison: &Comparison, list: &[Operand]) -> Result<Vec<String>> {
    let text = |operand: &Operand| match operand {
        Operand::Text(text) => Ok(text.clone()),
        _ => Err(wrong(comparison, "expected a list of quoted texts")),
    };
    list.iter().map(text).collect()
}

fn wrong(comparison: &Comparison, rule: &str) -> FilterError {
    FilterError::new("filter", comparison.text.clone(), rule)
}
