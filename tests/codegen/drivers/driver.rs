//! Scores the rows of rows.bin, 64-bit floats, into found.bin: of each row its scores, its predictions, its probabilities.

mod scorer;

use std::io::Write;

fn main() -> std::process::ExitCode {
    let bytes = std::fs::read("rows.bin").expect("rows.bin is there");
    let mut found = std::io::BufWriter::new(std::fs::File::create("found.bin").expect("found.bin can be written"));
    for bytes in bytes.chunks_exact(8 * scorer::INPUTS) {
        let mut row = [0.0; scorer::INPUTS];
        for (value, bytes) in row.iter_mut().zip(bytes.chunks_exact(8)) {
            *value = f64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        }
        let input = scorer::Input::of_row(row);
        let (scores, predictions) = match (scorer::score(&input), scorer::predict(&input)) {
            (Ok(scores), Ok(predictions)) => (scores, predictions),
            (Err(refusal), _) | (_, Err(refusal)) => {
                eprintln!("{refusal}");
                return 3.into();
            }
        };
        let mut numbers = scores.to_vec();
        numbers.extend(predictions);
        // PROBABILITIES
        for number in numbers {
            found.write_all(&number.to_le_bytes()).expect("found.bin can be written");
        }
    }
    found.flush().expect("found.bin can be written");
    0.into()
}
