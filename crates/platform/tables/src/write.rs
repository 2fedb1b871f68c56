use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::{Column, Table, TableError};

/// The table as one Parquet file, zstd; the same table gives the same bytes.
pub fn write_parquet(table: &Table) -> Result<Vec<u8>, TableError> {
    let batch = batch(table)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by("loopwright".to_owned())
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?)
}

/// The table as one Arrow IPC file (Feather, version 2), without compression.
pub fn write_arrow(table: &Table) -> Result<Vec<u8>, TableError> {
    let batch = batch(table)?;
    let mut writer = FileWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?)
}

fn batch(table: &Table) -> Result<RecordBatch, TableError> {
    let fields: Vec<Field> =
        table.columns.iter().map(|(name, column)| Field::new(name, kind(column), true)).collect();
    let arrays: Vec<ArrayRef> = table.columns.iter().map(|(_, column)| array(column)).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

fn kind(column: &Column) -> DataType {
    match column {
        Column::Real(_) => DataType::Float64,
        Column::Int(_) => DataType::Int64,
        Column::Text(_) => DataType::Utf8,
        Column::Time(_) => DataType::Timestamp(TimeUnit::Millisecond, None),
    }
}

fn array(column: &Column) -> ArrayRef {
    match column {
        Column::Real(values) => {
            Arc::new(Float64Array::from_iter(values.iter().map(|v| (!v.is_nan()).then_some(*v))))
        }
        Column::Int(values) => Arc::new(Int64Array::from(values.clone())),
        Column::Text(values) => Arc::new(StringArray::from_iter(values.iter().map(Option::as_deref))),
        Column::Time(values) => Arc::new(TimestampMillisecondArray::from_iter(
            values.iter().map(|value| value.map(|time| time.as_millis())),
        )),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use platform_primitives::Timestamp;

    use super::*;
    use crate::{parquet_shape, read_parquet};

    #[test]
    fn a_table_survives_the_round_trip() {
        let table = Table::new(vec![
            ("id".to_owned(), Column::Text(vec![Some("a".to_owned()), None])),
            ("hour".to_owned(), Column::Int(vec![3, -4])),
            ("at".to_owned(), Column::Time(vec![Some(Timestamp::from_millis(1_549_000_000_123)), None])),
        ])
        .unwrap();
        let bytes = write_parquet(&table).unwrap();
        assert_eq!(bytes, write_parquet(&table).unwrap());
        assert_eq!(parquet_shape(Bytes::from(bytes.clone())).unwrap(), (2, 3));
        assert_eq!(read_parquet(Bytes::from(bytes)).unwrap(), table);
        let missing = Table::new(vec![("x".to_owned(), Column::Real(vec![1.5, f64::NAN]))]).unwrap();
        let read = read_parquet(Bytes::from(write_parquet(&missing).unwrap())).unwrap();
        assert!(read.reals("x").unwrap()[1].is_nan());
        assert!(matches!(read.reals("y"), Err(TableError::ColumnMissing { .. })));
    }

    #[test]
    fn what_is_not_parquet_is_refused() {
        assert!(matches!(read_parquet(Bytes::from_static(b"hello, world")), Err(TableError::Parquet(_))));
    }
}
