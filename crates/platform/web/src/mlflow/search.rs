//! A filter, an order and a page token of MLflow's, as SQL with arguments.
//!
//! Each group says what can be searched with a [`Domain`]; values always travel as arguments. Pages go by key: a token
//! holds the values of the last row's order, so a late page costs what the first one costs.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use platform_db::{Row, Value};

pub use super::filter::FilterError as SearchError;
use super::filter::{Comparison, Expr, Operand, Operator, parse, parse_order};

/// What is searched: its own columns and its side tables.
#[derive(Clone, Copy)]
pub struct Domain<'d> {
    /// Attribute name as clients write it, column, and whether it is a number.
    pub attributes: &'d [(&'d str, &'d str, bool)],
    pub sides: &'d [Side<'d>],
    /// Columns that make the order total, whether they ascend, and whether they are numbers.
    pub tie: &'d [(&'d str, bool, bool)],
}

#[derive(Clone, Copy)]
pub struct Side<'d> {
    pub names: &'d [&'d str],
    pub table: &'d str,
    /// `SELECT` condition that joins, for example `s.run_id = r.id`; it may name arguments of the caller.
    pub join: &'d str,
    pub numeric: bool,
    /// `!=` finds rows that lack the key too.
    pub missing_differs: bool,
}

/// What a client asked for.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    pub filter: String,
    pub order_by: Vec<String>,
    pub token: Option<String>,
    pub limit: usize,
}

/// A statement that gives one row more than the page holds.
pub struct Paged {
    pub sql: String,
    pub arguments: Vec<Value>,
    /// Columns that the caller asked for; the order's values follow them.
    columns: usize,
    limit: usize,
}

/// Values beside one `IN`.
const LIST_MAX: usize = 1_000;

const ATTRIBUTE: [&str; 5] = ["", "attribute", "attributes", "attr", "run"];

fn is_attribute(entity: &str) -> bool {
    ATTRIBUTE.contains(&entity)
}

/// `select` are `columns` columns; `from` is `FROM … WHERE …` with `arguments`.
pub fn paged(
    domain: &Domain<'_>,
    (select, columns): (&str, usize),
    from: &str,
    mut arguments: Vec<Value>,
    ask: &Ask,
) -> Result<Paged, SearchError> {
    let filter = conditions(domain, &ask.filter, &mut arguments)?;
    let terms = order_terms(domain, &ask.order_by, &mut arguments)?;
    let after = match ask.token.as_deref().filter(|token| !token.is_empty()) {
        None => String::new(),
        Some(token) => format!(" AND {}", after(&terms, token, &mut arguments)?),
    };
    let values: Vec<&str> = terms.iter().map(|term| term.expression.as_str()).collect();
    let order: Vec<String> = terms
        .iter()
        .map(|term| {
            let direction = if term.ascending { "ASC" } else { "DESC" };
            match term.may_miss {
                true => format!("CASE WHEN {0} IS NULL THEN 1 ELSE 0 END, {0} {direction}", term.expression),
                false => format!("{} {direction}", term.expression),
            }
        })
        .collect();
    let limit = ask.limit + 1;
    let sql = format!(
        "SELECT {select}, {} {from}{filter}{after} ORDER BY {} LIMIT {limit}",
        values.join(", "),
        order.join(", ")
    );
    Ok(Paged { sql, arguments, columns, limit: ask.limit })
}

impl Paged {
    /// Cuts `rows` to the page; the token of the next one when there is more.
    pub fn cut(&self, rows: &mut Vec<Row>) -> Option<String> {
        if rows.len() <= self.limit {
            return None;
        }
        rows.truncate(self.limit);
        let last = rows.last()?;
        let mut values = Vec::new();
        for index in self.columns..last.len() {
            values.push(match last.value(index) {
                Value::Int(value) => (*value).into(),
                Value::Bool(value) => i64::from(*value).into(),
                Value::Real(value) => (*value).into(),
                Value::Text(value) => value.as_str().into(),
                Value::Null | Value::Bytes(_) => serde_json::Value::Null,
            });
        }
        Some(URL_SAFE_NO_PAD.encode(serde_json::Value::Array(values).to_string()))
    }
}

struct Term {
    expression: String,
    ascending: bool,
    may_miss: bool,
    numeric: bool,
}

