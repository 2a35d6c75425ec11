//! Whether packs are there, and are what their indexes say.

use std::collections::{BTreeMap, HashSet};

use floe_format::{Decompressor, FrameId, PACK_HEAD_LEN, PackHead, PackId};

use crate::catalog::PackShape;
use crate::namespace::Namespace;
use crate::offload::Offloaded;
use crate::pack_tails::{LoadedTail, PackTails};
use crate::snapshot::Snapshot;
use crate::store::list_all;
use crate::{Error, Remedy, Result};

use super::{Damage, Verified, VerifyOptions, note};

/// The most packs that a namespace is listed with.
const MAX_PACKS: usize = 10_000_000;
/// How much of a pack is read at once.
const READ_BYTES: u64 = 8 << 20;
/// How many frames of a pack are told one by one.
const MAX_FRAMES: usize = 16;

/// What was told of packs already.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Packs of which more cannot be used than a frame.
    packs: HashSet<PackId>,
    frames: HashSet<(PackId, FrameId)>,
    /// Packs of which more frames are damaged than are told one by one.
    many: HashSet<PackId>,
}

impl Told {
    /// These packs, of which all was told that is.
    pub(super) fn of(packs: HashSet<PackId>) -> Self {
        Self { packs, ..Self::default() }
    }

    /// Whether a snapshot needs a pack that is told.
    pub(super) fn is_of_packs(&self, snapshot: &Snapshot) -> bool {
        snapshot.layout().packs.iter().any(|pack| self.packs.contains(&pack.id))
    }

    /// Whether a frame of a pack is told, or all of the pack.
    fn has(&self, pack: &PackId, frame: &FrameId) -> bool {
        let is_whole = self.packs.contains(pack) || self.many.contains(pack);
        is_whole || self.is_damaged(pack, frame)
    }

    /// Whether it is told that this very frame is damaged.
    pub(super) fn is_damaged(&self, pack: &PackId, frame: &FrameId) -> bool {
        self.frames.contains(&(*pack, *frame))
    }

    /// Tells of damaged frames of packs what was not told: of each pack that of some, and how many more there are.
    ///
    /// # Errors
    /// Those of [`note`].
    pub(super) fn note_frames(
        &mut self,
        namespace: &Namespace,
        damaged: impl IntoIterator<Item = (PackId, FrameId, Error)>,
        verified: &mut Verified,
    ) -> Result<()> {
        let mut by_pack: BTreeMap<PackId, BTreeMap<FrameId, Error>> = BTreeMap::new();
        for (pack, frame, error) in damaged {
            if !self.has(&pack, &frame) {
                by_pack.entry(pack).or_default().entry(frame).or_insert(error);
            }
        }
        for (pack, frames) in by_pack {
            let key = namespace.keys().pack(&pack).to_string();
            let told = self.frames.iter().filter(|(other, _)| *other == pack).count();
            let room = MAX_FRAMES.saturating_sub(told);
            let more = frames.len().saturating_sub(room);
            for (frame, error) in frames.into_iter().take(room) {
                self.frames.insert((pack, frame));
                note(verified, key.clone(), Err(error))?;
            }
            if more > 0 {
                self.many.insert(pack);
                let message = format!("of its frames, {more} more are damaged");
                verified.damages.push(Damage { object: key, message, remedy: None });
            }
        }
        Ok(())
    }
}

/// About how many bytes are read: of each pack all, then once more the data of each, and its tail for each of the snapshots
/// that it serves.
pub(super) fn bytes_to_read<'u>(
    packs: &BTreeMap<PackId, PackShape>,
    used: impl Iterator<Item = &'u PackId>,
    quick: bool,
) -> u64 {
    let data = |shape: &PackShape| shape.pack_len.saturating_sub(shape.tail_len);
    let once: u64 =
        packs.values().map(|shape| shape.tail_len + if quick { 0 } else { 2 * data(shape) }).sum();
    let tails: u64 = used.filter_map(|id| packs.get(id)).map(|shape| shape.tail_len).sum();
    once.saturating_add(tails)
}

/// Compares the packs with what the store lists; returns those that are missing or of another length.
pub(super) async fn check_sizes(
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
pub(super) fn check_tail(
    work: &Offloaded,
    namespace: &Namespace,
    shape: PackShape,
    told: &mut Told,
    verified: &mut Verified,
) -> Result<()> {
    let checked = read_tail(work, namespace, shape).map(drop);
    note_pack(namespace, shape, checked, told, verified)
}

/// Checks every byte of a pack: its head, its tail, and the stored bytes of each frame against the index. That
/// data frames' plain bytes are what their ids say is checked with the snapshots that have them.
pub(super) fn check_pack(
    work: &Offloaded,
    namespace: &Namespace,
    shape: PackShape,
    told: &mut Told,
    verified: &mut Verified,
) -> Result<()> {
    let mut bad = Vec::new();
    let checked = read_pack(work, namespace, shape, &mut |id, error| bad.push((shape.id, id, error)));
    told.note_frames(namespace, bad, verified)?;
    note_pack(namespace, shape, checked, told, verified)
}

fn note_pack(
    namespace: &Namespace,
    shape: PackShape,
    checked: Result<()>,
    told: &mut Told,
    verified: &mut Verified,
) -> Result<()> {
    if checked.is_err() {
        told.packs.insert(shape.id);
    }
    note(verified, namespace.keys().pack(&shape.id).to_string(), checked)
}

fn read_tail(work: &Offloaded, namespace: &Namespace, shape: PackShape) -> Result<LoadedTail> {
    let tail = work.wait(PackTails::new(namespace, None).load(shape))?;
    let mut decompressor = Decompressor::new();
    for frame in tail.metadata() {
        tail.read(frame, &mut decompressor)?;
    }
    Ok(tail)
}

/// Reads all of a pack; a frame that is another than the index says is handed to `bad`.
fn read_pack(
    work: &Offloaded,
    namespace: &Namespace,
    shape: PackShape,
    bad: &mut dyn FnMut(FrameId, Error),
) -> Result<()> {
    let tail = read_tail(work, namespace, shape)?;
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
            if let Err(error) = frame.record.check_stored(frame.stored(start, &bytes)?) {
                bad(frame.record.id, error.into());
            }
        }
    }
    Ok(())
}
