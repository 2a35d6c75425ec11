//! A snapshot as one archive: its canonical tar, plain or as the stored frames end to end.
//!
//! All metadata is checked before the first byte is written; only the layout's hashes are meanwhile, where frames are
//! repeated very often. No byte is written that was not checked: plain bytes against their ids, stored bytes against the
//! pack's index too, and both against the snapshot's entries (invariants 3 and 11).

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use floe_format::EntryRef;
use tokio_util::sync::CancellationToken;

use crate::namespace::Namespace;
use crate::offload::{Offloaded, default_threads, offload, unless_cancelled};
use crate::reader::{Reach, Sources};
use crate::snapshot::Snapshot;
use crate::unpack::{BigFile, FrameOfUnit, Output, Stop, Unit, run};
use crate::whole::{check_metadata, plan_all};
use crate::{Error, ErrorKind, Result};

/// What an archive is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// The canonical tar.
    Tar,
    /// The stored frames of the canonical tar: the same bytes on every machine for one snapshot and layout.
    TarZst,
}

/// How an archive is made.
#[derive(Clone, Debug, Default)]
pub struct ArchiveOptions {
    /// Where caches are.
    pub cache_dir: Option<PathBuf>,
    /// Asks to stop.
    pub cancel: CancellationToken,
}

/// Writes a snapshot's archive; returns how many bytes it has.
///
/// # Errors
/// `Corrupt` where the snapshot is not what its ids say, or no tree. What was written before is then not all of an
/// archive.
pub async fn archive(
    namespace: &Namespace,
    snapshot: &Snapshot,
    format: ArchiveFormat,
    out: Box<dyn Write + Send>,
    options: &ArchiveOptions,
) -> Result<u64> {
    let items = 0..u32::try_from(snapshot.root().items.len()).unwrap_or(u32::MAX);
    let cache = options.cache_dir.as_deref();
    let opened = Sources::open(namespace, snapshot, cache, std::slice::from_ref(&items), Reach::Data);
    let sources = unless_cancelled(&options.cancel, opened).await??;
    let (namespace, snapshot) = (namespace.clone(), snapshot.clone());
    offload("archive", &options.cancel, move |work| write(&work, &namespace, &snapshot, sources, format, out))
        .await
}

fn write(
    work: &Offloaded,
    namespace: &Namespace,
    snapshot: &Snapshot,
    mut sources: Sources,
    format: ArchiveFormat,
    out: Box<dyn Write + Send>,
) -> Result<u64> {
    let unhashed = check_metadata(work, snapshot, &mut sources)?;
    let lane = Lane { state: Mutex::new(LaneState { next: 0, bytes: 0, out }), moved_on: Condvar::new() };
    run(
        work,
        namespace,
        default_threads(),
        |planner| plan_all(planner, snapshot, &mut sources, unhashed),
        || Archiver { namespace, format, lane: &lane },
    )?;
    let mut lane = lane.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    lane.out.flush().map_err(cannot_write)?;
    let said = match format {
        ArchiveFormat::Tar => snapshot.root().length,
        ArchiveFormat::TarZst => snapshot.layout().items.iter().map(|item| item.stored_len).sum(),
    };
    if lane.bytes == said {
        Ok(said)
    } else {
        let message = format!("the archive has {} bytes, not the {said} that the snapshot says", lane.bytes);
        Err(Error::new(ErrorKind::Corrupt, message))
    }
}

fn cannot_write(e: std::io::Error) -> Error {
    Error::io("cannot write the archive", e)
}

/// Lets threads write one after another.
struct Lane {
    state: Mutex<LaneState>,
    moved_on: Condvar,
}

struct LaneState {
    /// Number of the unit whose turn it is.
    next: u64,
    bytes: u64,
    out: Box<dyn Write + Send>,
}

/// One thread that writes units in their turn.
struct Archiver<'a> {
    namespace: &'a Namespace,
    format: ArchiveFormat,
    lane: &'a Lane,
}

impl Archiver<'_> {
    /// The stored bytes of a unit's frames, checked against the pack's index; what is damaged is read once more.
    fn stored(&self, unit: &Unit<'_>, stop: &Stop) -> Result<Vec<bytes::Bytes>> {
        let bytes = unit.batch.wait()?;
        let stored = |frame: &FrameOfUnit| {
            let record = &frame.frame.record;
            let stored = unit.batch.slice(&bytes, frame.pack, frame.place()).unwrap_or_default();
            if record.check_stored(stored).is_ok() {
                return Ok(bytes::Bytes::copy_from_slice(stored));
            }
            let key = self.namespace.keys().pack(&frame.pack_id);
            let again = stop.wait(self.namespace.read_pack(&key, frame.place()))?;
            record.check_stored(&again).map_err(|e| Error::from(e).in_object(format_args!("`{key}`")))?;
            Ok(again)
        };
        unit.frames.iter().map(stored).collect()
    }
}

impl<'t> Output<'t> for Archiver<'_> {
    type Done = ();

    fn whole(&mut self, _: u64, _: &EntryRef<'_>, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn part(&mut self, _: &Arc<BigFile<'t>>, _: u64, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn complete(&mut self, _: &Arc<BigFile<'t>>) -> Result<()> {
        Ok(())
    }

    fn keeps_plain(&self) -> bool {
        self.format == ArchiveFormat::Tar
    }

    fn unit(&mut self, unit: &Unit<'t>, plain: &[Vec<u8>], stop: &Stop) -> Result<()> {
        let stored = match self.format {
            ArchiveFormat::Tar => Vec::new(),
            ArchiveFormat::TarZst => self.stored(unit, stop)?,
        };
        let frames: Vec<&[u8]> = match self.format {
            ArchiveFormat::Tar => plain.iter().map(Vec::as_slice).collect(),
            ArchiveFormat::TarZst => stored.iter().map(|stored| &stored[..]).collect(),
        };
        let mut lane = self.lane.state.lock().unwrap_or_else(PoisonError::into_inner);
        while lane.next != unit.number {
            stop.check()?;
            let patience = std::time::Duration::from_millis(50);
            lane = self.lane.moved_on.wait_timeout(lane, patience).unwrap_or_else(PoisonError::into_inner).0;
        }
        for (frame, bytes) in unit.frames.iter().zip(frames) {
            for _ in 0..frame.run.count {
                stop.check()?;
                lane.out.write_all(bytes).map_err(cannot_write)?;
                lane.bytes += bytes.len() as u64;
            }
        }
        lane.next += 1;
        self.lane.moved_on.notify_all();
        Ok(())
    }

    fn done(self) {}
}