/// Rows behind the one whose values the token holds: equal in the first terms and behind in the next.
fn after(terms: &[Term], token: &str, arguments: &mut Vec<Value>) -> Result<String, SearchError> {
    let wrong = || SearchError::new("page_token", token, "it is not a token of this search");
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| wrong())?;
    let values: Vec<serde_json::Value> = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
    if values.len() != terms.len() {
        return Err(wrong());
    }
    let mut holes = Vec::new();
    for (value, term) in values.iter().zip(terms) {
        let value = match value {
            serde_json::Value::Null if term.may_miss => {
                holes.push(None);
                continue;
            }
            serde_json::Value::Number(number) if term.numeric => match number.as_i64() {
                Some(whole) if !term.may_miss => Value::Int(whole),
                _ => Value::Real(number.as_f64().ok_or_else(wrong)?),
            },
            serde_json::Value::String(text) if !term.numeric => Value::Text(text.clone()),
            _ => return Err(wrong()),
        };
        arguments.push(value);
        holes.push(Some(format!("${}", arguments.len())));
    }
    let mut branches = Vec::new();
    let mut equal = String::new();
    for (term, hole) in terms.iter().zip(&holes) {
        let expression = &term.expression;
        if let Some(hole) = hole {
            let sign = if term.ascending { '>' } else { '<' };
            let behind = match term.may_miss {
                true => format!("({expression} {sign} {hole} OR {expression} IS NULL)"),
                false => format!("{expression} {sign} {hole}"),
            };
            branches.push(format!("({equal}{behind})"));
        }
        equal.push_str(&match hole {
            Some(hole) => format!("{expression} = {hole} AND "),
            None => format!("{expression} IS NULL AND "),
        });
    }
    Ok(format!("({})", branches.join(" OR ")))
}

/// `AND …` for `filter`, with its arguments; empty for no filter.
pub fn conditions(
    domain: &Domain<'_>,
    filter: &str,
    arguments: &mut Vec<Value>,
) -> Result<String, SearchError> {
    match parse(filter)? {
        None => Ok(String::new()),
        Some(tree) => Ok(format!(" AND {}", condition(domain, filter, &tree, arguments)?)),
    }
}

fn condition(
    domain: &Domain<'_>,
    filter: &str,
    tree: &Expr,
    arguments: &mut Vec<Value>,
) -> Result<String, SearchError> {
    let mut joined = |parts: &[Expr], word: &str| -> Result<String, SearchError> {
        let parts: Result<Vec<_>, _> =
            parts.iter().map(|part| condition(domain, filter, part, arguments)).collect();
        Ok(format!("({})", parts?.join(word)))
    };
    match tree {
        Expr::And(parts) => joined(parts, " AND "),
        Expr::Or(parts) => joined(parts, " OR "),
        Expr::Not(inner) => Ok(format!("NOT ({})", condition(domain, filter, inner, arguments)?)),
        Expr::Compare(comparison) => clause(domain, filter, comparison, arguments),
    }
}

fn clause(
    domain: &Domain<'_>,
    filter: &str,
    comparison: &Comparison,
    arguments: &mut Vec<Value>,
) -> Result<String, SearchError> {
    let Comparison { entity, key, operator, operand, .. } = comparison;
    let wrong = |rule: String| SearchError::new("filter", filter, rule);
    if let Some(call) = &comparison.aggregate {
        return Err(wrong(format!("{call}(…) is not known here")));
    }
    if is_attribute(entity) {
        let found = domain.attributes.iter().find(|(name, _, _)| name == key);
        let Some((_, column, numeric)) = found else {
            let known: Vec<_> = domain.attributes.iter().map(|(name, _, _)| *name).collect();
            return Err(wrong(format!(
                "Invalid attribute key '{key}' specified. Valid keys are {}",
                known.join(", ")
            )));
        };
        if *operand == Operand::None {
            return Ok(format!("{column} {}", operator.name()));
        }
        return compared(filter, column, *operator, *numeric, operand, arguments);
    }
    let side = domain.sides.iter().find(|side| side.names.contains(&entity.as_str()));
    let Some(side) = side else {
        let known: Vec<_> = domain.sides.iter().map(|side| side.names[0]).collect();
        return Err(wrong(format!(
            "Invalid entity type '{entity}'. Valid values are {}, attribute",
            known.join(", ")
        )));
    };
    arguments.push(Value::Text(key.clone()));
    let (table, join, hole) = (side.table, side.join, arguments.len());
    let exists = |condition: &str| {
        format!("EXISTS (SELECT 1 FROM {table} s WHERE {join} AND s.key = ${hole}{condition})")
    };
    Ok(match operator {
        Operator::IsNull => format!("NOT {}", exists("")),
        Operator::IsNotNull => exists(""),
        Operator::Ne if side.missing_differs => {
            let equal = compared(filter, "s.value", Operator::Eq, side.numeric, operand, arguments)?;
            format!("NOT {}", exists(&format!(" AND {equal}")))
        }
        _ => {
            let found = compared(filter, "s.value", *operator, side.numeric, operand, arguments)?;
            exists(&format!(" AND {found}"))
        }
    })
}

