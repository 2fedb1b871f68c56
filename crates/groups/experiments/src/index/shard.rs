//! The runs of one experiment as columns.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use platform_web::mlflow::filter::{Operator, like};

use super::columns::{Column, Texts, is_missing, missing, number_rank};
use super::plan::{Aggregate, Attribute, ColumnKey, Node, Plan, SortValue, Token};
use crate::ExperimentError;
use crate::store::{Fields, ScanKey, ScannedRun, View};

/// Columns of one experiment in memory: a reader can name any key.
const COLUMNS_MAX: usize = 64;

/// A run that a search found, with its place in the order.
pub(crate) struct Hit {
    pub run_id: String,
    pub start_ms: i64,
    pub values: Vec<SortValue>,
}

#[derive(Default)]
pub(crate) struct Shard {
    loaded: bool,
    places: HashMap<Box<str>, u32>,
    pub(super) ids: Vec<Box<str>>,
    start: Vec<i64>,
    pub(super) deleted: Vec<bool>,
    pub(super) gone: Vec<bool>,
    /// Places by start ascending, then id descending: read backwards, the order without an order.
    by_start: Vec<u32>,
    pub(super) columns: Columns,
    /// Runs that changed since the load of more columns began, while one is under way.
    changed: Option<HashSet<String>>,
}

/// Columns by what they hold.
pub(super) type Columns = HashMap<ColumnKey, Column>;

pub(super) fn empty_columns(keys: Vec<ColumnKey>) -> Columns {
    let column = |key: &ColumnKey| match key {
        key if key.is_number() => Column::Numbers(Vec::new()),
        ColumnKey::Dataset(_) => Column::Sets(Vec::new()),
        _ => Column::Texts(Texts::default()),
    };
    keys.into_iter().map(|key| (key.clone(), column(&key))).collect()
}

/// What has to be read of a run to fill `columns`.
pub(super) fn fields(columns: &Columns) -> Fields {
    let mut fields = Fields::NONE;
    for key in columns.keys() {
        match key {
            ColumnKey::Metric(..) => fields.metrics = true,
            ColumnKey::Param(_) => fields.params = true,
            ColumnKey::Tag(_) => fields.tags = true,
            ColumnKey::Attribute(_) => fields.attributes = true,
            ColumnKey::Dataset(_) => {}
        }
    }
    fields
}

pub(super) fn has_datasets(columns: &Columns) -> bool {
    columns.values().any(|column| matches!(column, Column::Sets(_)))
}

/// Puts a run in its place of each column; data sets come in a pass of their own.
pub(super) fn fill(columns: &mut Columns, place: usize, scanned: &ScannedRun) -> Result<(), ExperimentError> {
    for (key, column) in columns.iter_mut() {
        match (key, column) {
            (ColumnKey::Metric(name, aggregate), Column::Numbers(numbers)) => {
                let value = scanned.metric(name)?.map_or_else(missing, |summary| match aggregate {
                    Aggregate::Latest => summary.latest.value,
                    Aggregate::Min => summary.min,
                    Aggregate::Max => summary.max,
                });
                set(numbers, place, value);
            }
            (ColumnKey::Attribute(attribute), Column::Numbers(numbers)) => {
                let run = scanned.run.as_ref();
                let value = match attribute {
                    Attribute::Start => Some(scanned.start_ms as f64),
                    _ => run.and_then(|run| run.end).map(|end| end.as_millis() as f64),
                };
                set(numbers, place, value.unwrap_or_else(missing));
            }
            (ColumnKey::Attribute(attribute), Column::Texts(texts)) => {
                let Some(run) = &scanned.run else { continue };
                match attribute {
                    Attribute::RunId => texts.set(place, Some(&run.id)),
                    Attribute::Name => texts.set(place, Some(&run.name)),
                    Attribute::Status => texts.set(place, Some(run.status.name())),
                    Attribute::User => texts.set(place, Some(&run.user)),
                    _ => texts.set(place, Some(&run.artifact_uri())),
                }
            }
            (ColumnKey::Param(_) | ColumnKey::Tag(_), Column::Texts(texts)) => texts.set(place, None),
            _ => {}
        }
    }
    let texts = columns.iter_mut().filter_map(|(key, column)| match (key, column) {
        (ColumnKey::Param(name), Column::Texts(texts)) => Some((true, name.as_str(), texts)),
        (ColumnKey::Tag(name), Column::Texts(texts)) => Some((false, name.as_str(), texts)),
        _ => None,
    });
    let mut texts: Vec<(bool, &str, &mut Texts)> = texts.collect();
    let mut put = |is_param: bool, key: &str, value: &str| {
        for (_, _, texts) in texts.iter_mut().filter(|(kind, name, _)| *kind == is_param && *name == key) {
            texts.set(place, Some(value));
        }
    };
    scanned.each_param(|key, value| put(true, key, value));
    scanned.each_tag(|key, value| put(false, key, value));
    Ok(())
}

