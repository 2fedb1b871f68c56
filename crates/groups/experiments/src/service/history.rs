use kernel_series::{Band, Point, bands, sort_points};

use super::{Experiments, Result};
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
        Ok(self.history_page(id, key, None, usize::MAX - 1).await?.0)
    }

    /// A metric as wide as a screen: at most `width` bands over the steps.
    pub async fn chart(&self, id: &str, key: &str, width: usize) -> Result<Vec<Band>> {
        let mut points: Vec<(f64, f64)> =
            self.history(id, key).await?.iter().map(|point| (point.step as f64, point.value)).collect();
        if !points.is_sorted_by(|a, b| a.0 <= b.0) {
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        Ok(bands(&points, width))
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
            let mut points = self.history(run, key).await?;
            if !points.is_sorted_by_key(|point| point.step) {
                points.sort_by(|a, b| a.step.cmp(&b.step).then(a.order(b)));
            }
            all.push((run.clone(), points));
        }
        let mut steps: Vec<i64> =
            all.iter().flat_map(|(_, points)| points.iter().map(|point| point.step)).collect();
        if !steps.is_sorted() {
            steps.sort_unstable();
        }
        steps.dedup();
        let Some(last) = steps.last() else { return Ok(Vec::new()) };
        let (from, to) = range.unwrap_or((0, *last));
        let ends = all.iter().flat_map(|(_, points)| [points.first(), points.last()].into_iter().flatten());
        let mut kept: Vec<i64> =
            ends.map(|point| point.step).filter(|step| (from..=to).contains(step)).collect();
        let inside =
            &steps[steps.partition_point(|step| *step < from)..steps.partition_point(|step| *step <= to)];
        if inside.len() <= most {
            kept.extend(inside);
        } else {
            let interval = inside.len() as f64 / most as f64;
            kept.extend((0..most).map(|n| inside[(n as f64 * interval) as usize]));
            kept.extend(inside.last());
        }
        kept.sort_unstable();
        kept.dedup();
        for (_, points) in &mut all {
            let mut chosen = Vec::with_capacity(kept.len());
            let mut rest = points.as_slice();
            for step in &kept {
                rest = &rest[rest.partition_point(|point| point.step < *step)..];
                chosen.extend(rest.iter().take_while(|point| point.step == *step));
            }
            *points = chosen;
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(all)
    }
}