fn compared(
    filter: &str,
    column: &str,
    operator: Operator,
    numeric: bool,
    operand: &Operand,
    arguments: &mut Vec<Value>,
) -> Result<String, SearchError> {
    let wrong = |rule: String| SearchError::new("filter", filter, rule);
    let mut hole = |operand: &Operand| -> Result<String, SearchError> {
        arguments.push(match operand {
            // A fraction beside a column of whole numbers is a comparison of reals in both engines.
            Operand::Number(number) if numeric => Value::Real(*number),
            Operand::Text(text) if !numeric => Value::Text(text.clone()),
            _ => {
                let expected = if numeric { "a number" } else { "a quoted string" };
                return Err(wrong(format!("expected {expected} beside {}", operator.name())));
            }
        });
        Ok(match numeric {
            true => format!("CAST(${} AS DOUBLE PRECISION)", arguments.len()),
            false => format!("${}", arguments.len()),
        })
    };
    let allowed = match operator {
        Operator::Eq | Operator::Ne | Operator::In | Operator::NotIn => true,
        Operator::Like | Operator::ILike => !numeric,
        Operator::RLike => false,
        _ => numeric,
    };
    if !allowed {
        let kinds = if numeric { "=, !=, <, <=, >, >=" } else { "=, !=, LIKE, ILIKE, IN, NOT IN" };
        return Err(wrong(format!("Invalid comparator '{}': expected one of {kinds}", operator.name())));
    }
    Ok(match (operator, operand) {
        (Operator::In | Operator::NotIn, Operand::List(list)) => {
            if list.len() > LIST_MAX {
                return Err(wrong(format!("{} values in a list, at most {LIST_MAX} are taken", list.len())));
            }
            let holes: Result<Vec<_>, _> = list.iter().map(hole).collect();
            format!("{column} {} ({})", operator.name(), holes?.join(", "))
        }
        (Operator::Like, _) => format!("{column} LIKE {} {ESCAPE}", hole(&plain(operand))?),
        (Operator::ILike, _) => format!("LOWER({column}) LIKE LOWER({}) {ESCAPE}", hole(&plain(operand))?),
        (Operator::Ne, _) => format!("{column} <> {}", hole(operand)?),
        _ => format!("{column} {} {}", operator.name(), hole(operand)?),
    })
}

/// Texts in the order of their bytes, whatever language the database orders by.
fn by_bytes(expression: String, numeric: bool) -> String {
    if numeric { expression } else { format!("{expression} COLLATE \"C\"") }
}

/// Backslashes mean themselves, as in MLflow; PostgreSQL takes them for escapes unless another sign is named.
const ESCAPE: &str = "ESCAPE '\u{1}'";

fn plain(operand: &Operand) -> Operand {
    match operand {
        Operand::Text(text) => Operand::Text(text.replace('\u{1}', "\u{1}\u{1}")),
        other => other.clone(),
    }
}

