//! Verify: whether all that refs name is there and is what its ids say.
//!
//! A damaged object does not stop it: everything else is still looked at, and all that is wrong is reported.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use floe_format::{Decompressor, EntryRef, PACK_HEAD_LEN, PackHead, PackId};
use tokio_util::sync::CancellationToken;

use crate::catalog::PackShape;
use crate::collector_state::CollectorState;
use crate::keys::Keys;
use crate::names::RefName;
use crate::namespace::{Namespace, RefNames};
use crate::offload::{Offloaded, default_threads, offload};
use crate::pack_tails::PackTails;
use crate::reader::{Reach, Sources};
use crate::reference::SnapshotAt;
use crate::snapshot::Snapshot;
use crate::store::{Key, list_all};
use crate::unpack::{BigFile, Output, Unit, run};
use crate::whole::{Seen, check_metadata, plan_unseen};
use crate::{Error, ErrorKind, Remedy, Result};

/// The most packs that a namespace is listed with.
const MAX_PACKS: usize = 10_000_000;
/// How many snapshots are kept between the listing of their packs and their own turn; more are opened twice.
const MAX_KEPT_SNAPSHOTS: usize = 64;
/// How much of a pack is read at once.
const READ_BYTES: u64 = 8 << 20;

/// What is verified, and how closely. Nothing is read from caches.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// These refs, with their histories; all where none are named.
    pub refs: Vec<RefName>,
    /// Existence and structure only: sizes of packs, their indexes, all segments. No data is read.
    pub quick: bool,
    /// Is told how many bytes will be read, about, when that is known.
    pub bytes_to_read: Arc<AtomicU64>,
    /// Asks to stop.
    pub cancel: CancellationToken,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Damage {
    /// The object's key.
    pub object: String,
    /// What is wrong with it.
    pub message: String,
    /// What helps, where that is not what helps packs and snapshots: to store them again.
    pub remedy: Option<Remedy>,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// Refs looked at.
    pub refs: u64,
    /// Snapshots looked at.
    pub snapshots: u64,
    /// Packs looked at.
    pub packs: u64,
    /// What is wrong, by object.
    pub damages: Vec<Damage>,
    /// Which generations of which refs have something damaged, or are in a pack that is, by name and number.
    pub affected: Vec<(RefName, u64)>,
    /// Of what nobody can tell whether it is as it should be, by object: what needs another version than this one, and
    /// snapshots whose frames are repeated so often that going through them would take days.
    pub unsupported: Vec<Damage>,
    /// Packs that none of the snapshots looked at needs; told only when all refs were. What a push just wrote may be among
    /// them.
    pub unreferenced: Vec<PackId>,
}

/// Verifies a namespace, or some of its refs.
///
/// # Errors
/// Those that say nothing of the objects: the store cannot be reached, the caller asked to stop. What is damaged or
/// missing is in the answer.
pub async fn verify(namespace: &Namespace, options: &VerifyOptions) -> Result<Verified> {
    let mut verified = Verified::default();
    let mut packs: BTreeMap<PackId, PackShape> = BTreeMap::new();
    let mut users = Users::default();
    let snapshots = open_snapshots(namespace, options, &mut packs, &mut users, &mut verified).await?;
    verified.packs = packs.len() as u64;
    let bad = check_sizes(namespace, options, &packs, &mut verified).await?;
    packs.retain(|id, _| !bad.contains(id));
    options.bytes_to_read.store(bytes_to_read(packs.values(), options.quick), Ordering::Relaxed);
    if options.refs.is_empty() {
        // No push goes on without it.
        let read = CollectorState::read(namespace).await.map(drop);
        note(&mut verified, namespace.keys().collector_state().to_string(), read)?;
    }
    let (namespace, quick) = (namespace.clone(), options.quick);
    let keys = namespace.keys().clone();
    let mut verified = offload("verify", &options.cancel, move |work| {
        for shape in packs.values() {
            let checked = if quick {
                check_tail(&work, &namespace, *shape)
            } else {
                check_pack(&work, &namespace, *shape)
            };
            let key = namespace.keys().pack(&shape.id).to_string();
            note(&mut verified, key, checked)?;
        }
        let mut seen = Seen::default();
        for (at, kept) in snapshots {
            work.check()?;
            let key = namespace.keys().snapshot(&at).to_string();
            let opened = match kept {
                Some(snapshot) => Ok(snapshot),
                None => work.wait(Snapshot::open(&namespace, at)),
            };
            let checked = opened.and_then(|snapshot| {
                check_snapshot(&work, &namespace, &snapshot, quick, &mut seen, &key, &mut verified)
            });
            note(&mut verified, key, checked)?;
        }
        Ok(verified)
    })
    .await?;
    verified.damages.sort();
    verified.damages.dedup();
    verified.unsupported.sort();
    verified.unsupported.dedup();
    verified.affected = users.of(&verified.damages, &keys);
    Ok(verified)
}

