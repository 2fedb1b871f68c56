//! Segments of the prediction log: a few hundred to a few thousand rows as one small Parquet file.

use bytes::Bytes;
use platform_loopfile::Feature;
use platform_tables::{Column, Table, TableError, read_parquet, write_parquet};

use crate::model::LoggedPrediction;

/// Input columns carry this prefix, so that a feature may have any name.
const INPUT: &str = "input.";

pub(crate) fn encode(features: &[Feature], rows: &[LoggedPrediction]) -> Result<Vec<u8>, TableError> {
    let ints = |field: fn(&LoggedPrediction) -> i64| Column::Int(rows.iter().map(field).collect());
    let reals = |field: fn(&LoggedPrediction) -> f64| Column::Real(rows.iter().map(field).collect());
    let mut columns = vec![
        ("id".to_owned(), Column::Text(rows.iter().map(|row| Some(row.id.clone())).collect())),
        ("at".to_owned(), Column::Time(rows.iter().map(|row| Some(row.at)).collect())),
        ("revision".to_owned(), ints(|row| row.revision)),
        ("champion".to_owned(), ints(|row| row.champion)),
        ("candidate".to_owned(), ints(|row| row.candidate)),
        ("prediction".to_owned(), reals(|row| row.prediction)),
        ("champion_prediction".to_owned(), reals(|row| row.champion_prediction)),
        ("candidate_prediction".to_owned(), reals(|row| row.candidate_prediction)),
        ("reference_prediction".to_owned(), reals(|row| row.reference_prediction)),
    ];
    for (index, feature) in features.iter().enumerate() {
        let values = rows.iter().map(|row| row.inputs.get(index).copied().unwrap_or(f64::NAN)).collect();
        columns.push((format!("{INPUT}{}", feature.name), Column::Real(values)));
    }
    write_parquet(&Table::new(columns)?)
}

pub(crate) fn decode(features: &[Feature], segment: &[u8]) -> Result<Vec<LoggedPrediction>, TableError> {
    let table = read_parquet(Bytes::copy_from_slice(segment))?;
    let ids = table.texts("id")?;
    let times = table.times("at")?;
    let inputs: Vec<Vec<f64>> =
        features.iter().map(|f| table.reals(&format!("{INPUT}{}", f.name))).collect::<Result<_, _>>()?;
    let whole = |name: &str| -> Result<Vec<i64>, TableError> {
        Ok(table.reals(name)?.into_iter().map(|value| value as i64).collect())
    };
    let (revision, champion, candidate) = (whole("revision")?, whole("champion")?, whole("candidate")?);
    let prediction = table.reals("prediction")?;
    let champion_prediction = table.reals("champion_prediction")?;
    let candidate_prediction = table.reals("candidate_prediction")?;
    let reference_prediction = table.reals("reference_prediction")?;
    let mut rows = Vec::with_capacity(table.rows());
    for (index, (id, at)) in ids.into_iter().zip(times).enumerate() {
        rows.push(LoggedPrediction {
            id: id.unwrap_or_default(),
            at: at.unwrap_or_default(),
            inputs: inputs.iter().map(|column| column[index]).collect(),
            revision: revision[index],
            prediction: prediction[index],
            champion: champion[index],
            champion_prediction: champion_prediction[index],
            candidate: candidate[index],
            candidate_prediction: candidate_prediction[index],
            reference_prediction: reference_prediction[index],
        });
    }
    Ok(rows)
}
