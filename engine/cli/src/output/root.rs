//! A tree in a ROOT file. Its beginning is written last, so where the output cannot be gone back to, at a server or in a
//! pipe, the file is staged in a temporary one without a name.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use root_engine::RootFileWriter;

use super::{BatchWriter, Destination};
use crate::exit::{Exit, Failure};

const BUFFER: usize = 1 << 20;

pub(super) struct RootWriter<'a> {
    /// Absent when it is finished.
    file: Option<RootFileWriter<Sink<'a>>>,
    name: String,
}

enum Sink<'a> {
    Direct(&'a mut Destination),
    Staged { file: BufWriter<File>, to: &'a mut Destination },
}

impl<'a> RootWriter<'a> {
    /// Writes the beginning; a schema that a tree cannot have is refused.
    pub(super) fn new(schema: &Schema, to: &'a mut Destination) -> Result<Self, Failure> {
        let (name, options) = (to.target().name(), to.root().clone());
        let sink = if to.is_seekable() {
            Sink::Direct(to)
        } else {
            let file = tempfile::tempfile().map_err(|e| Failure::output("a temporary file", &e))?;
            Sink::Staged { file: BufWriter::with_capacity(BUFFER, file), to }
        };
        let file = RootFileWriter::new(sink, &name, schema, &options).map_err(|e| failure(&name, e))?;
        Ok(Self { file: Some(file), name })
    }
}

impl BatchWriter for RootWriter<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<bool, Failure> {
        match &mut self.file {
            Some(file) => file.write(batch).map_err(|e| failure(&self.name, e))?,
            None => return Ok(false),
        }
        Ok(true)
    }

    fn finish(&mut self) -> Result<Option<String>, Failure> {
        let Some(file) = self.file.take() else { return Ok(None) };
        if let Sink::Staged { file, to } = file.finish().map_err(|e| failure(&self.name, e))? {
            let mut file = file.into_inner().map_err(|e| Failure::output("a temporary file", e.error()))?;
            file.rewind().map_err(|e| Failure::output("a temporary file", &e))?;
            io::copy(&mut file, to).map_err(|e| to.failure(&e))?;
            to.pass_on()?;
        }
        Ok(None)
    }
}

fn failure(name: &str, error: root_writer::Error) -> Failure {
    match error {
        root_writer::Error::Io { source, .. } => Failure::output(name, &source),
        other => Failure::new(Exit::Query, other.to_string()),
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Direct(to) => to.write(bytes),
            Self::Staged { file, .. } => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Direct(to) => to.flush(),
            Self::Staged { file, .. } => file.flush(),
        }
    }
}

impl Seek for Sink<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Direct(own) => own.seek(to),
            Self::Staged { file, .. } => file.seek(to),
        }
    }
}
