//! Searches of traces, page by page.

use std::collections::HashSet;

use platform_db::{Db, Value};
use platform_web::mlflow::filter::{Expr, FilterError, OrderTerm};

use super::filter::{Field, check_size, condition, field};
use super::traces::{TRACE, attach, trace};
use super::{Result, hole, holes};
use crate::correlation::Counts;
use crate::model::Trace;
use crate::names::metadata;

/// What is searched for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pub experiments: Vec<String>,
    pub filter: Option<Expr>,
    /// Empty: newest first.
    pub order: Vec<OrderTerm>,
    pub limit: usize,
    pub after: Option<Position>,
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Position {
    /// After this trace; for the order that the index has.
    Key { request_ms: i64, trace_id: String },
    /// After so many; for an order that a client asked for.
    Offset(usize),
}

/// Up to `limit` traces with what hangs on them. The default order is read from `traces_by_time`.
pub(crate) async fn search(db: &Db, query: &Query) -> Result<Vec<Trace>> {
    let mut arguments = Vec::new();
    let mut conditions = vec![format!("t.experiment_id IN {}", holes(&mut arguments, &query.experiments))];
    if let Some(expr) = &query.filter {
        conditions.push(condition(expr, &mut arguments)?);
    }
    let mut offset = 0;
    match &query.after {
        Some(Position::Key { request_ms, trace_id }) => {
            let at = hole(&mut arguments, *request_ms);
            let id = hole(&mut arguments, trace_id);
            conditions.push(format!("(t.request_ms < {at} OR (t.request_ms = {at} AND t.trace_id > {id}))"));
        }
        Some(Position::Offset(skipped)) => offset = *skipped,
        None => {}
    }
    let order = order(&query.order, &mut arguments)?;
    let sql = format!(
        "SELECT {TRACE} FROM traces t WHERE {} ORDER BY {order} LIMIT {} OFFSET {offset}",
        conditions.join(" AND "),
        query.limit
    );
    check_size(&arguments)?;
    let rows = db.read(sql, arguments).await?;
    let mut traces = rows.iter().map(trace).collect::<Result<Vec<_>>>()?;
    attach(db, &mut traces).await?;
    Ok(traces)
}

fn order(terms: &[OrderTerm], arguments: &mut Vec<Value>) -> Result<String> {
    let mut sql = Vec::new();
    let mut seen = HashSet::new();
    for term in terms {
        let wrong = |rule: &str| FilterError::new("order_by", term.key.clone(), rule);
        let field = field("order_by", &term.entity, &term.key)?;
        let value = match &field {
            Field::Number(expression) | Field::Text(expression) => (*expression).to_owned(),
            Field::Side(side) => {
                let key = hole(arguments, &side.key);
                let table = side.table;
                format!("(SELECT x.value FROM {table} x WHERE x.trace_id = t.trace_id AND x.key = {key})")
            }
            Field::Run => {
                let key = hole(arguments, metadata::SOURCE_RUN);
                format!(
                    "(SELECT x.value FROM trace_metadata x WHERE x.trace_id = t.trace_id AND x.key = {key})"
                )
            }
            _ => return Err(wrong("Invalid identifier type: traces cannot be ordered by this").into()),
        };
        if !seen.insert(format!("{field:?}")) {
            return Err(wrong("`order_by` contains duplicate fields").into());
        }
        let direction = if term.ascending { "ASC" } else { "DESC" };
        // Missing values come last in both directions.
        sql.push(format!("CASE WHEN {value} IS NULL THEN 1 ELSE 0 END, {value} {direction}"));
    }
    for (column, term) in
        [(Field::Number("t.request_ms"), "t.request_ms DESC"), (Field::Text("t.trace_id"), "t.trace_id ASC")]
    {
        if !seen.contains(&format!("{column:?}")) {
            sql.push(term.to_owned());
        }
    }
    Ok(sql.join(", "))
}

/// How many traces of the experiments two filters find, among those that a third finds.
pub(crate) async fn count_pair(
    db: &Db,
    experiments: &[String],
    [first, second, base]: [Option<&Expr>; 3],
) -> Result<Counts> {
    let mut arguments = Vec::new();
    let within = format!("t.experiment_id IN {}", holes(&mut arguments, experiments));
    let mut part = |expr: Option<&Expr>| match expr {
        Some(expr) => condition(expr, &mut arguments),
        None => Ok("1 = 1".to_owned()),
    };
    let (first, second, base) = (part(first)?, part(second)?, part(base)?);
    let count = |condition: &str| format!("COALESCE(SUM(CASE WHEN {condition} THEN 1 ELSE 0 END), 0)");
    let sql = format!(
        "SELECT COUNT(*), {}, {}, {} FROM traces t WHERE {within} AND {base}",
        count(&first),
        count(&second),
        count(&format!("{first} AND {second}"))
    );
    check_size(&arguments)?;
    let rows = db.read(sql, arguments).await?;
    let number = |column: usize| rows.first().map_or(Ok(0), |row| row.int(column));
    Ok(Counts { total: number(0)?, first: number(1)?, second: number(2)?, joint: number(3)? })
}
