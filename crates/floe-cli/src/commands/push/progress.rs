//! How far a push is, and how far it has to go.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use floe_core::source::Exclusions;
use floe_core::store::PART_BYTES;
use floe_core::{Namespace, PushOptions, PushProgress, PushSource, RefName, Reference, Snapshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::pace::Pace;
use crate::progress::{Moment, Progress};
use crate::session::Session;

/// Before this a push is over, or is worth a look at how long it will take.
const LONG_PUSH: Duration = Duration::from_millis(250);

/// Shows how far the push is.
pub(super) fn show(session: &Session, size: Size, progress: &Arc<PushProgress>, dry_run: bool) -> Progress {
    let expected_bytes = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&expected_bytes);
    let finding = session.output().shows_progress().then(|| {
        let finding = tokio::spawn(async move { told.store(size.find().await, Ordering::Relaxed) });
        AbortOnDropHandle::new(finding)
    });
    let progress = Arc::clone(progress);
    let confirmed = session.confirmed_bytes();
    let mut outgoing = Outgoing::default();
    let pace = if dry_run { Pace::default() } else { Pace::in_parts_of(PART_BYTES as u64) };
    Progress::start(session.output(), "Pushing", pace, move || {
        // Dropped with this, it stops.
        let _ = &finding;
        let expected = expected_bytes.load(Ordering::Relaxed);
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // Of a source that is walked again, more may be stored than was dealt with since.
        let done = count(&progress.file_bytes);
        let new = done.min(count(&progress.new_file_bytes));
        let reused = done - new;
        let handed_on = count(&progress.uploaded_bytes);
        let sent = if dry_run { handed_on } else { confirmed().min(handed_on) };
        let new_bytes = outgoing.confirmed(new, handed_on, sent);
        Moment {
            bytes: done.min(reused + new_bytes),
            total_bytes: Some(expected).filter(|bytes| *bytes > 0),
            reused_bytes: Some(reused),
            files: Some(count(&progress.files)),
            uploaded_bytes: (!dry_run).then_some(sent),
        }
    })
}

/// What was made of new files and is on its way to the store, in order.
///
/// How many bytes of files are in the store is told by how many were dealt with when as much had been handed on as is
/// confirmed now. So it moves when something is confirmed, and not with how files compress or how far ahead they are read.
#[derive(Debug)]
struct Outgoing {
    /// How many bytes were handed on, and how many new ones of files dealt with, at moments that follow each other; only
    /// the first was confirmed.
    made: VecDeque<(u64, u64)>,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self { made: VecDeque::from([(0, 0)]) }
    }
}

impl Outgoing {
    /// How many new bytes of files are in the store, when so many were dealt with, and so many bytes that were made of them
    /// were handed on and confirmed.
    fn confirmed(&mut self, new_bytes: u64, handed_on: u64, sent: u64) -> u64 {
        // A source is walked again, or a file turns out to be one that was moved.
        for (_, then) in &mut self.made {
            *then = (*then).min(new_bytes);
        }
        match self.made.back_mut() {
            Some((handed_on_before, then)) if *handed_on_before == handed_on => *then = new_bytes,
            _ => self.made.push_back((handed_on, new_bytes)),
        }
        while self.made.get(1).is_some_and(|next| next.0 <= sent) {
            self.made.pop_front();
        }
        let Some(&(from, before)) = self.made.front() else { return new_bytes };
        let Some(&(to, then)) = self.made.get(1) else { return before };
        let part = u128::from(then - before) * u128::from(sent.saturating_sub(from));
        let part = part.checked_div((to - from).into()).and_then(|part| u64::try_from(part).ok());
        before + part.unwrap_or(0)
    }
}

/// What is needed to find out how much there is to push.
pub(super) struct Size {
    namespace: Namespace,
    name: RefName,
    directory: Option<PathBuf>,
    exclusions: Exclusions,
    cancel: CancellationToken,
}

impl Size {
    pub(super) fn new(
        namespace: &Namespace,
        name: &RefName,
        source: &PushSource,
        options: &PushOptions,
    ) -> Self {
        let directory = match source {
            PushSource::Directory(path) => Some(path.clone()),
            PushSource::Tar(_) => None,
        };
        Self {
            namespace: namespace.clone(),
            name: name.clone(),
            directory,
            exclusions: options.exclusions.clone(),
            cancel: options.cancel.clone(),
        }
    }

    /// Bytes of files: about what the ref names has, else what the directory is told to have; 0 if nobody can say.
    async fn find(self) -> u64 {
        tokio::time::sleep(LONG_PUSH).await;
        if let Ok(resolved) = self.namespace.resolve(&Reference::Ref(self.name)).await
            && let Ok(snapshot) = Snapshot::open(&self.namespace, resolved.at).await
        {
            return snapshot.root().file_bytes;
        }
        let Some(directory) = self.directory else { return 0 };
        floe_core::directory_bytes(&directory, &self.exclusions, &self.cancel).await.unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn what_is_on_its_way_is_not_done() {
        let mut outgoing = Outgoing::default();
        assert_eq!(outgoing.confirmed(0, 0, 0), 0);
        assert_eq!(outgoing.confirmed(1_000, 300, 0), 0);
        assert_eq!(outgoing.confirmed(1_000, 300, 75), 250);
        // What follows compresses otherwise, and changes nothing of that.
        assert_eq!(outgoing.confirmed(9_000, 400, 75), 250);
        assert_eq!(outgoing.confirmed(9_000, 400, 300), 1_000);
        assert_eq!(outgoing.confirmed(9_000, 400, 350), 5_000);
        // Nothing is made of what the store has.
        assert_eq!(outgoing.confirmed(9_500, 400, 400), 9_500);
        // The source is walked again, and what was sent of it is known.
        assert_eq!(outgoing.confirmed(0, 400, 400), 0);
        assert_eq!(outgoing.confirmed(9_500, 400, 400), 9_500);
        let mut huge = Outgoing::default();
        assert_eq!(huge.confirmed(u64::MAX, u64::MAX, u64::MAX / 2), u64::MAX / 2);
    }

    /// A push of 60 MiB that nothing compresses, at 10 MiB a second, looked at ten times a second: it is read far ahead of
    /// what goes out, and counted now before, now after it is handed on.
    #[test]
    fn a_slow_uplink_has_a_steady_rate() {
        const TOTAL: u64 = 60 * MIB;
        let (mut outgoing, mut pace) = (Outgoing::default(), Pace::in_parts_of(PART_BYTES as u64));
        let (mut told, mut done) = (0, 0);
        for tenths in 0..72_u64 {
            let parts = if tenths == 0 { 0 } else { (tenths - 1) * MIB / PART_BYTES as u64 + 1 };
            // The lease was confirmed first.
            let sent = (307 + parts * PART_BYTES as u64).min(TOTAL);
            let handed_on = (40 * MIB * tenths / 10 + 11).min(sent + 33 * MIB).min(TOTAL);
            done = done.max(handed_on - handed_on.min(tenths * 7 % 10 * MIB / 10));
            let at = Duration::from_millis(100 * tenths);
            pace.note(at, outgoing.confirmed(done, handed_on, sent.min(handed_on)));
            let Some(rate) = pace.bytes_per_second() else { continue };
            told += 1;
            assert!((8 * MIB..=12 * MIB).contains(&rate), "{at:?}: {rate}");
            let (left, true_left) =
                (pace.left(TOTAL).unwrap_or_default(), Duration::from_secs(6).saturating_sub(at));
            assert!(left.abs_diff(true_left) <= Duration::from_millis(1_500), "{at:?}: {left:?}");
        }
        assert!(told > 40, "{told}");
    }
}