/// Who uses what.
#[derive(Debug, Default)]
struct Users {
    /// Generations of refs, and their snapshots.
    generations: Vec<(RefName, u64, SnapshotAt)>,
    /// The packs that snapshots are in.
    packs: HashMap<SnapshotAt, Vec<PackId>>,
}

impl Users {
    /// The generations that use any of these objects.
    fn of(mut self, damages: &[Damage], keys: &Keys) -> Vec<(RefName, u64)> {
        let damaged: HashSet<&str> = damages.iter().map(|damage| damage.object.as_str()).collect();
        if damaged.is_empty() {
            return Vec::new();
        }
        let is_damaged = |key: &Key| damaged.contains(key.as_str());
        self.generations.retain(|(_, _, at)| {
            is_damaged(&keys.snapshot(at))
                || self.packs.get(at).is_some_and(|packs| packs.iter().any(|id| is_damaged(&keys.pack(id))))
        });
        let mut affected: Vec<_> =
            self.generations.into_iter().map(|(name, number, _)| (name, number)).collect();
        affected.sort();
        affected
    }
}

/// Bytes of packs, whose data is read once for the packs and once for the snapshots.
fn bytes_to_read<'a>(packs: impl Iterator<Item = &'a PackShape>, quick: bool) -> u64 {
    let of = |shape: &PackShape| {
        let data = shape.pack_len.saturating_sub(shape.tail_len);
        2 * shape.tail_len + if quick { 0 } else { 2 * data }
    };
    packs.map(of).sum()
}

/// Notes what is damaged, missing, on a bad sector or too new; passes on what says nothing of the object.
fn note(verified: &mut Verified, object: String, checked: Result<()>) -> Result<()> {
    let Err(error) = checked else { return Ok(()) };
    let (noted, message) = match error.kind() {
        ErrorKind::Corrupt | ErrorKind::NotFound => (&mut verified.damages, error.to_string()),
        ErrorKind::Unsupported => (&mut verified.unsupported, error.to_string()),
        // What the system says of it is all that is known.
        _ if error.is_of_medium() => (&mut verified.damages, error.with_causes()),
        _ => return Err(error),
    };
    noted.push(Damage { object, message, remedy: error.remedy() });
    Ok(())
}

/// Opens every snapshot that the refs and their histories name, each once, and collects their packs. The first ones are
/// kept, the others only named.
async fn open_snapshots(
    namespace: &Namespace,
    options: &VerifyOptions,
    packs: &mut BTreeMap<PackId, PackShape>,
    users: &mut Users,
    verified: &mut Verified,
) -> Result<Vec<(SnapshotAt, Option<Snapshot>)>> {
    let names = if options.refs.is_empty() {
        let found = namespace.ref_names().await?;
        let strays = found.strays.into_iter();
        let message = || RefNames::STRAY.to_owned();
        let strays = strays.map(|object| Damage { object, message: message(), remedy: Some(Remedy::Remove) });
        verified.damages.extend(strays);
        found.names
    } else {
        options.refs.clone()
    };
    let mut wanted: Vec<SnapshotAt> = Vec::new();
    let mut known = HashSet::new();
    for name in names {
        verified.refs += 1;
        let record = match namespace.read_ref(&name).await {
            Ok(Some((record, _))) => record,
            Ok(None) if options.refs.is_empty() => continue,
            Ok(None) => return Err(namespace.no_ref(&name).await),
            Err(error) => {
                note(verified, namespace.keys().reference(&name).to_string(), Err(error))?;
                continue;
            }
        };
        for generation in std::iter::once(&record.current).chain(&record.history) {
            let Some(at) = generation.at() else { continue };
            users.generations.push((name.clone(), generation.generation, at));
            if known.insert(at) {
                wanted.push(at);
            }
        }
    }
    let mut snapshots = Vec::new();
    for at in wanted {
        verified.snapshots += 1;
        match Snapshot::open(namespace, at).await {
            Ok(snapshot) => {
                users.packs.insert(at, snapshot.layout().packs.iter().map(|pack| pack.id).collect());
                packs.extend(snapshot.layout().packs.iter().map(|pack| (pack.id, PackShape::from(pack))));
                let is_kept = snapshots.len() < MAX_KEPT_SNAPSHOTS;
                snapshots.push((at, is_kept.then_some(snapshot)));
            }
            Err(error) => note(verified, namespace.keys().snapshot(&at).to_string(), Err(error))?,
        }
    }
    Ok(snapshots)
}

