use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef};
use arrow_cast::cast;
use arrow_schema::{DataType, TimeUnit};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use platform_primitives::Timestamp;

use crate::{Column, Table, TableError};

/// Rows and columns of a Parquet file by what it says of itself, without reading them.
pub fn parquet_shape(bytes: Bytes) -> Result<(u64, usize), TableError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let rows = reader.metadata().file_metadata().num_rows();
    Ok((u64::try_from(rows).unwrap_or(0), reader.schema().fields().len()))
}

/// Reads a whole Parquet file. Columns of other types than number, text, boolean, date or time are refused.
pub fn read_parquet(bytes: Bytes) -> Result<Table, TableError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?.with_batch_size(8192).build()?;
    let mut columns: Vec<(String, Column)> = Vec::new();
    for batch in reader {
        let batch = batch.map_err(TableError::Arrow)?;
        let schema = batch.schema();
        for (index, field) in schema.fields().iter().enumerate() {
            let part = column(field.name(), batch.column(index))?;
            match columns.get_mut(index) {
                None => columns.push((field.name().clone(), part)),
                Some((_, whole)) => extend(whole, part),
            }
        }
    }
    Table::new(columns)
}

fn column(name: &str, array: &ArrayRef) -> Result<Column, TableError> {
    let millis = DataType::Timestamp(TimeUnit::Millisecond, None);
    match array.data_type() {
        kind if kind.is_integer() && array.null_count() == 0 => {
            let array = cast(array, &DataType::Int64)?;
            Ok(Column::Int(array.as_primitive::<Int64Type>().values().to_vec()))
        }
        kind if kind.is_numeric() || *kind == DataType::Boolean => {
            let array = cast(array, &DataType::Float64)?;
            let array = array.as_primitive::<Float64Type>();
            Ok(Column::Real(array.iter().map(|value| value.unwrap_or(f64::NAN)).collect()))
        }
        DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64 => {
            let array = cast(array, &millis)?;
            let array = array.as_primitive::<TimestampMillisecondType>();
            Ok(Column::Time(array.iter().map(|value| value.map(Timestamp::from_millis)).collect()))
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(_, _) => {
            let array = cast(array, &DataType::Utf8)?;
            Ok(Column::Text(array.as_string::<i32>().iter().map(|v| v.map(str::to_owned)).collect()))
        }
        other => Err(TableError::ColumnType {
            name: name.to_owned(),
            found: other.to_string(),
            expected: "a number, text, boolean, date or time",
        }),
    }
}

fn extend(whole: &mut Column, part: Column) {
    match (whole, part) {
        (Column::Real(whole), Column::Real(part)) => whole.extend(part),
        (Column::Real(whole), Column::Int(part)) => whole.extend(part.into_iter().map(|v| v as f64)),
        (whole @ Column::Int(_), Column::Real(part)) => {
            // A later batch brought the first missing value of a whole-number column.
            let Column::Int(values) = whole else { return };
            let mut widened: Vec<f64> = values.iter().map(|v| *v as f64).collect();
            widened.extend(part);
            *whole = Column::Real(widened);
        }
        (Column::Int(whole), Column::Int(part)) => whole.extend(part),
        (Column::Text(whole), Column::Text(part)) => whole.extend(part),
        (Column::Time(whole), Column::Time(part)) => whole.extend(part),
        _ => unreachable!("the batches of one file share a schema"),
    }
}
