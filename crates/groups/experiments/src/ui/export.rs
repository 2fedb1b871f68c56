//! All matching runs as CSV or Parquet, with the columns that the table shows.

use axum::body::Body;
use axum::extract::{Path, Query as UrlQuery, State};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::header;
use platform_primitives::Timestamp;
use platform_web::dialect::PageResult;

use super::Pages;
use super::columns::{Column, Raw};
use super::table::Ask;
use crate::model::RunRecord;
use crate::{ExperimentError, Experiments};

/// Runs read at a time: the file is written while it is read.
const PAGE: usize = 256;

const FIXED: [&str; 6] = ["run_id", "run_name", "status", "user_id", "start_time", "end_time"];

pub(super) async fn csv(
    State(pages): State<Pages>,
    Path(id): Path<i64>,
    UrlQuery(ask): UrlQuery<Ask>,
) -> PageResult<Response> {
    let order = ask.order();
    let ids = pages.service.matching_runs(id, ask.view()?, (ask.filter(), &order)).await?;
    let first = pages.service.records(ids.iter().take(PAGE).cloned().collect()).await?;
    let columns = ask.columns(&first)?;
    let mut head: Vec<String> = FIXED.iter().map(|name| (*name).to_owned()).collect();
    head.extend(columns.iter().map(|column| column.term.clone()));
    let start = Export { service: pages.service, ids, columns, at: 0, head: Some(line(&head)) };
    let body = Body::from_stream(stream::try_unfold(start, next_page));
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"runs-{id}.csv\"")),
    ];
    Ok((headers, body).into_response())
}

/// A Parquet file is put together in memory.
const PARQUET_RUNS: usize = 200_000;

pub(super) async fn parquet(
    State(pages): State<Pages>,
    Path(id): Path<i64>,
    UrlQuery(ask): UrlQuery<Ask>,
) -> PageResult<Response> {
    let order = ask.order();
    let ids = pages.service.matching_runs(id, ask.view()?, (ask.filter(), &order)).await?;
    if ids.len() > PARQUET_RUNS {
        let rule =
            format!("{} runs match, a Parquet file takes at most {PARQUET_RUNS}; CSV takes all", ids.len());
        return Err(ExperimentError::invalid("filter", ask.filter(), rule).into());
    }
    let mut fixed: [Vec<Option<String>>; 4] = Default::default();
    let mut times: [Vec<Option<Timestamp>>; 2] = Default::default();
    let mut columns: Vec<Column> = Vec::new();
    let mut values: Vec<Vec<Raw>> = Vec::new();
    for (place, page) in ids.chunks(PAGE).enumerate() {
        let records = pages.service.records(page.to_vec()).await?;
        if place == 0 {
            columns = ask.columns(&records)?;
            values.resize_with(columns.len(), Vec::new);
        }
        for record in &records {
            let run = &record.run;
            let texts =
                [&run.id, &run.name, run.status.name(), &run.user].map(|text: &str| Some(text.to_owned()));
            fixed.iter_mut().zip(texts).for_each(|(column, text)| column.push(text));
            times[0].push(Some(run.start));
            times[1].push(run.end);
            values.iter_mut().zip(&columns).for_each(|(held, column)| held.push(column.raw(record)));
        }
    }
    let texts = fixed.into_iter().map(platform_tables::Column::Text);
    let times = times.into_iter().map(platform_tables::Column::Time);
    let mut table: Vec<(String, platform_tables::Column)> =
        FIXED.iter().map(|name| (*name).to_owned()).zip(texts.chain(times)).collect();
    table.extend(columns.iter().zip(values).map(|(column, values)| (column.term.clone(), typed(values))));
    let bytes = platform_tables::Table::new(table).and_then(|table| platform_tables::write_parquet(&table));
    let headers = [
        (header::CONTENT_TYPE, "application/vnd.apache.parquet".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"runs-{id}.parquet\"")),
    ];
    Ok((headers, bytes.map_err(ExperimentError::Export)?).into_response())
}

/// Numbers stay numbers; a column with any text in it is one of texts.
fn typed(values: Vec<Raw>) -> platform_tables::Column {
    if values.iter().any(|value| matches!(value, Raw::Text(_))) {
        let text = |value| match value {
            Raw::Number(number) => Some(number.to_string()),
            Raw::Text(text) => Some(text),
            Raw::Missing => None,
        };
        return platform_tables::Column::Text(values.into_iter().map(text).collect());
    }
    let number = |value| match value {
        Raw::Number(number) => number,
        _ => f64::NAN,
    };
    platform_tables::Column::Real(values.into_iter().map(number).collect())
}

/// How far the file is written.
struct Export {
    service: Experiments,
    ids: Vec<String>,
    columns: Vec<Column>,
    at: usize,
    head: Option<String>,
}

async fn next_page(mut export: Export) -> Result<Option<(String, Export)>, ExperimentError> {
    if let Some(head) = export.head.take() {
        return Ok(Some((head, export)));
    }
    if export.at >= export.ids.len() {
        return Ok(None);
    }
    let end = (export.at + PAGE).min(export.ids.len());
    let records = export.service.records(export.ids[export.at..end].to_vec()).await?;
    export.at = end;
    let text: String = records.iter().map(|record| line(&fields(record, &export.columns))).collect();
    Ok(Some((text, export)))
}

fn fields(record: &RunRecord, columns: &[Column]) -> Vec<String> {
    let run = &record.run;
    let mut fields = vec![
        run.id.clone(),
        run.name.clone(),
        run.status.name().to_owned(),
        run.user.clone(),
        run.start.to_string(),
        run.end.map(|end| end.to_string()).unwrap_or_default(),
    ];
    fields.extend(columns.iter().map(|column| match column.raw(record) {
        Raw::Number(number) => number.to_string(),
        Raw::Text(text) => text,
        Raw::Missing => String::new(),
    }));
    fields
}

/// RFC 4180, and no field that a spreadsheet would take for a formula.
fn line(fields: &[String]) -> String {
    let quoted: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
    format!("{}\r\n", quoted.join(","))
}

fn quoted(field: &str) -> String {
    let is_number = field.parse::<f64>().is_ok();
    let formula = field.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) && !is_number;
    let field = if formula { format!("'{field}") } else { field.to_owned() };
    match field.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_commas_and_disarms_formulas() {
        let fields = ["a,b", "say \"x\"", "=1+1", "-0.5"].map(str::to_owned);
        assert_eq!(line(&fields), "\"a,b\",\"say \"\"x\"\"\",'=1+1,-0.5\r\n");
    }
}
