//! Small files that are read as a whole: masks, tables and lists that a query names beside its data.

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use object_store::ObjectStoreExt;

use crate::error::Error;
use crate::stores::Location;

impl Location {
    /// Reads a whole file of at most `limit` bytes; of a larger one nothing beyond the limit is kept.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("mask.json");
    /// # std::fs::write(&path, b"{}")?;
    /// let spec = path.display().to_string();
    /// let location = eos_io::Stores::new().resolve(&spec)?;
    /// assert_eq!(futures::executor::block_on(location.read_whole(1 << 20))?, "{}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Where there is no file, it cannot be read, or is larger.
    pub async fn read_whole(&self, limit: u64) -> Result<Bytes, Error> {
        let from_store = |error: object_store::Error| Error::from_store(&self.display, &self.name(), &error);
        let too_large = || Error::Io {
            spec: self.display.clone(),
            message: format!("it is larger than {limit} bytes, which is too much for what it should be"),
        };
        let answer = self.store.get(&self.path).await.map_err(from_store)?;
        if answer.meta.size > limit {
            return Err(too_large());
        }
        let mut bytes = BytesMut::new();
        let mut pieces = answer.into_stream();
        while let Some(piece) = pieces.try_next().await.map_err(from_store)? {
            // What a server says of the size need not be true.
            if (bytes.len() as u64).saturating_add(piece.len() as u64) > limit {
                return Err(too_large());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use crate::{ErrorKind, Stores};

    #[test]
    fn a_file_is_read_up_to_its_limit_and_what_is_missing_is_said_to_be() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        std::fs::write(&path, "12345").unwrap();
        let read = |path: &std::path::Path, limit| {
            let location = Stores::new().resolve(&path.display().to_string()).unwrap();
            block_on(location.read_whole(limit))
        };
        assert_eq!(read(&path, 5).unwrap(), "12345");
        let error = read(&path, 4).unwrap_err();
        assert!(error.to_string().contains("larger than 4 bytes"), "{error}");
        assert_eq!(read(&dir.path().join("y.json"), 5).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(read(dir.path(), 5).is_err());
    }
}
