//! Interactions of rows of a file: `interactions MODEL.json ROWS VALUES [BACKGROUND]`, path-dependent, or against a background. Rows are 64-bit floats, little
//! endian, one after the other, and so are the matrices. Prints rows, seconds to read the model, to prepare it and to calculate, for `benches/shapley`.

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
    let read = started.elapsed().as_secs_f64();
    let rows = floats(rows)?;
    let count = rows.len() / model.features();
    let (mut found, prepared, seconds);
    if let Some(background) = background.first() {
        let background = floats(background)?;
        let started = Instant::now();
        let explainer = Interventional::new(&model, &background)?;
        prepared = started.elapsed().as_secs_f64();
        found = vec![0.0; count * explainer.interactions_len()];
        let begun = Instant::now();
        explainer.interactions(&rows, &mut found)?;
        seconds = begun.elapsed().as_secs_f64();
    } else {
        let started = Instant::now();
        let explainer = PathDependent::new(&model)?;
        prepared = started.elapsed().as_secs_f64();
        found = vec![0.0; count * explainer.interactions_len()];
        let begun = Instant::now();
        explainer.interactions(&rows, &mut found)?;
        seconds = begun.elapsed().as_secs_f64();
    }
    fs_err::write(values, found.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())?;
    println!("{count} {read} {prepared} {seconds}");
    Ok(())
}

fn floats(path: &str) -> Result<Vec<f64>, Box<dyn Error>> {
    let bytes = fs_err::read(path)?;
    Ok(bytes.chunks_exact(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap_or_default())).collect())
}
