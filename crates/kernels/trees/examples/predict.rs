//! Scores rows of a file: `predict MODEL ROWS SCORES [best|avx2|unused]`, with those of the processor's vectors. Rows are 64-bit
//! floats, little endian, one after the other, and so are the raw scores. Prints rows, then seconds to read the model, to lay
//! it out, to score all rows at once, and the median and 99th percentile of microseconds that a row alone takes (512 rows in
//! turn), for `benches/trees`.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::time::Instant;

use kernel_trees::{Ensemble, Vectors};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (model, rows, scores, vectors) = match arguments.as_slice() {
        [model, rows, scores] => (model, rows, scores, "best"),
        [model, rows, scores, vectors] => (model, rows, scores, vectors.as_str()),
        _ => return Err("MODEL ROWS SCORES [best|avx2|unused]".into()),
    };
    let vectors = match vectors {
        "best" => Vectors::Best,
        "avx2" => Vectors::Avx2,
        "unused" => Vectors::Unused,
        other => return Err(format!("{other:?} is none of best, avx2, unused").into()),
    };
    let bytes = fs_err::read(model)?;
    let started = Instant::now();
    let (model, _) = Ensemble::from_bytes(&bytes)?;
    let read = started.elapsed();
    model.prepare_with(vectors);
    let laid_out = started.elapsed() - read;
    let rows: Vec<f64> = fs_err::read(rows)?
        .chunks_exact(8)
        .map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap_or_default()))
        .collect();
    let count = rows.len() / model.features();
    let mut found = vec![0.0; count * model.scores()];
    let mut alone = vec![0.0; model.scores()];
    let mut micros = Vec::new();
    for round in 0..40 {
        for row in rows.chunks(model.features()).take(512) {
            let begun = Instant::now();
            model.raw_scores(row, &mut alone);
            if round > 0 {
                micros.push(begun.elapsed().as_secs_f64() * 1e6);
            }
        }
    }
    micros.sort_by(f64::total_cmp);
    let percentile = |share: f64| micros[((micros.len() - 1) as f64 * share) as usize];
    let mut seconds = f64::INFINITY;
    for _ in 0..3 {
        let begun = Instant::now();
        model.raw_scores(&rows, &mut found);
        seconds = seconds.min(begun.elapsed().as_secs_f64());
    }
    fs_err::write(scores, found.iter().flat_map(|score| score.to_le_bytes()).collect::<Vec<u8>>())?;
    println!(
        "{count} {} {} {seconds} {} {}",
        read.as_secs_f64(),
        laid_out.as_secs_f64(),
        percentile(0.5),
        percentile(0.99)
    );
    Ok(())
}
