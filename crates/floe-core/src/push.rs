//! Pushing: making a snapshot of a source and moving a ref to it.
//!
//! In this order: the walk begins, and what is most likely the base is looked up in the caches; the lease's handshake
//! meanwhile; the base is read where it is another; the plan is made while what it asks for is read, compressed and put
//! into packs; then packs, snapshot object and ref. Nothing anyone can see has changed before the last step. A push that
//! fails leaves packs that no ref names. Where the base turns out to be damaged on the way, all is planned again without one.
//!
//! Three kinds of threads, all of one scope: the planner, which also walks; the workers, which read and compress;
//! and the assembler, which puts the pieces together in order. Every channel between them is bounded, so memory does
//! not grow with the source.

mod assemble;
mod base;
mod build;
mod draft;
mod elsewhere;
mod entry_table;
mod input;
mod journal;
mod kept_paths;
mod known;
mod layout;
mod left_out;
mod links;
mod made;
mod measure;
mod memory;
mod noted;
mod options;
mod packs;
mod passes;
mod plan;
mod repack;
mod run_log;
mod seen_rules;
mod unit;
mod work;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use floe_format::{ContentHash, PackId};
use futures::{StreamExt, TryStreamExt};
use tokio::runtime::Handle;

use self::base::BasePacks;
use self::build::{Build, Built, NewSnapshot, keep_cache};
use self::elsewhere::{Elsewhere, Places};
use self::input::{Input, Listings};
pub(crate) use self::journal::Journal;
pub use self::measure::directory_bytes;
use self::memory::Memory;
pub use self::options::{PushOptions, PushOutcome, PushProgress, PushSource, Pushed};
pub use self::work::Unread;
use crate::attempt::{RefView, WriteAttempt, rearming};
use crate::catalog::PackShape;
use crate::names::RefName;
use crate::namespace::Namespace;
use crate::offload::{Offloaded, cancelled, offload, unless_cancelled};
use crate::pack_tails::PackTails;
use crate::reference::SnapshotAt;
use crate::snapshot::Snapshot;
use crate::source::{CacheWriter, StatCache};
use crate::store::{OpenUploads, PutMode};
use crate::write_error::WriteError;
use crate::{Error, ErrorKind, Result};

/// How many packs are asked for at once whether they exist.
const HEADS_IN_FLIGHT: usize = 16;

/// Makes a snapshot of a source and moves `target` to it.
///
/// # Errors
/// `Conflict` where somebody else moved the ref at the same time; `Denied` where entries cannot be read, all of which
/// the message names; `Invalid` where a file will not hold still or the options cannot be met; `Cancelled`; and those
/// of the store.
///
/// # Cancel safety
/// Dropped, the push stops soon after, and leaves its lease to the collector. To have it ended, cancel
/// [`PushOptions::cancel`] and wait.
pub async fn push(
    namespace: &Namespace,
    source: PushSource,
    target: &RefName,
    options: &PushOptions,
    progress: &Arc<PushProgress>,
) -> Result<Pushed> {
    options.annotation.check()?;
    let input = Input::open(source, options).await?;
    let push = Push {
        namespace: namespace.clone(),
        source_name: input.name(target),
        input,
        target: target.clone(),
        options: options.clone(),
        progress: Arc::clone(progress),
        tails: PackTails::new(namespace, options.cache_dir.as_deref()),
        uploads: OpenUploads::default(),
    };
    rearming(|| push.attempt()).await
}

/// A push, all that it was asked.
struct Push {
    namespace: Namespace,
    input: Input,
    /// What is remembered of the source is found under.
    source_name: PathBuf,
    target: RefName,
    options: PushOptions,
    progress: Arc<PushProgress>,
    tails: PackTails,
    uploads: OpenUploads,
}

