//! Metric points: what requests logged (`metric_tail`), folded into sorted, compressed chunks (`metric_chunks`).

use std::collections::HashMap;
use std::sync::Arc;

use kernel_series::{Point, Summaries, decode_batch, points_of_key, sort_points};
use platform_db::{Db, Row, Tx, args};

use super::{LIST_MAX, Result, Rows, holes};
use crate::series::{ChunkPlace, Series, SeriesCache};

/// Folded points of one or more keys.
pub(crate) struct Chunk {
    pub first_key: String,
    pub last_key: String,
    pub first_ms: i64,
    pub last_ms: i64,
    pub points: Vec<u8>,
}

pub(crate) fn append_tail(tx: &mut Tx<'_>, run: &str, seq: i64, points: Vec<u8>) -> Result<()> {
    tx.execute_later(
        "INSERT INTO metric_tail (run_id, seq, points) VALUES ($1, $2, $3)",
        args![run, seq, points],
    )?;
    Ok(())
}

/// Summaries of what is not folded yet, by run; at most [`LIST_MAX`] runs.
pub(super) fn tail_of(rows: &mut impl Rows, runs: &[String]) -> Result<HashMap<String, Summaries>> {
    let mut arguments = Vec::new();
    let list = holes(runs, &mut arguments);
    let mut tail: HashMap<String, Summaries> = HashMap::new();
    for row in
        rows.rows(&format!("SELECT run_id, points FROM metric_tail WHERE run_id IN ({list})"), arguments)?
    {
        let summaries = match tail.get_mut(row.text(0)?) {
            Some(summaries) => summaries,
            None => tail.entry(row.string(0)?).or_default(),
        };
        decode_batch(row.bytes(1)?, |key, point| summaries.add(key, point))?;
    }
    Ok(tail)
}

/// A batch that waits for folding.
pub(crate) struct Batch {
    pub run: String,
    pub seq: i64,
    pub points: Vec<u8>,
}

/// Batches of at most [`LIST_MAX`] runs, run by run, oldest first; at most `limit`.
pub(crate) async fn tail_batches(db: &Db, runs: &[String], limit: usize) -> Result<Vec<Batch>> {
    let mut arguments = args![limit as i64];
    let list = holes(runs, &mut arguments);
    let sql = format!(
        "SELECT run_id, seq, points FROM metric_tail WHERE run_id IN ({list}) ORDER BY run_id, seq LIMIT $1"
    );
    let rows = db.read(sql, arguments).await?;
    rows.iter()
        .map(|row| Ok(Batch { run: row.string(0)?, seq: row.int(1)?, points: row.bytes(2)?.to_vec() }))
        .collect()
}

/// Runs with points that are not folded, and in how many batches they wait.
pub(crate) async fn runs_with_tail(db: &Db) -> Result<Vec<(String, usize)>> {
    let rows = db.read("SELECT run_id, COUNT(*) FROM metric_tail GROUP BY run_id", args![]).await?;
    rows.iter().map(|row| Ok((row.string(0)?, usize::try_from(row.int(1)?).unwrap_or(usize::MAX)))).collect()
}

/// How many of the batches were there and are gone.
pub(crate) fn delete_batches(tx: &mut Tx<'_>, run: &str, seqs: &[i64]) -> Result<u64> {
    let mut gone = 0;
    for page in seqs.chunks(LIST_MAX) {
        let mut arguments = args![run];
        let list = holes(page, &mut arguments);
        gone +=
            tx.execute(&format!("DELETE FROM metric_tail WHERE run_id = $1 AND seq IN ({list})"), arguments)?;
    }
    Ok(gone)
}

pub(crate) fn merge_summaries(tx: &mut Tx<'_>, run: &str, more: &Summaries) -> Result<bool> {
    let lock = tx.for_update();
    let row = tx.query_one(&format!("SELECT metrics FROM runs WHERE id = $1{lock}"), args![run])?;
    let Some(row) = row else { return Ok(false) };
    let mut summaries = Summaries::decode(row.bytes(0)?)?;
    summaries.merge(more);
    tx.execute_later("UPDATE runs SET metrics = $2 WHERE id = $1", args![run, summaries.encode()])?;
    Ok(true)
}

/// Writes the chunks of one fold under the next number of its level, which it returns.
pub(crate) fn insert_fold(tx: &mut Tx<'_>, run: &str, level: i64, chunks: Vec<Chunk>) -> Result<i64> {
    let sql = "SELECT COALESCE(MAX(fold), -1) + 1 FROM metric_chunks WHERE run_id = $1 AND level = $2";
    let fold = tx.query_one(sql, args![run, level])?.map_or(Ok(0), |row| row.int(0))?;
    for (part, chunk) in chunks.into_iter().enumerate() {
        tx.execute_later(
            "INSERT INTO metric_chunks (run_id, level, fold, part, first_key, last_key, first_ms, last_ms, points) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            args![
                run,
                level,
                fold,
                part as i64,
                chunk.first_key,
                chunk.last_key,
                chunk.first_ms,
                chunk.last_ms,
                chunk.points
            ],
        )?;
    }
    Ok(fold)
}

