//! Apache Parquet: each batch is a row group. Addresses are 64-bit integers, in columns that are packed by their
//! differences; text is UTF-8 by dictionary.

use super::TableWriter;
use crate::analysis::answers::{Batch, Values};
use parquet::basic::{Compression, Encoding};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;

/// A file that begins with its first batch, which tells the columns.
pub(super) struct Parquet<W: Write + Send> {
    name: &'static str,
    out: Option<W>,
    file: Option<SerializedFileWriter<W>>,
}

fn failed(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    }
}

impl<W: Write + Send> Parquet<W> {
    pub(super) fn new(name: &'static str, out: W) -> Parquet<W> {
        Parquet { name, out: Some(out), file: None }
    }

    fn begin(&mut self, batch: &Batch) -> Result<(), ParquetError> {
        let Some(out) = self.out.take() else { return Ok(()) };
        let mut schema = format!("message {} {{\n", self.name);
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("pymem-tui ", env!("CARGO_PKG_VERSION")).to_owned());
        for (name, values) in &batch.columns {
            let (required, what) = match values {
                Values::Address(_) | Values::Int(_) => (true, "INT64"),
                Values::MaybeAddress(_) | Values::MaybeInt(_) => (false, "INT64"),
                Values::Text(_) => (true, "BYTE_ARRAY"),
                Values::MaybeText(_) => (false, "BYTE_ARRAY"),
                Values::Bool(_) => (true, "BOOLEAN"),
            };
            let is_text = if what == "BYTE_ARRAY" { " (UTF8)" } else { "" };
            let _ = writeln!(schema, "{} {what} {name}{is_text};", if required { "REQUIRED" } else { "OPTIONAL" });
            if matches!(values, Values::Address(_) | Values::MaybeAddress(_)) {
                // hardly one address comes twice in `from` and `address`; neighbours differ by little
                let column = ColumnPath::from(*name);
                properties = properties
                    .set_column_dictionary_enabled(column.clone(), false)
                    .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
            }
        }
        schema.push('}');
        let schema = Arc::new(parse_message_type(&schema)?);
        self.file = Some(SerializedFileWriter::new(out, schema, Arc::new(properties.build()))?);
        Ok(())
    }

    fn group(&mut self, batch: &Batch) -> Result<(), ParquetError> {
        self.begin(batch)?;
        let Some(file) = &mut self.file else { return Ok(()) };
        if batch.rows() == 0 {
            return Ok(()); // the columns are known now
        }
        let mut group = file.next_row_group()?;
        for (_, values) in &batch.columns {
            let Some(column) = group.next_column()? else { break };
            write_column(column, values)?;
        }
        group.close()?;
        Ok(())
    }
}

fn write_column(mut column: SerializedColumnWriter<'_>, values: &Values) -> Result<(), ParquetError> {
    let text = |t: &Arc<str>| ByteArray::from(t.as_bytes().to_vec());
    match values {
        Values::Address(v) => all::<Int64Type>(&mut column, v.iter().map(|a| a.0 as i64).collect())?,
        Values::MaybeAddress(v) => some::<Int64Type, _>(&mut column, v, |a| a.0 as i64)?,
        Values::Int(v) => {
            column.typed::<Int64Type>().write_batch(v, None, None)?;
        }
        Values::MaybeInt(v) => some::<Int64Type, _>(&mut column, v, |n| *n)?,
        Values::Text(v) => all::<ByteArrayType>(&mut column, v.iter().map(text).collect())?,
        Values::MaybeText(v) => some::<ByteArrayType, _>(&mut column, v, text)?,
        Values::Bool(v) => {
            column.typed::<BoolType>().write_batch(v, None, None)?;
        }
    }
    column.close()
}

fn all<T: DataType>(column: &mut SerializedColumnWriter<'_>, values: Vec<T::T>) -> Result<(), ParquetError>
where
    T::T: 'static,
{
    column.typed::<T>().write_batch(&values, None, None)?;
    Ok(())
}

/// Values with a level for each row: 1 where there is one.
fn some<T: DataType, V>(
    column: &mut SerializedColumnWriter<'_>,
    values: &[Option<V>],
    each: impl Fn(&V) -> T::T,
) -> Result<(), ParquetError> {
    let levels: Vec<i16> = values.iter().map(|v| i16::from(v.is_some())).collect();
    let there: Vec<T::T> = values.iter().flatten().map(each).collect();
    column.typed::<T>().write_batch(&there, Some(&levels), None)?;
    Ok(())
}

impl<W: Write + Send> TableWriter for Parquet<W> {
    fn rows(&mut self, batch: &Batch) -> io::Result<()> {
        self.group(batch).map_err(failed)
    }

    fn end(mut self: Box<Self>) -> io::Result<()> {
        match self.file.take() {
            Some(file) => file.close().map(drop).map_err(failed),
            None => Ok(()),
        }
    }
}
