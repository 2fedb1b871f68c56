//! Explains rows of a file: `explain MODEL.json ROWS VALUES [BACKGROUND]`, path-dependent, or against a background. Rows are 64-bit floats, little endian, one after the other, and so are the
//! values. Prints rows, seconds to read the model, to prepare it and to explain, and the median microseconds of a row alone, for `benches/shapley`.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::time::Instant;

use kernel_shapley::{Interventional, PathDependent};
use kernel_trees::Ensemble;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, rows, values, background @ ..] = arguments.as_slice() else {
        return Err("MODEL.json ROWS VALUES [BACKGROUND]".into());
    };
    let bytes = fs_err::read(model)?;
    let started = Instant::now();
    let model = Ensemble::from_xgboost(&bytes)?;
    let read = started.elapsed();
    let floats = |path: &String| -> Result<Vec<f64>, Box<dyn Error>> {
        let bytes = fs_err::read(path)?;
        Ok(bytes
            .chunks_exact(8)
            .map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap_or_default()))
            .collect())
    };
    let rows = floats(rows)?;
    let count = rows.len() / model.features();
    if let Some(background) = background.first() {
        let background = floats(background)?;
        let started = Instant::now();
        let explainer = Interventional::new(&model, &background)?;
        let prepared = started.elapsed();
        let mut found = vec![0.0; count * explainer.len()];
        let begun = Instant::now();
        explainer.explain_rows(&rows, &mut found)?;
        let seconds = begun.elapsed().as_secs_f64();
        fs_err::write(values, found.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())?;
        println!("{count} {} {} {seconds}", read.as_secs_f64(), prepared.as_secs_f64());
        return Ok(());
    }
    let explainer = PathDependent::new(&model)?;
    let prepared = started.elapsed();
    let mut found = vec![0.0; count * explainer.len()];
    let begun = Instant::now();
    explainer.explain_rows(&rows, &mut found)?;
    let seconds = begun.elapsed().as_secs_f64();
    let mut alone = vec![0.0; explainer.len()];
    let mut micros: Vec<f64> = Vec::new();
    for row in rows.chunks(model.features()).take(512).cycle().take(4 * 512) {
        let begun = Instant::now();
        explainer.explain(row, &mut alone)?;
        micros.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    micros.sort_by(f64::total_cmp);
    let median = micros[micros.len() / 2];
    fs_err::write(values, found.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())?;
    println!("{count} {} {} {seconds} {median}", read.as_secs_f64(), (prepared - read).as_secs_f64());
    Ok(())
}