/// Compares the packs with what the store lists; returns those that are missing or of another length.
async fn check_sizes(
    namespace: &Namespace,
    options: &VerifyOptions,
    packs: &BTreeMap<PackId, PackShape>,
    verified: &mut Verified,
) -> Result<HashSet<PackId>> {
    let prefix = namespace.keys().packs();
    let all_known = verified.damages.is_empty() && verified.unsupported.is_empty();
    let mut sizes = BTreeMap::new();
    for entry in list_all(namespace.store().as_ref(), &prefix, MAX_PACKS).await? {
        match namespace.keys().rest(&entry.key, &prefix).and_then(|part| PackId::from_hex(part).ok()) {
            Some(id) => drop(sizes.insert(id, entry.size_bytes)),
            None => {
                let message = "it is where only packs may be".to_owned();
                let remedy = Some(Remedy::Remove);
                verified.damages.push(Damage { object: entry.key.to_string(), message, remedy });
            }
        }
    }
    let mut bad = HashSet::new();
    for (id, shape) in packs {
        let message = match sizes.get(id) {
            None => "it is missing".to_owned(),
            Some(size) if *size != shape.pack_len => {
                format!("it has {size} bytes, and not {}", shape.pack_len)
            }
            Some(_) => continue,
        };
        bad.insert(*id);
        verified.damages.push(Damage {
            object: namespace.keys().pack(id).to_string(),
            message,
            remedy: None,
        });
    }
    // What a ref or snapshot object refers to that is damaged or too new is not known.
    if options.refs.is_empty() && all_known {
        verified.unreferenced = sizes.into_keys().filter(|id| !packs.contains_key(id)).collect();
    }
    Ok(bad)
}

/// Checks a pack's tail: its indexes, and its segments and index segments.
fn check_tail(work: &Offloaded, namespace: &Namespace, shape: PackShape) -> Result<()> {
    let tail = work.wait(PackTails::new(namespace, None).load(shape))?;
    let mut decompressor = Decompressor::new();
    for frame in tail.metadata() {
        tail.read(frame, &mut decompressor)?;
    }
    Ok(())
}

/// Checks every byte of a pack: its head, its tail, and the stored bytes of each frame against the index. That
/// data frames' plain bytes are what their ids say is checked with the snapshots that have them.
fn check_pack(work: &Offloaded, namespace: &Namespace, shape: PackShape) -> Result<()> {
    let tail = work.wait(PackTails::new(namespace, None).load(shape))?;
    let mut decompressor = Decompressor::new();
    for frame in tail.metadata() {
        tail.read(frame, &mut decompressor)?;
    }
    let key = namespace.keys().pack(&shape.id);
    let get = |range| work.wait(namespace.read_pack(&key, range));
    PackHead::check(shape.id, &get(0..PACK_HEAD_LEN as u64)?)?;
    let mut frames = tail.tail.data().iter().chain(tail.metadata()).peekable();
    while let Some(first) = frames.peek() {
        let start = first.offset;
        let mut together = Vec::new();
        let mut end = start.get();
        while let Some(frame) = frames.next_if(|frame| {
            let frame_end = frame.offset.get() + u64::from(frame.record.stored_len);
            frame.offset.get() == end && (frame_end - start.get() <= READ_BYTES || end == start.get())
        }) {
            end += u64::from(frame.record.stored_len);
            together.push(frame);
        }
        let bytes = get(start.get()..end)?;
        for frame in together {
            frame.record.check_stored(frame.stored(start, &bytes)?)?;
        }
    }
    Ok(())
}

fn check_snapshot(
    work: &Offloaded,
    namespace: &Namespace,
    snapshot: &Snapshot,
    quick: bool,
    seen: &mut Seen,
    key: &str,
    verified: &mut Verified,
) -> Result<()> {
    let items = 0..u32::try_from(snapshot.root().items.len()).unwrap_or(u32::MAX);
    let items = [items];
    let sources = Sources::open(namespace, snapshot, None, &items, Reach::Data);
    let mut sources = work.wait(sources)?;
    check_metadata(work, snapshot, &mut sources)?.refuse()?;
    if quick {
        return Ok(());
    }
    let ((), found) = run(
        work,
        namespace,
        default_threads(),
        |planner| plan_unseen(planner, snapshot, &mut sources, seen),
        || Inspector { object: key.to_owned(), found: Verified::default() },
    )?;
    for found in found {
        verified.damages.extend(found.damages);
        verified.unsupported.extend(found.unsupported);
    }
    Ok(())
}

/// Looks at everything, and goes on when something is damaged.
struct Inspector {
    object: String,
    found: Verified,
}

impl<'t> Output<'t> for Inspector {
    type Done = Verified;

    fn whole(&mut self, _: u64, _: &EntryRef<'_>, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn part(&mut self, _: &Arc<BigFile<'t>>, _: u64, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn complete(&mut self, _: &Arc<BigFile<'t>>) -> Result<()> {
        Ok(())
    }

    fn failed(&mut self, _unit: &Unit<'t>, error: Error) -> Result<()> {
        note(&mut self.found, self.object.clone(), Err(error))
    }

    fn done(self) -> Verified {
        self.found
    }
}
