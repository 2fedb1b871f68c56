//! Slices of a search, groups of runs, and the keys that an experiment has: what the tables of the pages show.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use platform_db::Db;

use super::columns::{Column, is_missing};
use super::plan::{Plan, Term};
use super::shard::Shard;
use super::{INLINE_RUNS, Pages, RunIndex, lock};
use crate::ExperimentError;
use crate::aside::aside;
use crate::store::{self, Fields, LIST_MAX, ScannedRun, View};

pub(crate) use super::plan::{Aggregate, Attribute, ColumnKey};

/// Part of what a search finds, and how many runs it finds in all.
pub(crate) struct Window {
    pub total: usize,
    pub ids: Vec<String>,
}

/// Runs with the same text in a column; `None` for those that have none.
pub(crate) struct Group {
    pub text: Option<String>,
    pub runs: usize,
    pub spreads: Vec<Spread>,
}

/// A metric over the runs of a group. Runs without a number do not count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub count: usize,
    /// NaN when no run has a number.
    pub mean: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    const EMPTY: Self = Self { count: 0, mean: f64::NAN, min: f64::INFINITY, max: f64::NEG_INFINITY };

    fn add(&mut self, value: f64) {
        if value.is_nan() || is_missing(value) {
            return;
        }
        self.count += 1;
        let count = self.count as f64;
        self.mean = match (self.count, self.mean.is_finite() && value.is_finite()) {
            (1, _) => value,
            // The largest doubles have a mean, though no sum.
            (_, true) => self.mean + (value / count - self.mean / count),
            (_, false) => self.mean + value,
        };
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }
}

impl ColumnKey {
    /// The column that a term names, written as in an order: `metrics.mae`, `max(metrics.auc)`, `params.alpha`.
    pub(crate) fn parse(text: &str) -> Result<Self, ExperimentError> {
        let plan = Plan::new("", &[text.to_owned()])?;
        let first = plan.order.into_iter().next();
        first
            .map(|term| term.column)
            .ok_or_else(|| ExperimentError::invalid("columns", text, "expected a key"))
    }
}

impl Plan {
    /// The same plan, bound to more columns than it looks at.
    pub(crate) fn with_columns(mut self, columns: impl IntoIterator<Item = ColumnKey>) -> Self {
        for column in columns {
            if !self.order.iter().any(|term| term.column == column) {
                self.order.push(Term { column, ascending: true });
            }
        }
        self
    }
}

impl RunIndex {
    /// The runs at `offset` and behind it, at most `limit`, in the order of the plan.
    pub async fn window(
        self: &Arc<Self>,
        db: &Db,
        experiment: i64,
        view: View,
        plan: Plan,
        (offset, limit): (usize, usize),
    ) -> Result<Window, ExperimentError> {
        let plan = Arc::new(plan);
        let own = Arc::clone(&plan);
        self.scan(db, experiment, &plan, move |shard| shard.window(view, &own, offset, limit)).await
    }

    /// Groups by the texts of a column, largest first, at most `most`; and how many there are.
    pub async fn groups(
        self: &Arc<Self>,
        db: &Db,
        experiment: i64,
        view: View,
        plan: Plan,
        (by, metrics): (ColumnKey, Vec<ColumnKey>),
        most: usize,
    ) -> Result<(usize, Vec<Group>), ExperimentError> {
        let plan = Arc::new(plan.with_columns([by.clone()]).with_columns(metrics.iter().cloned()));
        let own = Arc::clone(&plan);
        self.scan(db, experiment, &plan, move |shard| shard.groups(view, &own, &by, &metrics, most)).await
    }

