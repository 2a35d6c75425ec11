//! What could not be read, and is left out when all is planned again.

use std::collections::{HashMap, HashSet};

use super::work::Unread;
use crate::source::{FileKind, Stat};
use crate::{Error, ErrorKind};

/// What a push that may go on without it leaves out.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    paths: HashSet<Vec<u8>>,
    /// Files of several names, by device and inode, and why they cannot be read: under each other name it would be tried
    /// again, and all be planned once more for each.
    files: HashMap<(u64, u64), String>,
}

impl LeftOut {
    pub(super) fn add(&mut self, unread: &Unread) {
        self.paths.insert(unread.path.clone());
        if let Some(file) = unread.file {
            self.files.insert(file, unread.reason());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Whether what has this path is left out; what is to be told of it, where that was not yet.
    pub(super) fn find(&self, path: &[u8], stat: &Stat) -> Option<Option<Unread>> {
        if self.paths.contains(path) {
            return Some(None);
        }
        if stat.kind != FileKind::File || stat.links < 2 {
            return None;
        }
        let reason = self.files.get(&(stat.device, stat.inode))?;
        let message = format!("cannot read {}", String::from_utf8_lossy(path));
        let error = Error::new(ErrorKind::Denied, message).with_source(reason.as_str());
        Some(Some(Unread::new(path.to_vec(), error)))
    }
}