/// Adds data sets to the columns of `runs` places.
pub(super) fn fill_datasets(
    columns: &mut Columns,
    runs: usize,
    place: impl Fn(&str) -> Option<usize>,
    keys: &[(String, [String; 3])],
) {
    for (key, column) in columns {
        let (ColumnKey::Dataset(field), Column::Sets(sets)) = (key, column) else { continue };
        sets.resize(runs, Vec::new());
        for (run, fields) in keys {
            let Some(place) = place(run) else { continue };
            let (set, text) = (&mut sets[place], &fields[*field]);
            if !set.iter().any(|own| **own == **text) {
                set.push(text.as_str().into());
            }
        }
    }
}

impl Shard {
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// The columns a plan needs and this shard has not; `None` when it can answer.
    pub fn missing(&self, plan: &Plan) -> Option<Vec<ColumnKey>> {
        let missing: Vec<ColumnKey> =
            plan.columns().into_iter().filter(|key| !self.columns.contains_key(*key)).cloned().collect();
        (!self.loaded || !missing.is_empty()).then_some(missing)
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Before `more` columns are loaded: when there would be too many, those that the plan does not look at go.
    pub fn make_room(&mut self, plan: &Plan, more: usize) {
        if self.columns.len() + more > COLUMNS_MAX {
            let needed = plan.columns();
            self.columns.retain(|key, _| needed.contains(&key));
        }
    }

    pub fn is_loaded(&self) -> bool {
        self.loaded
    }

    pub fn place(&self, id: &str) -> Option<usize> {
        self.places.get(id).map(|place| *place as usize)
    }

    /// Keys that cut the runs in so many parts of about the same size.
    pub fn scan_keys(&self, parts: usize) -> Vec<ScanKey> {
        let cuts = (1..parts).filter_map(|part| self.by_start.get(self.by_start.len() * part / parts));
        cuts.map(|place| (self.start[*place as usize], self.ids[*place as usize].to_string())).collect()
    }

    /// From now on, [`Shard::put`] and [`Shard::remove`] note the run.
    pub fn begin_load(&mut self) {
        self.changed = Some(HashSet::new());
    }

    /// The runs that changed since [`Shard::begin_load`]; `None` when the shard was cleared meanwhile.
    pub fn end_load(&mut self) -> Option<HashSet<String>> {
        self.changed.take()
    }

    /// Takes columns that hold every run of this shard but those that changed while they were loaded.
    pub fn install(&mut self, columns: Columns) {
        self.columns.extend(columns);
        self.finish();
    }

    pub fn put(&mut self, scanned: &ScannedRun) -> Result<(), ExperimentError> {
        self.note(&scanned.id);
        let place = match self.place(&scanned.id) {
            Some(place) => place,
            None => self.add(&scanned.id, scanned.start_ms),
        };
        if self.start[place] != scanned.start_ms {
            self.start[place] = scanned.start_ms;
            self.by_start.clear();
        }
        (self.deleted[place], self.gone[place]) = (scanned.deleted, false);
        fill(&mut self.columns, place, scanned)
    }

    fn note(&mut self, id: &str) {
        if let Some(changed) = &mut self.changed {
            changed.insert(id.to_owned());
        }
    }

    fn add(&mut self, id: &str, start_ms: i64) -> usize {
        let place = self.ids.len();
        self.places.insert(id.into(), u32::try_from(place).unwrap_or(u32::MAX));
        self.ids.push(id.into());
        self.start.push(start_ms);
        self.deleted.push(false);
        self.gone.push(false);
        place
    }

    pub fn put_datasets(&mut self, keys: &[(String, [String; 3])]) {
        let places = &self.places;
        let place = |run: &str| places.get(run).map(|place| *place as usize);
        fill_datasets(&mut self.columns, self.ids.len(), place, keys);
    }

    /// A run that was purged.
    pub fn remove(&mut self, id: &str) {
        self.note(id);
        if let Some(place) = self.places.get(id) {
            self.gone[*place as usize] = true;
        }
    }

    /// Puts in order what came since the last time.
    pub fn finish(&mut self) {
        self.loaded = true;
        if self.by_start.len() < self.ids.len() {
            let (start, ids) = (&self.start, &self.ids);
            self.by_start.extend(self.by_start.len() as u32..ids.len() as u32);
            let key = |place: u32| (start[place as usize], std::cmp::Reverse(&ids[place as usize]));
            // Nearly sorted already: runs come in the order of their start.
            self.by_start.sort_by(|a, b| key(*a).cmp(&key(*b)));
        }
        for column in self.columns.values_mut() {
            match column {
                Column::Numbers(numbers) => numbers.resize(self.ids.len(), missing()),
                Column::Sets(sets) => sets.resize(self.ids.len(), Vec::new()),
                Column::Texts(texts) => texts.sort(),
            }
        }
    }

    pub fn search(&self, view: View, plan: &Plan, token: Option<&Token>, limit: usize) -> Vec<Hit> {
        let selected = plan.filter.as_ref().map(|filter| self.select(filter));
        let wanted = |place: usize| {
            view.shows(self.deleted[place])
                && !self.gone[place]
                && selected.as_ref().is_none_or(|bits| bits[place])
        };
        let places = match plan.order.is_empty() {
            true => self.newest(wanted, token, limit),
            false => self.ordered(plan, wanted, token, limit),
        };
        places.into_iter().map(|place| self.hit(plan, place as usize)).collect()
    }

    pub(super) fn newest(
        &self,
        wanted: impl Fn(usize) -> bool,
        token: Option<&Token>,
        limit: usize,
    ) -> Vec<u32> {
        let end = match token {
            None => self.by_start.len(),
            Some(token) => self.by_start.partition_point(|place| {
                let place = *place as usize;
                self.behind(place, token.start_ms, &token.run_id).is_gt()
            }),
        };
        self.by_start[..end]
            .iter()
            .rev()
            .copied()
            .filter(|place| wanted(*place as usize))
            .take(limit)
            .collect()
    }

    /// Where a run stands by start (newest first) and id.
    fn behind(&self, place: usize, start_ms: i64, run_id: &str) -> Ordering {
        start_ms.cmp(&self.start[place]).then_with(|| (*self.ids[place]).cmp(run_id))
    }

    pub(super) fn ordered(
        &self,
        plan: &Plan,
        wanted: impl Fn(usize) -> bool,
        token: Option<&Token>,
        limit: usize,
    ) -> Vec<u32> {
        let columns: Vec<(&Column, bool)> =
            plan.order.iter().map(|term| (&self.columns[&term.column], term.ascending)).collect();
        let rank = |term: usize, place: u32| rank(columns[term].0, place as usize, columns[term].1);
        let rest = |a: u32, b: u32| {
            let mut order = Ordering::Equal;
            for term in 1..columns.len() {
                order = order.then_with(|| rank(term, a).cmp(&rank(term, b)));
            }
            order.then_with(|| self.behind(a as usize, self.start[b as usize], &self.ids[b as usize]))
        };
        let last: Option<Vec<u64>> = token.map(|token| {
            token
                .values
                .iter()
                .zip(&columns)
                .map(|(value, (column, up))| rank_of(column, value, *up))
                .collect()
        });
        let is_behind = |first: u64, place: u32| {
            let (Some(last), Some(token)) = (&last, token) else { return true };
            let mut order = first.cmp(&last[0]);
            for (term, own) in last.iter().enumerate().skip(1) {
                order = order.then_with(|| rank(term, place).cmp(own));
            }
            order.then_with(|| self.behind(place as usize, token.start_ms, &token.run_id)).is_gt()
        };
        // The best so far; cut back to the page whenever it has doubled, so most runs cost one comparison.
        let mut best: Vec<(u64, u32)> = Vec::with_capacity(limit.min(self.len()) * 2);
        let order = |a: &(u64, u32), b: &(u64, u32)| a.0.cmp(&b.0).then_with(|| rest(a.1, b.1));
        let mut worst = u64::MAX;
        for place in 0..self.ids.len() as u32 {
            let first = rank(0, place);
            if first > worst || !wanted(place as usize) || !is_behind(first, place) {
                continue;
            }
            best.push((first, place));
            if best.len() >= limit.saturating_mul(2).max(64) {
                best.select_nth_unstable_by(limit - 1, order);
                best.truncate(limit);
                worst = best.iter().map(|(first, _)| *first).max().unwrap_or(u64::MAX);
            }
        }
        best.sort_unstable_by(order);
        best.truncate(limit);
        best.into_iter().map(|(_, place)| place).collect()
    }

    fn hit(&self, plan: &Plan, place: usize) -> Hit {
        let value = |key: &ColumnKey| match &self.columns[key] {
            Column::Numbers(numbers) if is_missing(numbers[place]) => SortValue::Missing,
            Column::Numbers(numbers) => SortValue::Number(numbers[place].to_bits()),
            Column::Texts(texts) => {
                texts.get(place).map_or(SortValue::Missing, |text| SortValue::Text(text.to_owned()))
            }
            Column::Sets(_) => SortValue::Missing,
        };
        Hit {
            run_id: self.ids[place].to_string(),
            start_ms: self.start[place],
            values: plan.order.iter().map(|term| value(&term.column)).collect(),
        }
    }

    pub(super) fn select(&self, node: &Node) -> Vec<bool> {
        let runs = self.len();
        match node {
            Node::And(parts) => self.join(parts, |a, b| *a &= b),
            Node::Or(parts) => self.join(parts, |a, b| *a |= b),
            Node::Not(inner) => self.select(inner).into_iter().map(|bit| !bit).collect(),
            Node::Number(key, operator, number) => match &self.columns[key] {
                Column::Numbers(numbers) => select_numbers(numbers, *operator, *number),
                _ => vec![false; runs],
            },
            Node::Text(key, operator, values) => match &self.columns[key] {
                Column::Texts(texts) => {
                    texts.select(runs, |text| text.is_some_and(|text| holds(*operator, text, values)))
                }
                Column::Sets(sets) => {
                    sets.iter().map(|set| set.iter().any(|text| holds(*operator, text, values))).collect()
                }
                Column::Numbers(_) => vec![false; runs],
            },
            Node::IsMissing(key, expected) => match &self.columns[key] {
                Column::Numbers(numbers) => {
                    numbers.iter().map(|value| is_missing(*value) == *expected).collect()
                }
                Column::Texts(texts) => texts.select(runs, |text| text.is_none() == *expected),
                Column::Sets(sets) => sets.iter().map(|set| set.is_empty() == *expected).collect(),
            },
        }
    }

    fn join(&self, parts: &[Node], with: impl Fn(&mut bool, bool)) -> Vec<bool> {
        let mut parts = parts.iter().map(|part| self.select(part));
        let mut bits = parts.next().unwrap_or_default();
        for more in parts {
            bits.iter_mut().zip(more).for_each(|(bit, other)| with(bit, other));
        }
        bits
    }
}

fn set(numbers: &mut Vec<f64>, place: usize, value: f64) {
    if place >= numbers.len() {
        numbers.resize(place + 1, missing());
    }
    numbers[place] = value;
}

fn rank(column: &Column, place: usize, ascending: bool) -> u64 {
    match column {
        Column::Numbers(numbers) => number_rank(numbers[place], ascending),
        Column::Texts(texts) => texts.rank(place, ascending),
        Column::Sets(_) => u64::MAX,
    }
}

fn rank_of(column: &Column, value: &SortValue, ascending: bool) -> u64 {
    match (column, value) {
        (Column::Numbers(_), SortValue::Number(bits)) => number_rank(f64::from_bits(*bits), ascending),
        (Column::Texts(texts), SortValue::Text(text)) => texts.rank_of(text, ascending),
        _ => u64::MAX,
    }
}

fn select_numbers(numbers: &[f64], operator: Operator, bound: f64) -> Vec<bool> {
    // What is missing is a NaN: every comparison but != is false of it by itself.
    let with = |test: fn(f64, f64) -> bool| numbers.iter().map(|value| test(*value, bound)).collect();
    match operator {
        Operator::Eq => with(|value, bound| value == bound),
        Operator::Lt => with(|value, bound| value < bound),
        Operator::Le => with(|value, bound| value <= bound),
        Operator::Gt => with(|value, bound| value > bound),
        Operator::Ge => with(|value, bound| value >= bound),
        _ => with(|value, bound| value != bound && !is_missing(value)),
    }
}

fn holds(operator: Operator, text: &str, values: &[String]) -> bool {
    let first = values.first().map_or("", String::as_str);
    match operator {
        Operator::Eq => text == first,
        Operator::Ne => text != first,
        Operator::Like => like(first, text, false),
        Operator::ILike => like(first, text, true),
        Operator::In => values.iter().any(|value| value == text),
        _ => !values.iter().any(|value| value == text),
    }
}
