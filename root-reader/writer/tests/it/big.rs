//! A file of more than 2 GB. What is zero is not written, so that the file takes hardly any room on the disk.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, FixedSizeListArray, Float64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use root_writer::{Codec, FileOptions, FileWriter, TreeOptions};
use serde_json::json;

use crate::support::{integers, python};

/// Passes over what is zero.
struct Sparse(File);

impl Write for Sparse {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if bytes.len() > 4096 && bytes.iter().all(|byte| *byte == 0) {
            self.0.seek(SeekFrom::Current(bytes.len() as i64))?;
            return Ok(bytes.len());
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Seek for Sparse {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn places_beyond_2_gb_are_found() {
    const WIDTH: usize = 1 << 20;
    const ROWS: usize = 260;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big.root");
    let array = |values: Vec<f64>| -> ArrayRef {
        let item = Arc::new(Field::new_list_field(DataType::Float64, true));
        Arc::new(FixedSizeListArray::new(item, WIDTH as i32, Arc::new(Float64Array::from(values)), None))
    };
    let zeros = array(vec![0.0; WIDTH]);
    let mut last = vec![0.0; WIDTH];
    last[WIDTH - 1] = 42.0;
    let schema = Arc::new(Schema::new(vec![
        Field::new("event", DataType::Int32, true),
        Field::new("wave", zeros.data_type().clone(), true),
    ]));
    let row = |event: i32, wave: ArrayRef| RecordBatch::try_new(schema.clone(), vec![integers([event]), wave]).unwrap();

    let options = FileOptions { compression: Codec::None.into(), ..FileOptions::default() };
    let mut writer = FileWriter::new(Sparse(File::create(&path).unwrap()), "big.root", options).unwrap();
    let tree = writer.tree("dir/Events", &schema, TreeOptions::default()).unwrap();
    for event in 0..ROWS - 1 {
        writer.write(tree, &row(event as i32, zeros.clone())).unwrap();
    }
    writer.write(tree, &row(ROWS as i32 - 1, array(last))).unwrap();
    writer.finish().unwrap();
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(size > 1 << 31, "{size} bytes");

    let script = r#"
file = uproot.open(path)
tree = file["dir/Events"]
wave = tree["wave"].array(entry_start=258, library="np")
print(json.dumps([file.file.fVersion >= 1000000, file.file.fEND, tree["event"].array().to_list(), wave.shape, wave.sum(), wave[1, -1]]))
"#;
    let events: Vec<usize> = (0..ROWS).collect();
    assert_eq!(python(script, &path), json!([true, size, events, [2, WIDTH], 42.0, 42.0]));

    let tree = root_reader::RootFile::open_local(&path).unwrap().tree_blocking("dir/Events").unwrap();
    let wave = tree.schema().index_of("wave").unwrap();
    let batches: Vec<RecordBatch> = tree
        .scan(&[wave], ROWS as u64 - 1..ROWS as u64, root_reader::ScanOptions::default())
        .unwrap()
        .blocking()
        .map(|batch| batch.unwrap())
        .collect();
    use arrow_array::cast::AsArray;
    let values = batches[0].column(0).as_fixed_size_list().value(0);
    assert_eq!(values.as_primitive::<arrow_array::types::Float64Type>().value(WIDTH - 1), 42.0);
}
