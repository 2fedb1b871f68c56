//! Questions over many traces.

use platform_web::mlflow::filter::{Expr, parse, parse_order};

use super::{Result, Traces};
use crate::TraceError;
use crate::correlation::{Correlation, Counts};
use crate::metrics::{DataPoint, MetricQuery};
use crate::model::Trace;
use crate::page;
use crate::store::{self, Position, Query};

const MAX_RESULTS: i64 = 500;
const DEFAULT_RESULTS: i64 = 100;
const MAX_EXPERIMENTS: usize = 1_000;
const MAX_ORDER_TERMS: usize = 20;

/// A search as a client words it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Search {
    pub experiments: Vec<String>,
    pub filter: String,
    pub order_by: Vec<String>,
    pub max_results: Option<i64>,
    pub page_token: Option<String>,
}

impl Traces {
    /// A page, and the token of the next one.
    pub(crate) async fn search(&self, search: Search) -> Result<(Vec<Trace>, Option<String>)> {
        let max_results = search.max_results.unwrap_or(DEFAULT_RESULTS);
        if !(1..=MAX_RESULTS).contains(&max_results) {
            let rule = format!("It must be a positive integer of at most {MAX_RESULTS}");
            return Err(TraceError::invalid("max_results", max_results.to_string(), rule));
        }
        check_experiments(&search.experiments)?;
        if search.order_by.len() > MAX_ORDER_TERMS {
            let rule = format!("at most {MAX_ORDER_TERMS} terms are taken");
            return Err(TraceError::invalid("order_by", search.order_by.len().to_string(), rule));
        }
        let limit = max_results as usize;
        let order = search
            .order_by
            .iter()
            .map(|text| parse_order(text))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let by_key = order.is_empty();
        let token = search.page_token.filter(|token| !token.is_empty());
        let after = token.map(|token| page::position(&token, by_key)).transpose()?;
        let experiments = self.seen(&search.experiments).await?;
        let filter = self.filter(&experiments, &search.filter).await?;
        // One more than asked tells whether there is a next page.
        let query = Query { experiments, filter, order, limit: limit + 1, after };
        let mut traces = store::search(&self.db, &query).await?;
        let more = traces.len() > limit;
        traces.truncate(limit);
        let next = traces.last().filter(|_| more).map(|last| match &query.after {
            Some(Position::Offset(skipped)) => Position::Offset(skipped + limit),
            _ if !by_key => Position::Offset(limit),
            _ => Position::Key { request_ms: last.request.as_millis(), trace_id: last.trace_id.clone() },
        });
        Ok((traces, next.as_ref().map(page::token)))
    }

    /// How two filters go together, among the traces that `base` finds.
    pub(crate) async fn correlation(
        &self,
        experiments: &[String],
        [first, second, base]: [&str; 3],
    ) -> Result<(Counts, Correlation)> {
        check_experiments(experiments)?;
        let experiments = &self.seen(experiments).await?;
        let first = self.filter(experiments, first).await?;
        let second = self.filter(experiments, second).await?;
        let base = self.filter(experiments, base).await?;
        let filters = [first.as_ref(), second.as_ref(), base.as_ref()];
        let counts = store::count_pair(&self.db, experiments, filters).await?;
        Ok((counts, counts.correlation()))
    }

    pub(crate) async fn data_points(&self, mut query: MetricQuery) -> Result<Vec<DataPoint>> {
        query.check()?;
        if !query.experiments.is_empty() {
            check_experiments(&query.experiments)?;
        }
        let asked = match query.experiments.is_empty() {
            true => store::traced_experiments(&self.db).await?,
            false => std::mem::take(&mut query.experiments),
        };
        query.experiments = self.seen(&asked).await?;
        // An empty list would ask for all.
        if query.experiments.is_empty() {
            return Ok(Vec::new());
        }
        store::data_points(&self.db, &query).await
    }

    async fn filter(&self, experiments: &[String], filter: &str) -> Result<Option<Expr>> {
        let Some(mut expr) = parse(filter)? else { return Ok(None) };
        store::resolve(&self.db, experiments, &mut expr).await?;
        Ok(Some(expr))
    }
}

fn check_experiments(experiments: &[String]) -> Result<()> {
    match experiments.len() {
        0 => Err(TraceError::Missing { field: "experiment_ids" }),
        count if count > MAX_EXPERIMENTS => {
            let rule = format!("at most {MAX_EXPERIMENTS} experiments are searched at once");
            Err(TraceError::invalid("experiment_ids", count.to_string(), rule))
        }
        _ => Ok(()),
    }
}