/// The folds of a level, oldest first.
pub(crate) async fn folds(db: &Db, run: &str, level: i64) -> Result<Vec<i64>> {
    let sql = "SELECT DISTINCT fold FROM metric_chunks WHERE run_id = $1 AND level = $2 ORDER BY fold";
    let rows = db.read(sql, args![run, level]).await?;
    rows.iter().map(|row| Ok(row.int(0)?)).collect()
}

/// All chunks of a level up to a fold; a level is merged before it holds more than a few folds.
pub(crate) async fn chunks_of_level(db: &Db, run: &str, level: i64, upto: i64) -> Result<Vec<Chunk>> {
    let sql = "SELECT first_key, last_key, first_ms, last_ms, points FROM metric_chunks \
               WHERE run_id = $1 AND level = $2 AND fold <= $3 ORDER BY fold, part";
    let rows = db.read(sql, args![run, level, upto]).await?;
    rows.iter().map(chunk).collect()
}

fn chunk(row: &Row) -> Result<Chunk> {
    Ok(Chunk {
        first_key: row.string(0)?,
        last_key: row.string(1)?,
        first_ms: row.int(2)?,
        last_ms: row.int(3)?,
        points: row.bytes(4)?.to_vec(),
    })
}

pub(crate) fn delete_level(tx: &mut Tx<'_>, run: &str, level: i64, upto: i64) -> Result<u64> {
    let sql = "DELETE FROM metric_chunks WHERE run_id = $1 AND level = $2 AND fold <= $3";
    Ok(tx.execute(sql, args![run, level, upto])?)
}

/// All points of one series in the order of a history; decodes only what `cache` does not hold.
pub(crate) fn whole_series(
    rows: &mut impl Rows,
    cache: &SeriesCache,
    run: &str,
    key: &str,
) -> Result<Arc<Series>> {
    let tail = tail_points(rows, run, key, |_| true)?;
    let places = chunk_places(rows, run, key, i64::MIN)?;
    let chunks: Vec<ChunkPlace> = places.iter().map(|(place, _)| *place).collect();
    let folded = match cache.get(run, key, &chunks) {
        Some(series) => series,
        None => {
            let mut points = Vec::new();
            for place in &chunks {
                points.extend(chunk_points(rows, run, key, *place)?);
            }
            sort_points(&mut points);
            let series = Arc::new(Series::new(points));
            cache.put(run, key, chunks, &series);
            series
        }
    };
    if tail.is_empty() {
        return Ok(folded);
    }
    let mut points = Vec::with_capacity(folded.points().len() + tail.len());
    points.extend_from_slice(folded.points());
    points.extend(tail);
    sort_points(&mut points);
    Ok(Arc::new(Series::new(points)))
}

/// Points of one series behind `after`, unsorted, and at least `enough` of the first ones when there are that many.
///
/// Chunks are read in the order of their first time, and only as many as the page needs.
pub(crate) fn series_points(
    rows: &mut impl Rows,
    run: &str,
    key: &str,
    after: Option<&Point>,
    enough: usize,
) -> Result<Vec<Point>> {
    let from = after.map_or(i64::MIN, |point| point.at_ms);
    let behind = |point: &Point| after.is_none_or(|after| point.order(after).is_gt());
    let mut points = tail_points(rows, run, key, behind)?;
    for (place, first_ms) in chunk_places(rows, run, key, from)? {
        if points.len() >= enough && points.iter().filter(|point| point.at_ms < first_ms).count() >= enough {
            break;
        }
        points.extend(chunk_points(rows, run, key, place)?.into_iter().filter(behind));
    }
    Ok(points)
}

/// Points of one series that are not folded yet.
fn tail_points(
    rows: &mut impl Rows,
    run: &str,
    key: &str,
    wanted: impl Fn(&Point) -> bool,
) -> Result<Vec<Point>> {
    let mut points = Vec::new();
    for row in rows.rows("SELECT points FROM metric_tail WHERE run_id = $1", args![run])? {
        decode_batch(row.bytes(0)?, |own, point| {
            if own == key && wanted(&point) {
                points.push(point);
            }
        })?;
    }
    Ok(points)
}

/// Chunks with points of one series at `from` or later, by their first time.
fn chunk_places(rows: &mut impl Rows, run: &str, key: &str, from: i64) -> Result<Vec<(ChunkPlace, i64)>> {
    let places = rows.rows(
        "SELECT level, fold, part, first_ms, first_key, last_key FROM metric_chunks WHERE run_id = $1 \
         AND last_ms >= $2 ORDER BY first_ms, level, fold, part",
        args![run, from],
    )?;
    let mut found = Vec::new();
    for row in &places {
        // Compared here, by bytes, as chunks are cut: a database may order texts by a language.
        if row.text(4)? <= key && key <= row.text(5)? {
            found.push(((row.int(0)?, row.int(1)?, row.int(2)?), row.int(3)?));
        }
    }
    Ok(found)
}

fn chunk_points(rows: &mut impl Rows, run: &str, key: &str, place: ChunkPlace) -> Result<Vec<Point>> {
    let (level, fold, part) = place;
    let sql = "SELECT points FROM metric_chunks WHERE run_id = $1 AND level = $2 AND fold = $3 AND part = $4";
    match rows.rows(sql, args![run, level, fold, part])?.first() {
        Some(row) => Ok(points_of_key(row.bytes(0)?, key)?),
        None => Ok(Vec::new()),
    }
}
