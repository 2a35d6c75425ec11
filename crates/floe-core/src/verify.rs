//! Verify: whether all that refs name is there and is what its ids say.
//!
//! A damaged object does not stop it: everything else is still looked at, and all that is wrong is reported. What is wrong
//! with a pack is told of the pack, and not again of each snapshot that has it.

mod packs;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use floe_format::{Decompressor, EntryRef, FrameId, PackId};
use tokio_util::sync::CancellationToken;

use crate::catalog::PackShape;
use crate::collector_state::CollectorState;
use crate::keys::Keys;
use crate::names::RefName;
use crate::namespace::{Namespace, RefNames};
use crate::offload::{Offloaded, default_threads, offload};
use crate::reader::{Reach, Sources};
use crate::reference::SnapshotAt;
use crate::snapshot::Snapshot;
use crate::store::Key;
use crate::unpack::{BigFile, FrameOfUnit, Output, Unit, run};
use crate::whole::{Seen, check_metadata, plan_unseen};
use crate::{Error, ErrorKind, Remedy, Result};

use packs::{Told, bytes_to_read, check_pack, check_sizes, check_tail};

/// How many snapshots are kept between the listing of their packs and their own turn; more are opened twice.
const MAX_KEPT_SNAPSHOTS: usize = 64;

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
/// missing is in the answer; where there is none, warnings tell of what was found until then.
pub async fn verify(namespace: &Namespace, options: &VerifyOptions) -> Result<Verified> {
    let mut verified = Verified::default();
    let done = look(namespace, options, &mut verified).await;
    verified.damages.sort();
    verified.damages.dedup();
    verified.unsupported.sort();
    verified.unsupported.dedup();
    if done.is_err() {
        for Damage { object, message, .. } in &verified.damages {
            tracing::warn!("damaged: {object}: {message}");
        }
    }
    done.map(|()| verified)
}

/// Looks at everything, and notes what is found.
async fn look(namespace: &Namespace, options: &VerifyOptions, verified: &mut Verified) -> Result<()> {
    let mut packs: BTreeMap<PackId, PackShape> = BTreeMap::new();
    let mut users = Users::default();
    let snapshots = open_snapshots(namespace, options, &mut packs, &mut users, verified).await?;
    verified.packs = packs.len() as u64;
    let bad = check_sizes(namespace, options, &packs, verified).await?;
    packs.retain(|id, _| !bad.contains(id));
    let to_read = bytes_to_read(&packs, users.packs.values().flatten(), options.quick);
    options.bytes_to_read.store(to_read, Ordering::Relaxed);
    if options.refs.is_empty() {
        // No push goes on without it.
        let read = CollectorState::read(namespace).await.map(drop);
        note(verified, namespace.keys().collector_state().to_string(), read)?;
    }
    let keys = namespace.keys();
    let contents = Contents { namespace: namespace.clone(), packs, bad, snapshots, quick: options.quick };
    let mut found = std::mem::take(verified);
    let (found, done) = offload("verify", &options.cancel, move |work| {
        let done = contents.check(&work, &mut found);
        Ok((found, done))
    })
    .await?;
    *verified = found;
    verified.affected = users.of(&verified.damages, keys);
    done
}

/// What is in a namespace, by its refs.
struct Contents {
    namespace: Namespace,
    packs: BTreeMap<PackId, PackShape>,
    /// Packs that are missing or of another length, which are told.
    bad: HashSet<PackId>,
    snapshots: Vec<(SnapshotAt, Option<Snapshot>)>,
    quick: bool,
}

