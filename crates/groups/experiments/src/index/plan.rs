//! A filter and an order, checked and bound to columns.

use std::cmp::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use platform_web::mlflow::filter::{self, Comparison, Expr, FilterError, Operand, Operator};
use serde::{Deserialize, Serialize};

use super::columns::number_rank;
use super::shard::Hit;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum ColumnKey {
    Metric(String, Aggregate),
    Param(String),
    Tag(String),
    Attribute(Attribute),
    Dataset(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Aggregate {
    Latest,
    Min,
    Max,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Attribute {
    RunId,
    Name,
    Status,
    User,
    ArtifactUri,
    Start,
    End,
}

impl ColumnKey {
    pub fn is_number(&self) -> bool {
        matches!(self, Self::Metric(..) | Self::Attribute(Attribute::Start | Attribute::End))
    }
}

pub(super) enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Number(ColumnKey, Operator, f64),
    Text(ColumnKey, Operator, Vec<String>),
    IsMissing(ColumnKey, bool),
}

pub(super) struct Term {
    pub column: ColumnKey,
    pub ascending: bool,
}

pub(crate) struct Plan {
    pub(super) filter: Option<Node>,
    pub(super) order: Vec<Term>,
}

const SEARCHABLE: &str = "run_id, run_name, user_id, status, start_time, end_time, artifact_uri";

impl Plan {
    pub fn new(filter: &str, order_by: &[String]) -> Result<Self, FilterError> {
        let tree = filter::parse(filter)?;
        let filter = tree.map(|tree| node(filter, tree)).transpose()?;
        let mut order: Vec<Term> = Vec::new();
        for text in order_by {
            let wrong = |rule: String| FilterError::new("order_by", text, rule);
            let term = filter::parse_order(text)?;
            let column = column(&term.entity, &term.key, term.aggregate.as_deref()).map_err(&wrong)?;
            if matches!(column, ColumnKey::Dataset(_)) {
                return Err(wrong("Invalid identifier type 'dataset': data sets have no order".to_owned()));
            }
            if order.iter().any(|other| other.column == column) {
                return Err(wrong("`order_by` contains duplicate fields".to_owned()));
            }
            order.push(Term { column, ascending: term.ascending });
        }
        Ok(Self { filter, order })
    }

    pub(super) fn columns(&self) -> Vec<&ColumnKey> {
        fn collect<'p>(node: &'p Node, found: &mut Vec<&'p ColumnKey>) {
            match node {
                Node::And(parts) | Node::Or(parts) => parts.iter().for_each(|part| collect(part, found)),
                Node::Not(inner) => collect(inner, found),
                Node::Number(key, ..) | Node::Text(key, ..) | Node::IsMissing(key, _) => found.push(key),
            }
        }
        let mut found = Vec::new();
        if let Some(filter) = &self.filter {
            collect(filter, &mut found);
        }
        found.extend(self.order.iter().map(|term| &term.column));
        found
    }

    /// The order of hits from different experiments: by value, newest start, id.
    pub fn compare(&self, a: &Hit, b: &Hit) -> Ordering {
        for (term, (one, other)) in self.order.iter().zip(a.values.iter().zip(&b.values)) {
            let order = one.compare(other, term.ascending);
            if order.is_ne() {
                return order;
            }
        }
        b.start_ms.cmp(&a.start_ms).then_with(|| a.run_id.cmp(&b.run_id))
    }
}

fn node(filter: &str, tree: Expr) -> Result<Node, FilterError> {
    let all = |parts: Vec<Expr>| parts.into_iter().map(|part| node(filter, part)).collect::<Result<_, _>>();
    match tree {
        Expr::And(parts) => Ok(Node::And(all(parts)?)),
        Expr::Or(parts) => Ok(Node::Or(all(parts)?)),
        Expr::Not(inner) => Ok(Node::Not(Box::new(node(filter, *inner)?))),
        Expr::Compare(comparison) => {
            clause(comparison).map_err(|rule| FilterError::new("filter", filter, rule))
        }
    }
}

fn column(entity: &str, key: &str, aggregate: Option<&str>) -> Result<ColumnKey, String> {
    let aggregate = match aggregate {
        None | Some("last" | "latest") => Aggregate::Latest,
        Some("min") => Aggregate::Min,
        Some("max") => Aggregate::Max,
        Some("best") if is_smaller_better(key) => Aggregate::Min,
        Some("best") => Aggregate::Max,
        Some(other) => return Err(format!("Invalid aggregate '{other}': expected min, max, best or last")),
    };
    let column = match entity {
        "metrics" | "metric" => return Ok(ColumnKey::Metric(key.to_owned(), aggregate)),
        "params" | "param" | "parameters" | "parameter" => ColumnKey::Param(key.to_owned()),
        "tags" | "tag" => ColumnKey::Tag(key.to_owned()),
        "datasets" | "dataset" => match key {
            "name" => ColumnKey::Dataset(0),
            "digest" => ColumnKey::Dataset(1),
            "context" => ColumnKey::Dataset(2),
            _ => {
                return Err(format!(
                    "Invalid dataset key '{key}' specified. Valid keys are name, digest, context"
                ));
            }
        },
        "" | "attributes" | "attribute" | "attr" | "run" => ColumnKey::Attribute(match key {
            "run_id" => Attribute::RunId,
            "run_name" | "run name" | "Run name" | "Run Name" => Attribute::Name,
            "status" => Attribute::Status,
            "user_id" => Attribute::User,
            "artifact_uri" => Attribute::ArtifactUri,
            "start_time" | "created" | "Created" => Attribute::Start,
            "end_time" => Attribute::End,
            _ => return Err(format!("Invalid attribute key '{key}' specified. Valid keys are {SEARCHABLE}")),
        }),
        _ => {
            let kinds = "metric, parameter, tag, attribute, dataset";
            return Err(format!("Invalid entity type '{entity}'. Valid values are {kinds}"));
        }
    };
    if aggregate != Aggregate::Latest {
        return Err(format!("an aggregate is taken of metrics only, not of '{entity}.{key}'"));
    }
    Ok(column)
}

/// Whether the best value of a metric is its smallest, judged by its name.
pub(crate) fn is_smaller_better(key: &str) -> bool {
    let key = key.to_lowercase();
    ["loss", "error", "mae", "mse", "rmse", "mape", "deviance", "perplexity", "wer", "cer", "latency"]
        .iter()
        .any(|word| key.contains(word))
}

fn clause(comparison: Comparison) -> Result<Node, String> {
    let Comparison { entity, key, aggregate, operator, operand, text } = comparison;
    let column = column(&entity, &key, aggregate.as_deref())?;
    if matches!(operator, Operator::IsNull | Operator::IsNotNull) {
        return Ok(Node::IsMissing(column, operator == Operator::IsNull));
    }
    if column.is_number() {
        if !operator.is_numeric() {
            return Err(format!(
                "Invalid comparator '{}' in '{text}': expected >, >=, !=, =, < or <=",
                operator.name()
            ));
        }
        return match operand {
            Operand::Number(number) => Ok(Node::Number(column, operator, number)),
            _ => Err(format!("Expected numeric value type for '{key}' in '{text}'")),
        };
    }
    let many = matches!(operator, Operator::In | Operator::NotIn);
    if matches!(operator, Operator::Lt | Operator::Le | Operator::Gt | Operator::Ge | Operator::RLike) {
        let known = "=, !=, LIKE, ILIKE, IN, NOT IN";
        return Err(format!("Invalid comparator '{}' in '{text}': expected {known}", operator.name()));
    }
    let quoted = |operand: Operand| match operand {
        Operand::Text(text) => Ok(text),
        _ => Err(format!("Expected a quoted string value for '{key}' in '{text}'")),
    };
    let values = match operand {
        Operand::List(list) if many => list.into_iter().map(quoted).collect::<Result<Vec<_>, _>>()?,
        single => vec![quoted(single)?],
    };
    Ok(Node::Text(column, operator, values))
}

/// What a run has in a column of the order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum SortValue {
    Missing,
    /// The bits of the number: JSON knows no NaN.
    Number(u64),
    Text(String),
}