    async fn scan<T: Send + 'static>(
        self: &Arc<Self>,
        db: &Db,
        experiment: i64,
        plan: &Arc<Plan>,
        work: impl FnOnce(&Shard) -> T + Send + 'static,
    ) -> Result<T, ExperimentError> {
        let shard = self.ready(db, experiment, plan).await?;
        aside(shard.len() > INLINE_RUNS, move || work(&shard)).await
    }

    /// Keys of metrics, params and tags that hold `needle`, at most `most`; and how many there are.
    pub async fn keys(
        self: &Arc<Self>,
        db: &Db,
        experiment: i64,
        needle: &str,
        most: usize,
    ) -> Result<FoundKeys, ExperimentError> {
        let (index, db) = (Arc::clone(self), db.clone());
        // A task of its own: a client that goes away must not leave marks taken and runs not read.
        let refreshed = tokio::spawn(async move { index.keys.refresh(&db, experiment).await });
        match refreshed.await {
            Ok(catalogue) => Ok(catalogue?.lock().await.find(needle, most)),
            Err(_) => {
                lock(&self.keys.catalogues).remove(&experiment);
                Err(ExperimentError::SearchFailed)
            }
        }
    }
}

impl Shard {
    fn shown(&self, view: View, plan: &Plan) -> Vec<bool> {
        let mut bits = match &plan.filter {
            Some(filter) => self.select(filter),
            None => vec![true; self.len()],
        };
        for (place, bit) in bits.iter_mut().enumerate() {
            *bit = *bit && view.shows(self.deleted[place]) && !self.gone[place];
        }
        bits
    }

    fn window(&self, view: View, plan: &Plan, offset: usize, limit: usize) -> Window {
        let shown = self.shown(view, plan);
        let total = shown.iter().filter(|bit| **bit).count();
        let end = offset.saturating_add(limit).min(total);
        if offset >= end {
            return Window { total, ids: Vec::new() };
        }
        let wanted = |place: usize| shown[place];
        let places = match plan.order.is_empty() {
            true => self.newest(wanted, None, end),
            false => self.ordered(plan, wanted, None, end),
        };
        let ids = places.into_iter().skip(offset).map(|place| self.ids[place as usize].to_string()).collect();
        Window { total, ids }
    }

    fn groups(
        &self,
        view: View,
        plan: &Plan,
        by: &ColumnKey,
        metrics: &[ColumnKey],
        most: usize,
    ) -> (usize, Vec<Group>) {
        let Some(Column::Texts(texts)) = self.columns.get(by) else { return (0, Vec::new()) };
        let columns: Vec<Option<&Column>> = metrics.iter().map(|key| self.columns.get(key)).collect();
        let mut places: HashMap<Option<&str>, usize> = HashMap::new();
        let mut groups: Vec<Group> = Vec::new();
        for (place, shown) in self.shown(view, plan).into_iter().enumerate() {
            if !shown {
                continue;
            }
            let text = texts.get(place);
            let index = *places.entry(text).or_insert_with(|| {
                let spreads = vec![Spread::EMPTY; metrics.len()];
                groups.push(Group { text: text.map(str::to_owned), runs: 0, spreads });
                groups.len() - 1
            });
            let group = &mut groups[index];
            group.runs += 1;
            for (spread, column) in group.spreads.iter_mut().zip(&columns) {
                if let Some(Column::Numbers(numbers)) = column {
                    spread.add(numbers[place]);
                }
            }
        }
        groups.sort_by(|a, b| b.runs.cmp(&a.runs).then_with(|| a.text.cmp(&b.text)));
        let total = groups.len();
        groups.truncate(most);
        (total, groups)
    }
}

/// What a key belongs to, as filters write it.
pub(crate) const KEY_KINDS: [&str; 3] = ["metrics", "params", "tags"];

/// Keys with their kind, and how many match in all.
pub(crate) struct FoundKeys {
    pub total: usize,
    pub keys: Vec<(&'static str, String)>,
}

/// All keys of the experiments that were asked about. A key stays when the last run that had it goes: it finds nothing then.
#[derive(Default)]
pub(crate) struct Keys {
    catalogues: Mutex<HashMap<i64, Arc<tokio::sync::Mutex<Catalogue>>>>,
    /// Runs that changed since, for experiments that have a catalogue.
    changed: Mutex<HashMap<i64, HashSet<String>>>,
}

#[derive(Default)]
struct Catalogue {
    loaded: bool,
    names: [BTreeSet<Box<str>>; 3],
}

impl Keys {
    /// After a commit and before its acknowledgement.
    pub fn mark(&self, experiment: i64, run: &str) {
        if let Some(runs) = lock(&self.changed).get_mut(&experiment)
            && !runs.contains(run)
        {
            runs.insert(run.to_owned());
        }
    }