impl Contents {
    /// Checks packs, and then snapshots.
    fn check(self, work: &Offloaded, verified: &mut Verified) -> Result<()> {
        let Self { namespace, packs, bad, snapshots, quick } = self;
        let mut told = Told::of(bad);
        for shape in packs.values() {
            if quick {
                check_tail(work, &namespace, *shape, &mut told, verified)?;
            } else {
                check_pack(work, &namespace, *shape, &mut told, verified)?;
            }
        }
        let mut seen = Seen::default();
        for (at, kept) in snapshots {
            work.check()?;
            let key = namespace.keys().snapshot(&at).to_string();
            let opened = match kept {
                Some(snapshot) => Ok(snapshot),
                None => work.wait(Snapshot::open(&namespace, at)),
            };
            let mut is_told = false;
            let checked = opened.and_then(|snapshot| {
                is_told = told.is_of_packs(&snapshot);
                check_snapshot(work, &namespace, &snapshot, quick, &mut seen, (&key, &mut told), verified)
            });
            // What `affected` tells of it is enough, where it cannot be read for a pack that is damaged itself.
            if !is_told || checked.as_ref().is_err_and(|error| !is_damage(error)) {
                note(verified, key, checked)?;
            }
        }
        Ok(())
    }
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

/// Whether an error says that an object is damaged, missing or on a bad sector.
fn is_damage(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) || error.is_of_medium()
}

/// Notes what is damaged, missing, on a bad sector or too new; passes on what says nothing of the object.
fn note(verified: &mut Verified, object: String, checked: Result<()>) -> Result<()> {
    let Err(error) = checked else { return Ok(()) };
    let (noted, message) = match error.kind() {
        // What the system says of it is all that is known.
        _ if error.is_of_medium() => (&mut verified.damages, error.with_causes()),
        _ if is_damage(&error) => (&mut verified.damages, error.to_string()),
        ErrorKind::Unsupported => (&mut verified.unsupported, error.to_string()),
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

fn check_snapshot(
    work: &Offloaded,
    namespace: &Namespace,
    snapshot: &Snapshot,
    quick: bool,
    seen: &mut Seen,
    (key, told): (&str, &mut Told),
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
        || Inspector { told, namespace, work, found: Vec::new(), frames: Vec::new() },
    )?;
    let (found, frames): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    for error in found.into_iter().flatten() {
        note(verified, key.to_owned(), Err(error))?;
    }
    told.note_frames(namespace, frames.into_iter().flatten(), verified)
}

/// Looks at everything, and goes on when something is damaged.
struct Inspector<'k> {
    told: &'k Told,
    namespace: &'k Namespace,
    work: &'k Offloaded,
    /// What is wrong, and no frame's fault.
    found: Vec<Error>,
    /// Damaged frames, and their packs: other snapshots have them too.
    frames: Vec<(PackId, FrameId, Error)>,
}

impl Inspector<'_> {
    /// Notes which frames of a unit are damaged. Whether any is.
    fn find_damaged(&mut self, unit: &Unit<'_>) -> bool {
        let mut is_any = false;
        for frame in &unit.frames {
            let (pack, id) = (frame.pack_id, frame.run.id);
            if self.told.is_damaged(&pack, &id) {
                is_any = true;
            } else if let Err(error) = self.read(frame) {
                is_any = true;
                self.frames.push((pack, id, error));
            }
        }
        is_any
    }

    /// Reads a frame by itself, and checks it against its id.
    fn read(&self, frame: &FrameOfUnit) -> Result<()> {
        let key = self.namespace.keys().pack(&frame.pack_id);
        let stored = self.work.wait(self.namespace.read_pack(&key, frame.place()))?;
        let record = &frame.frame.record;
        let (id, mut plain) = (&frame.run.id, Vec::new());
        Ok(Decompressor::new().decompress(id, record.codec, &stored, record.plain_len, &mut plain)?)
    }
}

impl<'t> Output<'t> for Inspector<'_> {
    type Done = (Vec<Error>, Vec<(PackId, FrameId, Error)>);

    fn whole(&mut self, _: u64, _: &EntryRef<'_>, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn part(&mut self, _: &Arc<BigFile<'t>>, _: u64, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn complete(&mut self, _: &Arc<BigFile<'t>>) -> Result<()> {
        Ok(())
    }

    fn failed(&mut self, unit: &Unit<'t>, error: Error) -> Result<()> {
        if !is_damage(&error) && error.kind() != ErrorKind::Unsupported {
            return Err(error);
        }
        if !is_damage(&error) || !self.find_damaged(unit) {
            self.found.push(error);
        }
        Ok(())
    }

    fn done(self) -> Self::Done {
        (self.found, self.frames)
    }
}
