//! Leases: a push's promise-holder.
//!
//! A lease stamped with generation *g* of the collector's state protects everything that is not condemned at *g*.
//! The handshake: create the lease, then read `gc/state`; where its generation is another than the stamp, stamp
//! anew and read again, until both agree. Only what is read of refs *after* that may be relied on.
//!
//! A crash leaves the lease behind; the collector ends it when it is old. A lease that is dead or gone protects
//! nothing, and whoever holds it finds out by the compare-and-swap that every commit begins with.

use floe_format::Token;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::collector_state::{CollectorState, MAX_STATE_BYTES};
use crate::names::RefName;
use crate::namespace::Namespace;
use crate::sealed::{as_text, put_sealed};
use crate::store::{Key, PutMode, Version};
use crate::{Error, ErrorKind, Result};

/// How often a lease is stamped anew before its holder gives up.
const MAX_STAMPS: u32 = 32;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct LeaseRecord {
    format: u64,
    #[serde(with = "as_text")]
    token: Token,
    kind: Kind,
    state: State,
    generation: u64,
    created: Timestamp,
    holder: String,
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none", with = "as_text::option")]
    reference: Option<RefName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Push,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Open,
    Committing,
}

/// A lease that this process holds.
#[derive(Debug)]
pub(crate) struct Lease {
    namespace: Namespace,
    key: Key,
    record: LeaseRecord,
    version: Version,
    collector: CollectorState,
}

impl Lease {
    /// Takes a lease and completes the handshake.
    ///
    /// `guess` is the collector's generation as last seen; a right one saves requests, a wrong one costs one more.
    ///
    /// # Errors
    /// Those of the store; `Corrupt` where the namespace has no `gc/state`.
    pub(crate) async fn acquire(namespace: &Namespace, holder: &str, guess: u64) -> Result<Self> {
        let ambient = namespace.ambient();
        let key = namespace.keys().lease(&ambient.lease_id());
        let record = LeaseRecord {
            format: 1,
            token: ambient.token(),
            kind: Kind::Push,
            state: State::Open,
            generation: guess,
            created: ambient.timestamp(),
            holder: holder.to_owned(),
            reference: None,
            version: None,
        };
        let store = namespace.store().as_ref();
        let version = put_sealed(store, &key, &record, PutMode::Create).await?;
        let collector = match read_collector(namespace).await {
            Ok(collector) => collector,
            Err(e) => {
                let _ = store.delete(&key).await;
                return Err(e);
            }
        };
        let mut lease = Self { namespace: namespace.clone(), key, record, version, collector };
        match lease.stamp_until_unchanged().await {
            Ok(()) => Ok(lease),
            Err(e) => {
                lease.end().await;
                Err(e)
            }
        }
    }

    /// Announces the commit of a ref whose object has this version now, or is absent.
    ///
    /// # Errors
    /// `Conflict` where the lease was ended by the collector: nothing it protected can be relied on.
    pub(crate) async fn announce_commit(
        &mut self,
        reference: &RefName,
        version: Option<&Version>,
    ) -> Result<()> {
        self.record.state = State::Committing;
        self.record.reference = Some(reference.clone());
        self.record.version = version.map(|version| version.as_str().to_owned());
        self.swap().await
    }

    /// Ends the lease. A failure to do so costs only the collector's patience, so none is reported.
    pub(crate) async fn end(self) {
        if let Err(error) = self.namespace.store().delete(&self.key).await {
            tracing::debug!(lease = %self.key, %error, "the lease could not be removed; the collector will");
        }
    }

    async fn stamp_until_unchanged(&mut self) -> Result<()> {
        for _ in 0..MAX_STAMPS {
            if self.collector.generation == self.record.generation {
                return Ok(());
            }
            self.record.generation = self.collector.generation;
            self.swap().await?;
            self.collector = read_collector(&self.namespace).await?;
        }
        let message = format!(
            "`{}` changes faster than a lease can be stamped",
            self.namespace.keys().collector_state()
        );
        Err(Error::new(ErrorKind::Unavailable, message))
    }

    async fn swap(&mut self) -> Result<()> {
        self.record.token = self.namespace.ambient().token();
        let mode = PutMode::Swap(self.version.clone());
        match put_sealed(self.namespace.store().as_ref(), &self.key, &self.record, mode).await {
            Ok(version) => {
                self.version = version;
                Ok(())
            }
            Err(e) if e.kind() == ErrorKind::Conflict => {
                let message = format!("the lease `{}` was ended by the collector", self.key);
                Err(Error::new(ErrorKind::Conflict, message).with_source(e))
            }
            Err(e) => Err(e),
        }
    }
}

async fn read_collector(namespace: &Namespace) -> Result<CollectorState> {
    let key = namespace.keys().collector_state();
    match namespace.store().get(&key, MAX_STATE_BYTES).await {
        Ok((bytes, _)) => CollectorState::from_bytes(key.as_str(), &bytes),
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let message = format!("`{key}` is missing: the namespace is damaged");
            Err(Error::new(ErrorKind::Corrupt, message).with_source(e))
        }
        Err(e) => Err(e),
    }
}