    async fn refresh(
        &self,
        db: &Db,
        experiment: i64,
    ) -> Result<Arc<tokio::sync::Mutex<Catalogue>>, ExperimentError> {
        // Marks are kept from now on, so that nothing that is written while the catalogue loads is missed.
        lock(&self.changed).entry(experiment).or_default();
        let shared = Arc::clone(lock(&self.catalogues).entry(experiment).or_default());
        let mut catalogue = shared.lock().await;
        let taken = lock(&self.changed).insert(experiment, HashSet::new()).unwrap_or_default();
        let outcome = match catalogue.loaded {
            true => catalogue.update(db, taken.iter().cloned().collect()).await,
            false => catalogue.load(db, experiment).await,
        };
        drop(catalogue);
        if let Err(error) = outcome {
            lock(&self.changed).entry(experiment).or_default().extend(taken);
            return Err(error);
        }
        Ok(shared)
    }
}

impl Catalogue {
    async fn load(&mut self, db: &Db, experiment: i64) -> Result<(), ExperimentError> {
        let mut pages = Pages::all(db, experiment, Fields { attributes: false, ..Fields::ALL });
        while let Some(page) = pages.next().await? {
            page.iter().try_for_each(|scanned| self.put(scanned))?;
        }
        self.loaded = true;
        Ok(())
    }

    async fn update(&mut self, db: &Db, runs: Vec<String>) -> Result<(), ExperimentError> {
        for page in runs.chunks(LIST_MAX) {
            let ids = page.to_vec();
            let scanned = db.snapshot(move |rows| store::scan_runs(rows, &ids)).await?;
            scanned.iter().try_for_each(|scanned| self.put(scanned))?;
        }
        Ok(())
    }

    fn put(&mut self, scanned: &ScannedRun) -> Result<(), ExperimentError> {
        let [metrics, params, tags] = &mut self.names;
        scanned.each_param(|key, _| insert(params, key));
        scanned.each_tag(|key, _| insert(tags, key));
        scanned.each_metric_key(|key| insert(metrics, key))
    }

    fn find(&self, needle: &str, most: usize) -> FoundKeys {
        let needle = needle.to_lowercase();
        let all = KEY_KINDS.iter().zip(&self.names);
        let mut matching: Vec<(&'static str, &str)> = all
            .flat_map(|(kind, names)| names.iter().map(move |name| (*kind, &**name)))
            .filter(|(kind, name)| {
                needle.is_empty() || format!("{kind}.{name}").to_lowercase().contains(&needle)
            })
            .collect();
        // What clients write by themselves is seldom looked for.
        matching.sort_by_key(|(_, name)| name.starts_with("mlflow.") || name.starts_with("system/"));
        let total = matching.len();
        let keys = matching.into_iter().take(most).map(|(kind, name)| (kind, name.to_owned())).collect();
        FoundKeys { total, keys }
    }
}

fn insert(names: &mut BTreeSet<Box<str>>, key: &str) {
    if !names.contains(key) {
        names.insert(key.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_named_as_in_an_order() {
        let column = |text: &str| ColumnKey::parse(text).ok();
        assert_eq!(column("metrics.mae"), Some(ColumnKey::Metric("mae".to_owned(), Aggregate::Latest)));
        assert_eq!(
            column("max(metrics.`val auc`)"),
            Some(ColumnKey::Metric("val auc".to_owned(), Aggregate::Max))
        );
        assert_eq!(column("params.alpha"), Some(ColumnKey::Param("alpha".to_owned())));
        assert_eq!(column("wheels.a"), None);
    }

    #[test]
    fn keys_of_the_user_come_first() {
        let mut catalogue = Catalogue::default();
        for key in ["mlflow.user", "team"] {
            insert(&mut catalogue.names[2], key);
        }
        insert(&mut catalogue.names[0], "mae");
        let found = catalogue.find("", 2);
        assert_eq!(
            (found.total, found.keys),
            (3, vec![("metrics", "mae".to_owned()), ("tags", "team".to_owned())])
        );
        assert_eq!(catalogue.find("tags.MLFLOW", 9).total, 1);
    }
}
