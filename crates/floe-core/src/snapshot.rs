//! A snapshot, opened: its root and its layout.

use bytes::Bytes;
use floe_format::{Layout, MAX_SNAPSHOT_OBJECT_LEN, Root, SnapshotObject};

use crate::namespace::Namespace;
use crate::reference::SnapshotAt;
use crate::{Error, ErrorKind, Remedy, Result};

/// What a snapshot is and where its frames are; nothing of its content was read yet.
#[derive(Clone, Debug)]
pub struct Snapshot {
    at: SnapshotAt,
    root: Root,
    layout: Layout,
}

impl Snapshot {
    /// Reads a snapshot object from the store: one request.
    ///
    /// # Errors
    /// `Corrupt` where the object is gone, which a ref or a listing names, with [`Remedy::ResolveAgain`], or is not what its id
    /// says.
    pub async fn open(namespace: &Namespace, at: SnapshotAt) -> Result<Self> {
        let key = namespace.keys().snapshot(&at);
        let read = namespace.store().get(&key, MAX_SNAPSHOT_OBJECT_LEN as u64).await;
        let (bytes, _) = read.map_err(|e| match e.kind() {
            ErrorKind::NotFound => Error::new(ErrorKind::Corrupt, "the snapshot object is missing")
                .in_object(format_args!("`{key}`"))
                .with_remedy(Remedy::ResolveAgain)
                .with_source(e),
            _ => e,
        })?;
        Self::parse(at, &bytes).map_err(|e| e.in_object(format_args!("`{key}`")))
    }

    /// The snapshot that these bytes of a snapshot object say.
    pub(crate) fn parse(at: SnapshotAt, bytes: &Bytes) -> Result<Self> {
        let object = SnapshotObject::decode(at.snapshot, at.layout, bytes)?;
        let root = Root::parse(object.root).map_err(Error::from)?;
        let layout = Layout::decode(root.items.len(), object.layout)?;
        Ok(Self { at, root, layout })
    }

    /// Its id, and that of this layout.
    pub fn at(&self) -> SnapshotAt {
        self.at
    }

    /// What it is.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Where its frames are.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }
}