impl Push {
    async fn attempt(&self) -> Result<Pushed, WriteError> {
        self.progress.restart();
        // The walk's other thread is at work while the handshake waits for the store.
        let listings = self.input.listings(&self.options.exclusions, &self.options.cancel)?;
        let memory = Memory::new(&self.namespace, self.options.cache_dir.as_deref());
        if self.options.dry_run {
            let read = RefView::read(&self.namespace, &self.target);
            let (view, guess) = futures::join!(read, self.guess(&memory));
            let view = view?;
            let mut built = self.build(&view, listings, &memory, guess).await?;
            self.keep(built.cache.take()).await;
            return Ok(told(&view, built));
        }
        if self.options.cancel.is_cancelled() {
            return Err(cancelled().into());
        }
        let begin = WriteAttempt::begin(
            &self.namespace,
            &self.target,
            memory.collector_generation(),
            &self.options.holder,
        );
        let (attempt, guess) = futures::join!(begin, self.guess(&memory));
        let attempt = attempt?;
        memory.set_collector_generation(attempt.view().collector_generation());
        match self.build(attempt.view(), listings, &memory, guess).await {
            Ok(built) => self.commit(attempt, built, memory).await,
            Err(e) => {
                // What was being sent was dropped, and is given up beside the lease.
                futures::join!(attempt.abandon(), self.uploads.abort_all(self.namespace.store().as_ref()));
                Err(e.into())
            }
        }
    }

    async fn build(
        &self,
        view: &RefView,
        listings: Listings,
        memory: &Memory,
        guess: Option<Base>,
    ) -> Result<Built> {
        let found = if self.options.full { FoundBase::Lost } else { self.base(view, memory, guess).await? };
        let has_base = matches!(found, FoundBase::Some(_));
        match self.build_on(view, listings, memory, found).await {
            // Only the base is read; what of it is damaged may be found late.
            Err(e) if has_base && e.kind() == ErrorKind::Corrupt => {
                tracing::warn!("the base is damaged, and everything is stored anew: {}", e.with_causes());
                self.uploads.abort_all(self.namespace.store().as_ref()).await;
                self.progress.restart();
                let listings = self.input.listings(&self.options.exclusions, &self.options.cancel)?;
                self.build_on(view, listings, memory, FoundBase::Lost).await
            }
            built => built,
        }
    }

    async fn build_on(
        &self,
        view: &RefView,
        listings: Listings,
        memory: &Memory,
        found: FoundBase,
    ) -> Result<Built> {
        // Where the base is damaged or gone, whatever else is known of is not relied on either.
        let is_full = matches!(found, FoundBase::Lost);
        let base = match found {
            FoundBase::Some(base) => Some(*base),
            FoundBase::None | FoundBase::Lost => None,
        };
        let journal = Journal::new(memory.directory(), &self.source_name, &self.target);
        let base_packs = base.as_ref().map(|base| base.snapshot.layout().packs.iter().map(|pack| pack.id));
        let base_packs = base_packs.into_iter().flatten().collect();
        // Where this future is dropped, the threads stop at the next piece.
        let cancel = self.options.cancel.child_token();
        let stop = cancel.clone().drop_guard();
        let build = Build {
            parameters: self.namespace.settings().await?.parameters,
            namespace: self.namespace.clone(),
            input: self.input.clone(),
            options: PushOptions { cancel: cancel.clone(), ..self.options.clone() },
            progress: Arc::clone(&self.progress),
            tails: self.tails.clone(),
            base: base.as_ref().map(|base| base.snapshot.root().clone()),
            packs: Arc::new(base.map(|base| base.packs).unwrap_or_default()),
            elsewhere: if is_full { None } else { self.elsewhere(view, base_packs, &journal) },
            journal,
            uploads: self.uploads.clone(),
            former: view.former().and_then(|former| former.current.at()).filter(|_| !is_full),
        };
        let built = tokio::task::spawn_blocking(move || build.run(listings)).await.map_err(|e| {
            Error::new(ErrorKind::Internal, "the push was broken off by a fault of its own").with_source(e)
        })?;
        let is_cancelled = cancel.is_cancelled();
        drop(stop);
        if is_cancelled {
            return Err(cancelled());
        }
        built
    }

