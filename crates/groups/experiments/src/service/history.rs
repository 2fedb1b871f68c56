use std::sync::Arc;

use kernel_series::{Band, Point, bands, sort_points};

use super::{Experiments, Result};
use crate::aside::aside;
use crate::series::Series;
use crate::store;

/// Where a page of history ended.
pub(crate) type HistoryToken = Point;

impl Experiments {
    /// Points of one metric behind `after`, ascending by time, step and value; at most `limit`, and whether there are more.
    pub(crate) async fn history_page(
        &self,
        id: &str,
        key: &str,
        after: Option<HistoryToken>,
        limit: usize,
    ) -> Result<(Vec<Point>, bool)> {
        self.get_record(id).await?;
        let (id, key) = (id.to_owned(), key.to_owned());
        self.db
            .snapshot(move |rows| {
                let enough = limit.saturating_add(1);
                let mut points = store::series_points(rows, &id, &key, after.as_ref(), enough)?;
                sort_points(&mut points);
                let more = points.len() > limit;
                points.truncate(limit);
                Ok((points, more))
            })
            .await
    }

    /// All points of one metric, ascending by time, step and value.
    pub async fn history(&self, id: &str, key: &str) -> Result<Vec<Point>> {
        Ok(self.series(id, key).await?.points().to_vec())
    }

    pub(crate) async fn series(&self, id: &str, key: &str) -> Result<Arc<Series>> {
        self.get_record(id).await?;
        let (id, key, cache) = (id.to_owned(), key.to_owned(), Arc::clone(&self.series));
        self.db.snapshot(move |rows| store::whole_series(rows, &cache, &id, &key)).await
    }

    /// A metric as wide as a screen: at most `width` bands over the steps.
    pub async fn chart(&self, id: &str, key: &str, width: usize) -> Result<Vec<Band>> {
        let series = self.series(id, key).await?;
        let place = |point: &Point| (point.step as f64, point.value);
        aside(series.is_large(), move || bands(&series.by_step(), place, width)).await
    }

    /// A metric of several runs at the same steps: at most about `most` of all steps of these runs, evenly, within `range`;
    /// the first and last step of each run are among them. By run, then step, time and value.
    pub(crate) async fn thinned_history(
        &self,
        runs: &[String],
        key: &str,
        range: Option<(i64, i64)>,
        most: usize,
    ) -> Result<Vec<(String, Vec<Point>)>> {
        let mut all = Vec::new();
        for run in runs {
            all.push((run.clone(), self.series(run, key).await?));
        }
        let is_large = all.iter().any(|(_, series)| series.is_large());
        aside(is_large, move || thinned(all, range, most)).await
    }
}

fn thinned(
    all: Vec<(String, Arc<Series>)>,
    range: Option<(i64, i64)>,
    most: usize,
) -> Vec<(String, Vec<Point>)> {
    let by_step = |(run, series): (String, Arc<Series>)| match series.is_by_step() {
        true => (run, series),
        false => (run, Arc::new(Series::new(series.by_step().into_owned()))),
    };
    let all: Vec<(String, Arc<Series>)> = all.into_iter().map(by_step).collect();
    let kept = kept_steps(&all, range, most);
    let mut thinned: Vec<(String, Vec<Point>)> = Vec::new();
    for (run, series) in all {
        let mut chosen = Vec::with_capacity(kept.len());
        let mut rest = series.points();
        for step in &kept {
            rest = &rest[rest.partition_point(|point| point.step < *step)..];
            chosen.extend(rest.iter().take_while(|point| point.step == *step));
        }
        thinned.push((run, chosen));
    }
    thinned.sort_by(|a, b| a.0.cmp(&b.0));
    thinned
}

/// The steps of a thinned chart, ascending.
fn kept_steps(all: &[(String, Arc<Series>)], range: Option<(i64, i64)>, most: usize) -> Vec<i64> {
    let points = || all.iter().map(|(_, series)| series.points());
    let Some(last) = points().filter_map(|points| points.last()).map(|point| point.step).max() else {
        return Vec::new();
    };
    let (from, to) = range.unwrap_or((0, last));
    let ends = points().flat_map(|points| [points.first(), points.last()].into_iter().flatten());
    let mut kept: Vec<i64> = ends.map(|point| point.step).filter(|step| (from..=to).contains(step)).collect();
    let evenly = |kept: &mut Vec<i64>, count: usize, step: &dyn Fn(usize) -> i64| {
        if count <= most {
            kept.extend((0..count).map(step));
        } else {
            let interval = count as f64 / most as f64;
            kept.extend((0..most).map(|n| step((n as f64 * interval) as usize)));
            kept.push(step(count - 1));
        }
    };
    match all {
        // One run with a step per point: nothing to collect.
        [(_, series)] if series.has_own_steps() => {
            let points = series.points();
            let start = points.partition_point(|point| point.step < from);
            let inside = &points[start..points.partition_point(|point| point.step <= to).max(start)];
            evenly(&mut kept, inside.len(), &|place| inside[place].step);
        }
        _ => {
            let steps = points().flat_map(|points| points.iter().map(|point| point.step));
            let mut inside: Vec<i64> = steps.filter(|step| (from..=to).contains(step)).collect();
            if !inside.is_sorted() {
                inside.sort_unstable();
            }
            inside.dedup();
            evenly(&mut kept, inside.len(), &|place| inside[place]);
        }
    }
    kept.sort_unstable();
    kept.dedup();
    kept
}
