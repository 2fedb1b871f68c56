//! Runs as searches read them: only the fields that a search looks at, decoded no further than it needs.

use std::borrow::Cow;
use std::fmt;

use kernel_series::{Summaries, Summary};
use platform_db::{Row, args};
use serde::Deserialize;
use serde::de::{Deserializer as _, MapAccess, Visitor};

use super::runs::{RUN, run};
use super::{LIST_MAX, Result, Rows, holes, tail_of};
use crate::model::Run;

/// Which fields a scan reads of each run, beside its id, its start and whether it is deleted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    pub attributes: bool,
    pub params: bool,
    pub tags: bool,
    pub metrics: bool,
}

impl Fields {
    pub const NONE: Self = Self { attributes: false, params: false, tags: false, metrics: false };
    pub const ALL: Self = Self { attributes: true, params: true, tags: true, metrics: true };

    pub fn is_none(self) -> bool {
        !(self.attributes || self.params || self.tags || self.metrics)
    }

    fn select(self) -> String {
        let column = |wanted: bool, name: &'static str| if wanted { name } else { "NULL" };
        let (params, tags) = (column(self.params, "r.params"), column(self.tags, "r.tags"));
        let metrics = column(self.metrics, "r.metrics");
        let run = if self.attributes { format!(", {RUN}") } else { String::new() };
        format!("SELECT r.id, r.start_ms, r.deleted, {params}, {tags}, {metrics}{run} FROM runs r")
    }
}

/// Columns before those of [`RUN`].
const BEFORE_RUN: usize = 6;

pub(crate) struct ScannedRun {
    pub id: String,
    pub start_ms: i64,
    pub deleted: bool,
    /// Name, status and so on, if they were asked for.
    pub run: Option<Run>,
    params: String,
    tags: String,
    metrics: Vec<u8>,
    /// Points that are not folded yet.
    tail: Option<Summaries>,
}

impl ScannedRun {
    fn of(mut row: Row, fields: Fields) -> Result<Self> {
        let mut text = |index, wanted| if wanted { row.take_string(index) } else { Ok(String::new()) };
        let (params, tags) = (text(3, fields.params)?, text(4, fields.tags)?);
        Ok(Self {
            run: fields.attributes.then(|| run(&row, BEFORE_RUN)).transpose()?,
            start_ms: row.int(1)?,
            deleted: row.bool(2)?,
            params,
            tags,
            metrics: if fields.metrics { row.take_bytes(5)? } else { Vec::new() },
            tail: None,
            id: row.take_string(0)?,
        })
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        let root = self.run.as_ref().map_or(0, |run| run.artifact_root.len());
        512 + root + self.params.len() + self.tags.len() + self.metrics.len()
    }

    pub fn metric(&self, key: &str) -> Result<Option<Summary>> {
        let folded = Summaries::find(&self.metrics, key)?;
        let waiting = self.tail.as_ref().and_then(|tail| tail.get(key)).copied();
        Ok(match (folded, waiting) {
            (Some(mut summary), Some(more)) => {
                summary.merge(&more);
                Some(summary)
            }
            (one, other) => one.or(other),
        })
    }

    pub fn each_metric_key(&self, mut each: impl FnMut(&str)) -> Result<()> {
        Summaries::scan(&self.metrics, |key, _| {
            each(key);
            true
        })?;
        if let Some(tail) = &self.tail {
            tail.iter().for_each(|(key, _)| each(key));
        }
        Ok(())
    }

    pub fn each_param(&self, each: impl FnMut(&str, &str)) {
        each_text(&self.params, each);
    }

    pub fn each_tag(&self, each: impl FnMut(&str, &str)) {
        each_text(&self.tags, each);
    }
}

/// Gives each key and value of a map of texts as it is stored; nothing of nothing.
fn each_text(json: &str, each: impl FnMut(&str, &str)) {
    if json.is_empty() || json == "{}" {
        return;
    }
    let mut texts = serde_json::Deserializer::from_str(json);
    texts.deserialize_map(Texts(each)).expect("the column holds what `texts` wrote");
}

struct Texts<E>(E);

#[derive(Deserialize)]
struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de, E: FnMut(&str, &str)> Visitor<'de> for Texts<E> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map of texts")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> std::result::Result<(), A::Error> {
        while let Some((key, value)) = map.next_entry::<Borrowed<'de>, Borrowed<'de>>()? {
            (self.0)(&key.0, &value.0);
        }
        Ok(())
    }
}

/// At most [`LIST_MAX`] runs whole, in no order.
pub(crate) fn scan_runs(rows: &mut impl Rows, ids: &[String]) -> Result<Vec<ScannedRun>> {
    let mut arguments = Vec::new();
    let list = holes(ids, &mut arguments);
    let answer = rows.rows(&format!("{} WHERE r.id IN ({list})", Fields::ALL.select()), arguments)?;
    scanned(rows, answer, Fields::ALL)
}

/// A run's place in the order in which an experiment is scanned: its start and its id.
pub(crate) type ScanKey = (i64, String);

/// One page of the runs of an experiment behind `after` and, where there is an end, not behind `upto`; index `runs_by_experiment`.
pub(crate) fn scan_experiment(
    rows: &mut impl Rows,
    experiment: i64,
    fields: Fields,
    (after, upto): (&ScanKey, Option<&ScanKey>),
    limit: usize,
) -> Result<Vec<ScannedRun>> {
    let mut arguments = args![experiment, after.0, &after.1, limit as i64];
    let mut end = "";
    if let Some(upto) = upto {
        arguments.extend(args![upto.0, &upto.1]);
        end = " AND (r.start_ms, r.id) <= ($5, $6)";
    }
    let sql = format!(
        "{} WHERE r.experiment_id = $1 AND (r.start_ms, r.id) > ($2, $3){end} ORDER BY r.start_ms, r.id LIMIT $4",
        fields.select()
    );
    let answer = rows.rows(&sql, arguments)?;
    scanned(rows, answer, fields)
}

fn scanned(rows: &mut impl Rows, answer: Vec<Row>, fields: Fields) -> Result<Vec<ScannedRun>> {
    let mut found = Vec::with_capacity(answer.len());
    for row in answer {
        found.push(ScannedRun::of(row, fields)?);
    }
    if fields.metrics {
        for page in found.chunks_mut(LIST_MAX) {
            let ids: Vec<String> = page.iter().map(|scanned| scanned.id.clone()).collect();
            let mut tail = tail_of(rows, &ids)?;
            if !tail.is_empty() {
                page.iter_mut().for_each(|scanned| scanned.tail = tail.remove(&scanned.id));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_given_as_they_were_written() {
        let mut found = Vec::new();
        each_text(r#"{"a":"","b\"c":"line\nline","d":"é"}"#, |key, value| {
            found.push((key.to_owned(), value.to_owned()));
        });
        let expected = [("a", ""), ("b\"c", "line\nline"), ("d", "é")];
        assert_eq!(found, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        each_text("{}", |_, _| panic!("nothing is given"));
        each_text("", |_, _| panic!("nothing is given"));
    }
}