fn order_terms(
    domain: &Domain<'_>,
    order_by: &[String],
    arguments: &mut Vec<Value>,
) -> Result<Vec<Term>, SearchError> {
    let mut terms: Vec<Term> = Vec::new();
    for text in order_by {
        let wrong = |rule: String| SearchError::new("order_by", text, rule);
        let order = parse_order(text)?;
        if let Some(call) = &order.aggregate {
            return Err(wrong(format!("{call}(…) is not known here")));
        }
        let term = if is_attribute(&order.entity) {
            let found = domain.attributes.iter().find(|(name, _, _)| *name == order.key);
            let (_, column, numeric) =
                found.ok_or_else(|| wrong(format!("Invalid order by key '{}' specified", order.key)))?;
            let expression = by_bytes((*column).to_owned(), *numeric);
            Term { expression, ascending: order.ascending, may_miss: false, numeric: *numeric }
        } else {
            let side = domain.sides.iter().find(|side| side.names.contains(&order.entity.as_str()));
            let side = side
                .ok_or_else(|| wrong(format!("Invalid order_by entity type '{}' specified", order.entity)))?;
            arguments.push(Value::Text(order.key));
            let (table, join, hole) = (side.table, side.join, arguments.len());
            // One value a row, also where a side table holds several per key.
            let value = by_bytes("s.value".to_owned(), side.numeric);
            let expression = format!("(SELECT MAX({value}) FROM {table} s WHERE {join} AND s.key = ${hole})");
            let expression = by_bytes(expression, side.numeric);
            Term { expression, ascending: order.ascending, may_miss: true, numeric: side.numeric }
        };
        if terms.iter().any(|other| other.expression == term.expression) {
            return Err(wrong("`order_by` contains duplicate fields".to_owned()));
        }
        terms.push(term);
    }
    for (column, ascending, numeric) in domain.tie {
        let expression = by_bytes((*column).to_owned(), *numeric);
        if !terms.iter().any(|term| term.expression == expression) {
            terms.push(Term { expression, ascending: *ascending, may_miss: false, numeric: *numeric });
        }
    }
    Ok(terms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOMAIN: Domain<'static> = Domain {
        attributes: &[("status", "r.status", false), ("start_time", "r.start_ms", true)],
        sides: &[Side {
            names: &["metrics", "metric"],
            table: "metric_latest",
            join: "s.run_id = r.id",
            numeric: true,
            missing_differs: false,
        }],
        tie: &[("r.start_ms", false, true), ("r.id", true, false)],
    };

    #[test]
    fn filters_become_conditions() {
        let mut arguments = Vec::new();
        let sql = conditions(&DOMAIN, "metrics.`my mae` <= 1.5e0 OR NOT status = 'FINISHED'", &mut arguments)
            .unwrap();
        assert_eq!(
            sql,
            " AND (EXISTS (SELECT 1 FROM metric_latest s WHERE s.run_id = r.id AND s.key = $1 AND s.value <= CAST($2 AS DOUBLE PRECISION)) \
             OR NOT (r.status = $3))"
        );
        assert_eq!(arguments[0], Value::Text("my mae".to_owned()));
        assert_eq!(arguments[1], Value::Real(1.5));
    }

    #[test]
    fn what_cannot_be_searched_is_refused() {
        for filter in
            ["metrics.a LIKE 'x'", "metrics.a < 'x'", "status > 'x'", "color = 'red'", "wheels.a = 'x'"]
        {
            assert!(conditions(&DOMAIN, filter, &mut Vec::new()).is_err(), "{filter}");
        }
        for order in ["color", "wheels.a", "status AND"] {
            assert!(order_terms(&DOMAIN, &[order.to_owned()], &mut Vec::new()).is_err(), "{order}");
        }
    }

    #[test]
    fn a_token_continues_behind_the_last_row() {
        let token = URL_SAFE_NO_PAD.encode("[null,17,\"b\"]");
        let order_by = vec!["metrics.a DESC".to_owned()];
        let ask = Ask { order_by, token: Some(token), limit: 10, ..Ask::default() };
        let paged = paged(&DOMAIN, ("r.id", 1), "FROM runs r WHERE 1 = 1", Vec::new(), &ask).unwrap();
        let value = "(SELECT MAX(s.value) FROM metric_latest s WHERE s.run_id = r.id AND s.key = $1)";
        let behind = format!(
            "AND (({value} IS NULL AND r.start_ms < $2) OR ({value} IS NULL AND r.start_ms = $2 AND r.id COLLATE \"C\" > $3)) ORDER"
        );
        assert!(paged.sql.contains(&behind), "{}", paged.sql);
        for bad in ["x!", "W10", "eyJ9"] {
            let ask = Ask { token: Some(bad.to_owned()), limit: 10, ..Ask::default() };
            assert!(super::paged(&DOMAIN, ("r.id", 1), "FROM runs r WHERE 1 = 1", Vec::new(), &ask).is_err());
        }
    }
}