impl SortValue {
    fn compare(&self, other: &Self, ascending: bool) -> Ordering {
        let rank = |value: &Self| match value {
            Self::Number(bits) => number_rank(f64::from_bits(*bits), ascending),
            Self::Missing => u64::MAX,
            Self::Text(_) => 0,
        };
        match (self, other) {
            (Self::Text(one), Self::Text(two)) if ascending => one.cmp(two),
            (Self::Text(one), Self::Text(two)) => two.cmp(one),
            _ => rank(self).cmp(&rank(other)),
        }
    }
}

/// Where a page ended: the last run's place in the order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Token {
    pub values: Vec<SortValue>,
    pub start_ms: i64,
    pub run_id: String,
}

impl Token {
    pub fn encode(hit: &Hit) -> String {
        let token = (&hit.values, hit.start_ms, &hit.run_id);
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).expect("texts and numbers are JSON"))
    }

    pub fn decode(text: &str, plan: &Plan) -> Result<Self, FilterError> {
        let wrong =
            || FilterError::new("page_token", text, "Invalid page token: it is not a token of this search");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
        let (values, start_ms, run_id): (Vec<SortValue>, i64, String) =
            serde_json::from_slice(&bytes).map_err(|_| wrong())?;
        if values.len() != plan.order.len() {
            return Err(wrong());
        }
        Ok(Self { values, start_ms, run_id })
    }
}
