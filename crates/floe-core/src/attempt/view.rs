//! What a push, a tag or a removal sees of the namespace before it writes.

use floe_format::PackId;

use crate::collector_state::CollectorState;
use crate::names::RefName;
use crate::namespace::Namespace;
use crate::reference::{RefRecord, SnapshotAt};
use crate::store::Version;
use crate::{ErrorKind, Result};

/// The ref to be moved, and what collectors have decided.
#[derive(Debug)]
pub(crate) struct RefView {
    pub(super) collector: CollectorState,
    pub(super) former: Option<(RefRecord, Version)>,
}

impl RefView {
    /// Reads both without a lease, for those who write nothing: what is seen may be collected meanwhile.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn read(namespace: &Namespace, target: &RefName) -> Result<Self> {
        let (collector, former) = futures::join!(CollectorState::read(namespace), namespace.read_ref(target));
        let (collector, former) = match (collector, former?) {
            // A namespace that is not made yet has nothing to collect.
            (Err(e), None) if e.kind() == ErrorKind::Corrupt => {
                (CollectorState::new(namespace.ambient().token()), None)
            }
            (collector, former) => (collector?, former),
        };
        Ok(Self { collector, former })
    }

    /// The ref as it was then; `None` for one that never was.
    pub(crate) fn former(&self) -> Option<&RefRecord> {
        self.former.as_ref().map(|(record, _)| record)
    }

    /// The generation that a lease is stamped with, to be guessed next time.
    pub(crate) fn collector_generation(&self) -> u64 {
        self.collector.generation
    }

    /// Whether a pack may not be used, wherever it is known from (W4).
    pub(crate) fn is_condemned_pack(&self, id: &PackId) -> bool {
        self.collector.is_condemned_pack(id)
    }

    /// Whether a snapshot object may not be used, wherever it is known from (W4).
    pub(crate) fn is_condemned_snapshot(&self, at: &SnapshotAt) -> bool {
        self.collector.is_condemned_snapshot(at)
    }

    /// Whether there is any pack that may not be used.
    pub(crate) fn condemns_packs(&self) -> bool {
        self.collector.condemns_packs()
    }

    /// What collectors have decided.
    pub(crate) fn collector(&self) -> &CollectorState {
        &self.collector
    }
}