    /// For what waits for the store on a thread of its own.
    fn work(&self) -> Offloaded {
        Offloaded { runtime: Handle::current(), cancel: self.options.cancel.clone() }
    }

    /// Looks up what is most likely the base, as far as it is cached: the store answers meanwhile.
    async fn guess(&self, memory: &Memory) -> Option<Base> {
        if self.options.full {
            return None;
        }
        let (memory, tails, source) = (memory.clone(), self.tails.clone(), self.source_name.clone());
        let (named, work) = (self.options.base, self.work());
        let looked_up = offload("guess", &self.options.cancel, move |_| {
            let guess = || {
                let at = named.or_else(|| memory.last_pushed(&source))?;
                let snapshot = memory.kept_snapshot(at)?;
                let packs = BasePacks::load_cached(&tails, &work, &snapshot)?;
                Some(Base { at, snapshot, packs })
            };
            Ok(guess())
        });
        looked_up.await.ok().flatten()
    }

    /// The snapshot to push against, and where its frames are.
    async fn base(&self, view: &RefView, memory: &Memory, guess: Option<Base>) -> Result<FoundBase> {
        let named = view.former().and_then(|former| former.current.at());
        let Some(at) = self.options.base.or(named).or_else(|| memory.last_pushed(&self.source_name)) else {
            return Ok(FoundBase::None);
        };
        let guess = guess.filter(|guess| guess.at == at);
        match self.load_base(view, at, memory, guess).await {
            Ok(base) => Ok(FoundBase::Some(Box::new(base))),
            // What is damaged or gone cannot be built on, and need not be.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Corrupt) => {
                tracing::warn!("the base cannot be used, and everything is stored anew: {}", e.with_causes());
                Ok(FoundBase::Lost)
            }
            Err(e) => Err(e),
        }
    }

    async fn load_base(
        &self,
        view: &RefView,
        at: SnapshotAt,
        memory: &Memory,
        guess: Option<Base>,
    ) -> Result<Base> {
        let (snapshot, known) = match guess {
            Some(Base { snapshot, packs, .. }) => (snapshot, Some(packs)),
            None => (memory.snapshot(&self.namespace, at).await?, None),
        };
        let packs = &snapshot.layout().packs;
        let ids = packs.iter().map(|pack| pack.id);
        let mut unusable: HashSet<PackId> = ids.filter(|id| view.is_condemned_pack(id)).collect();
        let is_named = view.former().is_some_and(|former| former.names(&at));
        if !is_named {
            unusable.extend(self.missing(packs.iter().map(PackShape::from)).await?);
        }
        let packs = match known.filter(|_| unusable.is_empty()) {
            Some(packs) => packs,
            None => {
                BasePacks::load(&self.tails, &self.work(), &snapshot, |shape| unusable.contains(&shape.id))
                    .await?
            }
        };
        Ok(Base { at, snapshot, packs })
    }

    /// Where frames may be that the base has not; only caches and the journal tell.
    fn elsewhere(&self, view: &RefView, base: HashSet<PackId>, journal: &Journal) -> Option<Arc<Elsewhere>> {
        self.options.cache_dir.as_ref()?;
        Some(Arc::new(Elsewhere::new(Places {
            namespace: self.namespace.clone(),
            tails: self.tails.clone(),
            handle: tokio::runtime::Handle::current(),
            collector: view.collector().clone(),
            base,
            journal: journal.packs(),
        })))
    }

    /// Those of these packs that do not exist, by requests of their own.
    async fn missing(&self, packs: impl Iterator<Item = PackShape>) -> Result<Vec<PackId>> {
        // Made one by one: a closure that borrows would keep the push from being sent to another thread.
        let mut heads = Vec::new();
        for shape in packs {
            heads.push(self.missing_pack(shape));
        }
        let found: Vec<_> = futures::stream::iter(heads).buffered(HEADS_IN_FLIGHT).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn missing_pack(&self, shape: PackShape) -> Result<Option<PackId>> {
        let key = self.namespace.keys().pack(&shape.id);
        let found = self.namespace.store().head(&key).await?;
        Ok((found != Some(shape.pack_len)).then_some(shape.id))
    }

    async fn commit(
        &self,
        attempt: WriteAttempt,
        mut built: Built,
        memory: Memory,
    ) -> Result<Pushed, WriteError> {
        let cache = built.cache.take();
        let NewSnapshot::Made { at, object } = built.snapshot else {
            let told = told(attempt.view(), built);
            // What was sent before it turned out that nothing is new.
            let uploads = self.uploads.abort_all(self.namespace.store().as_ref());
            futures::join!(attempt.abandon(), self.keep(cache), uploads);
            return Ok(told);
        };
        let mut annotation = self.options.annotation.clone();
        annotation.skipped = built.pushed.skipped.len() as u64;
        let object = Bytes::from(object);
        let key = self.namespace.keys().snapshot(&at);
        let (store, body) = (Arc::clone(self.namespace.store()), object.clone());
        // It may wait long where few bytes a second move.
        let cancel = self.options.cancel.clone();
        let publish = async move {
            unless_cancelled(&cancel, store.put(&key, body, PutMode::Overwrite)).await?.map(drop)
        };
        let committed = match attempt.commit(Some(at), annotation, publish).await {
            Ok(committed) => committed,
            Err(error) => {
                self.keep(cache).await;
                return Err(error);
            }
        };
        let journal = Journal::new(memory.directory(), &self.source_name, &self.target);
        let (tails, source) = (self.tails.clone(), self.source_name.clone());
        let (namespace, cache_dir) = (self.namespace.clone(), self.options.cache_dir.clone());
        let input = self.input.clone();
        // A panic there costs what is remembered, nothing else.
        let remembering = tokio::task::spawn_blocking(move || {
            memory.remember(&source, at, &object);
            journal.remove();
            tails.evict();
            memory.evict(&namespace);
            keep_cache(cache);
            input.keep_names();
            if let Some(caches) = cache_dir {
                StatCache::evict(&caches, namespace.ambient());
            }
        });
        let (record, _) = futures::join!(committed.end(), remembering);
        Ok(Pushed { outcome: PushOutcome::Committed(record), at, ..built.pushed })
    }

    /// Keeps the source's next caches. A panic there costs the caches, nothing else.
    async fn keep(&self, cache: Option<CacheWriter>) {
        let input = self.input.clone();
        let keeping = tokio::task::spawn_blocking(move || {
            keep_cache(cache);
            input.keep_names();
        });
        let _ = keeping.await;
    }
}

/// A snapshot to push against.
struct Base {
    at: SnapshotAt,
    snapshot: Snapshot,
    packs: BasePacks,
}

/// What was found to push against.
enum FoundBase {
    Some(Box<Base>),
    /// There is nothing to push against.
    None,
    /// There is, and it is damaged or gone; or it is taken for that, on request.
    Lost,
}

/// What came of a push that has nothing to commit.
fn told(view: &RefView, built: Built) -> Pushed {
    let outcome = match (&built.snapshot, view.former()) {
        (NewSnapshot::Unchanged(_), Some(former)) => PushOutcome::Unchanged(former.clone()),
        _ => PushOutcome::DryRun,
    };
    let at = match built.snapshot {
        NewSnapshot::Unchanged(at) | NewSnapshot::DryRun(at) | NewSnapshot::Made { at, .. } => at,
    };
    Pushed { outcome, at, ..built.pushed }
}

/// The first bytes of a content hash, which tell contents apart well enough to count them.
fn leading_u64(hash: &ContentHash) -> u64 {
    let (first, _) = hash.as_bytes().split_at(8);
    u64::from_le_bytes(first.try_into().expect("these are eight bytes"))
}
