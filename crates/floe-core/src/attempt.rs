//! Attempts to move a ref: the one way in which push, tag and removal write one.
//!
//! An attempt takes a lease, moves the ref or not, and ends the lease: W1 to W3 and W7 to W10 of `docs/protocol.md`.
//! Whoever repeats begins another attempt, with another lease, and reads everything again (W11): an attempt reads the
//! ref *beside* the handshake, which is safe only so. That saves a request in series.
//!
//! *Invariants.* Nothing visible changes before the ref does, by one compare-and-swap. A won race is never reported as
//! lost, nor a lost one as won; where neither is known, the error says so, and the lease is left.
//!
//! *What a crash leaves.* The lease, for a collector to end, and objects that no ref names. **Dropping** an attempt, or
//! a future of one, is such a crash: the lease is left, since the ref's compare-and-swap may still be on its way.

mod commit;
mod view;

use std::future::Future;

pub(crate) use self::view::RefView;
use crate::collector_state::CollectorState;
use crate::lease::Lease;
use crate::names::RefName;
use crate::namespace::{Namespace, Writers};
use crate::write_error::WriteError;
use crate::{Error, ErrorKind, Remedy, Result};

/// How often a lease is stamped anew before its holder gives up.
const MAX_STAMPS: u32 = 32;

/// How many attempts are made before it is reported that collectors end them all.
const MAX_ATTEMPTS: u32 = 4;

/// A lease, and the ref to be moved under it.
///
/// What is named by the target ref as [`RefView::former`] shows it, history included, exists until the attempt
/// ends, but for what is condemned. Everything else has to be uploaded after [`WriteAttempt::begin`] returned, or shown to
/// exist by a request made after that; another ref, read after that, names what exists, too (W3, W5).
#[derive(Debug)]
pub(crate) struct WriteAttempt {
    namespace: Namespace,
    target: RefName,
    lease: Lease,
    view: RefView,
}

impl WriteAttempt {
    /// Takes a lease and reads the ref (W1 to W3).
    ///
    /// `stamp_guess` is the collector's generation as last seen; a right one saves two requests. Without one it is that of
    /// a namespace that was never collected.
    ///
    /// # Errors
    /// Those of the store; `Denied` where only a server writes; `Corrupt` where the namespace has no `gc/state`.
    pub(crate) async fn begin(
        namespace: &Namespace,
        target: &RefName,
        stamp_guess: Option<u64>,
        holder: &str,
    ) -> Result<Self> {
        if namespace.settings().await?.writers != Writers::Direct {
            let message = format!("only a server writes to the namespace `{}`", namespace.name());
            return Err(Error::new(ErrorKind::Denied, message).with_remedy(Remedy::OtherNamespace));
        }
        rearming(|| async {
            let mut lease = Lease::create(namespace, holder, stamp_guess.unwrap_or(0)).await?;
            match handshake(namespace, target, &mut lease).await {
                Ok(view) => {
                    let (namespace, target) = (namespace.clone(), target.clone());
                    Ok(Self { namespace, target, lease, view })
                }
                Err(e) => {
                    lease.end().await;
                    Err(e)
                }
            }
        })
        .await
    }

    /// The ref and the collectors' decisions as the attempt relies on them.
    pub(crate) fn view(&self) -> &RefView {
        &self.view
    }

    /// Ends the attempt without moving the ref.
    pub(crate) async fn abandon(self) {
        self.lease.end().await;
    }
}

/// Makes attempts until one ends otherwise than by a collector's hand (W11).
pub(crate) async fn rearming<T, F>(mut attempt: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T, WriteError>>,
{
    let mut attempts = 1;
    loop {
        match attempt().await {
            Err(WriteError::Rearm(error)) if attempts < MAX_ATTEMPTS => {
                tracing::debug!(attempts, %error, "beginning again with a new lease");
                attempts += 1;
            }
            other => return other.map_err(Error::from),
        }
    }
}

/// Stamps the lease until `gc/state` has its stamp (W2); reads the ref beside that (W3).
async fn handshake(
    namespace: &Namespace,
    target: &RefName,
    lease: &mut Lease,
) -> Result<RefView, WriteError> {
    // All are awaited, whatever the others' fate: a put must not be under way when the lease ends.
    let (collector, former, conditions) = futures::join!(
        CollectorState::read(namespace),
        namespace.read_ref(target),
        show_conditions(namespace, lease)
    );
    conditions?;
    let (mut collector, former) = (collector?, former?);
    for _ in 0..MAX_STAMPS {
        if collector.generation == lease.stamp() {
            return Ok(RefView { collector, former });
        }
        lease.restamp(collector.generation).await?;
        collector = CollectorState::read(namespace).await?;
    }
    let key = namespace.keys().collector_state();
    let message = format!("`{key}` changes faster than a lease can be stamped");
    Err(Error::new(ErrorKind::Unavailable, message).into())
}

/// Has the store refuse what it must refuse, unless it is known to.
async fn show_conditions(namespace: &Namespace, lease: &Lease) -> Result<()> {
    let (conditions, now) = (namespace.conditions(), namespace.ambient().timestamp());
    if !conditions.are_kept(now) {
        lease.show_conditions().await?;
        conditions.found_kept(now);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
