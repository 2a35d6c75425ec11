//! Leases: a push's promise-holder.
//!
//! A lease stamped with generation *g* of the collector's state protects everything that is not condemned at *g*, until
//! it has ended. Its writer alone changes it, always by compare-and-swap from the content that it wrote last; but for
//! a collector, which may make it dead. Dead is final, and a lease that is missing is dead.
//!
//! *What a crash leaves.* The lease, which a collector ends when it is old. Dropping a [`Lease`] leaves it likewise.

use floe_format::Token;
use jiff::Timestamp;
use serde::Serialize;

use crate::names::RefName;
use crate::namespace::Namespace;
use crate::sealed::{as_text, put_sealed, seal};
use crate::store::{Key, PutMode, Version, must_refuse_create, must_refuse_swap};
use crate::write_error::WriteError;
use crate::{Error, ErrorKind, Result};

#[derive(Clone, Debug, Serialize)]
struct LeaseRecord {
    format: u64,
    #[serde(with = "as_text")]
    token: Token,
    kind: Kind,
    state: State,
    generation: u64,
    created: Timestamp,
    holder: String,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none", with = "as_text::option")]
    reference: Option<RefName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Push,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Active,
    Committing,
}

/// A lease that this process holds.
#[derive(Debug)]
pub(crate) struct Lease {
    namespace: Namespace,
    key: Key,
    record: LeaseRecord,
    version: Version,
}

impl Lease {
    /// Creates a lease under a new id (W1). It protects nothing before `gc/state` was read and has its stamp.
    pub(crate) async fn create(namespace: &Namespace, holder: &str, stamp: u64) -> Result<Self> {
        let ambient = namespace.ambient();
        let key = namespace.keys().lease(&ambient.lease_id());
        let record = LeaseRecord {
            format: 1,
            token: ambient.token(),
            kind: Kind::Push,
            state: State::Active,
            generation: stamp,
            created: ambient.timestamp(),
            holder: holder.to_owned(),
            reference: None,
            version: None,
        };
        let version = put_sealed(namespace.store().as_ref(), &key, &record, PutMode::Create).await?;
        Ok(Self { namespace: namespace.clone(), key, record, version })
    }

    /// The generation that it is stamped with.
    pub(crate) fn stamp(&self) -> u64 {
        self.record.generation
    }

    /// Stamps it anew (W2).
    ///
    /// # Errors
    /// `Rearm` where it is dead.
    pub(crate) async fn restamp(&mut self, generation: u64) -> Result<(), WriteError> {
        self.swap(LeaseRecord { generation, ..self.record.clone() }).await
    }

    /// Announces the commit of a ref whose object has this version now, or is absent (W8).
    ///
    /// # Errors
    /// `Rearm` where it is dead: nothing that it protected can be relied on.
    pub(crate) async fn announce_commit(
        &mut self,
        reference: &RefName,
        version: Option<&Version>,
    ) -> Result<(), WriteError> {
        let record = LeaseRecord {
            state: State::Committing,
            reference: Some(reference.clone()),
            version: version.map(|version| version.as_str().to_owned()),
            ..self.record.clone()
        };
        self.swap(record).await
    }

    /// Shows that the store refuses to create the lease again, and to replace it where another version is expected.
    ///
    /// # Errors
    /// `Unsupported` where it does either; nothing may rest on this lease then.
    pub(crate) async fn show_conditions(&self) -> Result<()> {
        // Another token, so that whatever becomes of these two requests, the lease is never taken for the one written.
        let body = seal(&LeaseRecord { token: self.namespace.ambient().token(), ..self.record.clone() })?;
        let store = self.namespace.store().as_ref();
        let stale = PutMode::Swap(self.namespace.settings().await?.version.clone());
        let (created, swapped) = futures::join!(
            store.put(&self.key, body.clone(), PutMode::Create),
            store.put(&self.key, body, stale)
        );
        must_refuse_create(created).and(must_refuse_swap(swapped))
    }

    /// Deletes it (W10). A failure to do so costs only a collector's patience, so none is reported.
    pub(crate) async fn end(self) {
        if let Err(error) = self.namespace.store().delete(&self.key).await {
            tracing::debug!(lease = %self.key, %error, "the lease could not be removed; a collector will");
        }
    }

    /// Replaces it; a lost answer is settled.
    async fn swap(&mut self, mut record: LeaseRecord) -> Result<(), WriteError> {
        record.token = self.namespace.ambient().token();
        let mode = PutMode::Swap(self.version.clone());
        match put_sealed(self.namespace.store().as_ref(), &self.key, &record, mode).await {
            Ok(version) => {
                self.version = version;
                self.record = record;
                Ok(())
            }
            // Neither as it was nor as it was to be: nobody but a collector changes it, and only to dead.
            Err(e) if e.kind() == ErrorKind::Conflict => {
                let message = format!("the lease `{}` was ended by a collector; repeat", self.key);
                Err(WriteError::Rearm(Error::new(ErrorKind::Conflict, message).with_source(e)))
            }
            Err(e) => Err(e.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The golden store's leases are what is written.
    #[test]
    fn leases_are_written_as_the_format_has_them() {
        let active = LeaseRecord {
            format: 1,
            token: "0f0e0d0c0b0a09080706050403020100".parse().unwrap(),
            kind: Kind::Push,
            state: State::Active,
            generation: 7,
            created: "2026-01-02T03:04:05Z".parse().unwrap(),
            holder: "floe 0.1.0, process 1, on a host".to_owned(),
            reference: None,
            version: None,
        };
        let committing = LeaseRecord {
            state: State::Committing,
            reference: Some("release/1.0".parse().unwrap()),
            ..active.clone()
        };
        for (record, golden) in
            [(active, "019b7ca98c8801010101010101010101"), (committing, "019b7ca98c8902020202020202020202")]
        {
            let golden = format!(
                "{}/../floe-format/tests/golden/v1/store/default/leases/{golden}",
                env!("CARGO_MANIFEST_DIR")
            );
            assert_eq!(seal(&record).unwrap(), std::fs::read(golden).unwrap());
        }
    }
}
