//! Where a namespace keeps what (`docs/format.md` §2).

use floe_format::{LeaseId, PackId};

use crate::names::{NamespaceName, RefName};
use crate::reference::SnapshotAt;
use crate::store::{Key, KeyPrefix};

/// The keys of one namespace.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    namespace: NamespaceName,
}

impl Keys {
    pub(crate) fn new(namespace: NamespaceName) -> Self {
        Self { namespace }
    }

    pub(crate) fn format(&self) -> Key {
        self.key("format.json")
    }

    pub(crate) fn collector_state(&self) -> Key {
        self.key("gc/state")
    }

    pub(crate) fn reference(&self, name: &RefName) -> Key {
        self.key(&format!("refs/{}", name.to_key_part()))
    }

    pub(crate) fn references(&self) -> KeyPrefix {
        self.prefix("refs/")
    }

    pub(crate) fn snapshot(&self, at: &SnapshotAt) -> Key {
        self.key(&format!("snapshots/{}/{}", at.snapshot, at.layout))
    }

    pub(crate) fn packs(&self) -> KeyPrefix {
        self.prefix("packs/")
    }

    pub(crate) fn pack(&self, id: &PackId) -> Key {
        self.key(&format!("packs/{id}"))
    }

    /// What the keys of all snapshots begin with whose ids begin with `digits`.
    pub(crate) fn snapshots(&self, digits: &str) -> KeyPrefix {
        self.prefix(&format!("snapshots/{digits}"))
    }

    pub(crate) fn lease(&self, id: &LeaseId) -> Key {
        self.key(&format!("leases/{id}"))
    }

    pub(crate) fn leases(&self) -> KeyPrefix {
        self.prefix("leases/")
    }

    /// The part of a key of this namespace after one of its prefixes.
    pub(crate) fn rest<'a>(&self, key: &'a Key, prefix: &KeyPrefix) -> Option<&'a str> {
        key.as_str().strip_prefix(prefix.as_str())
    }

    fn key(&self, rest: &str) -> Key {
        Key::new(format!("{}/{rest}", self.namespace)).expect("names and ids are made of what keys may hold")
    }

    fn prefix(&self, rest: &str) -> KeyPrefix {
        KeyPrefix::new(format!("{}/{rest}", self.namespace))
            .expect("names and ids are made of what keys may hold")
    }
}
