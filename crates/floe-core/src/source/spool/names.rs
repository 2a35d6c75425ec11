//! Names of members and directories, and how much of all that is held there may be.

use crate::error::{Error, ErrorKind, Result};

/// Where a name is among the names.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Name(u32);

/// Names end to end, each after its length.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<u8>);

impl Names {
    /// Keeps a name, of which a valid path has at most 255 bytes; whoever asks was allowed its bytes.
    pub(super) fn keep(&mut self, name: &[u8]) -> Name {
        let start = u32::try_from(self.0.len()).expect("what is allowed in all is less");
        self.0.push(u8::try_from(name.len()).expect("no valid name is longer"));
        self.0.extend_from_slice(name);
        Name(start)
    }

    pub(super) fn get(&self, name: Name) -> &[u8] {
        let start = name.0 as usize + 1;
        &self.0[start..start + usize::from(self.0[start - 1])]
    }

    /// Bytes that are held of a name.
    pub(super) fn bytes_of(name: &[u8]) -> usize {
        name.len() + 1
    }

    /// Gives back what was set aside for more.
    pub(super) fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Bytes that may be held yet.
#[derive(Debug)]
pub(super) struct Budget(pub(super) usize);

impl Budget {
    /// Takes so many of them.
    ///
    /// # Errors
    /// There are not as many.
    pub(super) fn take(&mut self, bytes: usize) -> Result<()> {
        let left = self.0.checked_sub(bytes);
        self.0 = left.ok_or_else(|| too_many("the tar has more entries than fit in memory"))?;
        Ok(())
    }
}

/// The error of a tar that is too much for what it is read with.
pub(super) fn too_many(message: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{message}; extract it and push the directory"))
}
