//! Arrow IPC and Parquet.

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::writer::{FileWriter, StreamWriter};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::{BatchWriter, Destination};
use crate::exit::Failure;

/// Encoded bytes after which a row group is written, so that memory stays bounded whatever the rows hold.
const ROW_GROUP_BYTES: usize = 32 << 20;

/// A writer of Arrow IPC: the file format for files, except those called `.arrows`, and a stream elsewhere.
pub(super) fn arrow<'a>(schema: &Schema, to: &'a mut Destination) -> Result<Box<dyn BatchWriter + 'a>, Failure> {
    let is_stream = to.target().extension().is_none_or(|extension| extension == "arrows");
    if is_stream {
        // Making the writer writes the schema, and takes the destination even if it fails.
        to.pass_on()?;
        let writer =
            StreamWriter::try_new(to, schema).map_err(|e| Failure::new(crate::exit::Exit::Query, e.to_string()))?;
        Ok(Box::new(ArrowStream(writer)))
    } else {
        let writer =
            FileWriter::try_new(to, schema).map_err(|e| Failure::new(crate::exit::Exit::Query, e.to_string()))?;
        Ok(Box::new(ArrowFile(writer)))
    }
}

struct ArrowStream<'a>(StreamWriter<&'a mut Destination>);

impl BatchWriter for ArrowStream<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<bool, Failure> {
        let done = self.0.write(batch);
        let to = self.0.get_mut();
        done.map_err(|e| to.failure(&e))?;
        to.pass_on()?;
        Ok(true)
    }

    fn finish(&mut self) -> Result<Option<String>, Failure> {
        let done = self.0.finish();
        let to = self.0.get_mut();
        done.map_err(|e| to.failure(&e))?;
        to.pass_on()?;
        Ok(None)
    }
}

struct ArrowFile<'a>(FileWriter<&'a mut Destination>);

impl BatchWriter for ArrowFile<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<bool, Failure> {
        let done = self.0.write(batch);
        done.map_err(|e| self.0.get_mut().failure(&e))?;
        Ok(true)
    }

    fn finish(&mut self) -> Result<Option<String>, Failure> {
        let done = self.0.finish();
        done.map_err(|e| self.0.get_mut().failure(&e))?;
        Ok(None)
    }
}

/// Writes Parquet with zstd, the best trade of size against speed for physics data.
pub(super) struct ParquetWriter<'a>(ArrowWriter<&'a mut Destination>);

impl<'a> ParquetWriter<'a> {
    pub(super) fn new(schema: SchemaRef, to: &'a mut Destination) -> Result<Self, Failure> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(concat!("root-query ", env!("CARGO_PKG_VERSION")).to_string())
            .build();
        // Making the writer writes nothing, so only the schema can be at fault.
        let writer = ArrowWriter::try_new(to, schema, Some(properties))
            .map_err(|e| Failure::new(crate::exit::Exit::Query, format!("cannot be written as Parquet: {e}")))?;
        Ok(Self(writer))
    }
}

impl BatchWriter for ParquetWriter<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<bool, Failure> {
        let mut done = self.0.write(batch);
        if done.is_ok() && self.0.in_progress_size() > ROW_GROUP_BYTES {
            done = self.0.flush();
        }
        done.map_err(|e| self.0.inner().failure(&e))?;
        Ok(true)
    }

    fn finish(&mut self) -> Result<Option<String>, Failure> {
        let done = self.0.finish();
        done.map_err(|e| self.0.inner().failure(&e))?;
        Ok(None)
    }
}
