//! What comes after the last pass: the index, the layout and the snapshot object.

use floe_format::{
    Compressor, FrameRecord, Index, Item, Layout, LayoutId, Root, SnapshotId, SnapshotObject, build_index,
};

use super::{Build, NewSnapshot};
use crate::push::assemble::{Assembled, metadata_frame};
use crate::push::draft::MadeTree;
use crate::push::layout::layout_of;
use crate::push::packs::PackOutput;
use crate::push::plan::Planned;
use crate::push::repack::Repacking;
use crate::push::work::Unread;
use crate::push::{PushOutcome, Pushed};
use crate::reference::SnapshotAt;
use crate::{Error, ErrorKind, Result};

impl Build {
    pub(super) fn finish(
        &self,
        planned: Planned,
        assembled: Assembled,
        skipped: Vec<Unread>,
        mut packs: PackOutput,
    ) -> Result<(NewSnapshot, Pushed)> {
        let Assembled { mut segments, runs, entries, files, file_bytes, .. } = assembled;
        let (reused_files, reused_file_bytes) = (assembled.reused_files, assembled.reused_file_bytes);
        // The index takes the paths along, which nobody else needs and which are long in a deep tree.
        let items = segments.iter_mut().map(|made| {
            let path = std::mem::take(&mut made.item.path);
            Item { path, ..made.item.clone() }
        });
        let index = build_index(items.collect())?;
        let tar_bytes = segments.iter().map(|made| made.item.length).sum();
        let keeping = self.options.keeping();
        // Nobody could read a snapshot whose segments keep something else than its root says.
        if segments.iter().any(|segment| segment.kept != keeping.kept) {
            let message = "a segment of the base keeps something else of entries than this push";
            return Err(Error::new(ErrorKind::Internal, message));
        }
        let root = Root {
            kept: keeping.kept,
            reproducible: keeping.reproducible,
            parameters: self.parameters,
            length: tar_bytes,
            entries,
            files,
            file_bytes,
            directory: keeping.meta(&planned.root),
            xattrs: planned.root_xattrs,
            level: index.level,
            items: index.items.clone(),
        }
        .to_bytes()?;
        let snapshot = SnapshotId::of(&root);
        let mut pushed = Pushed {
            outcome: PushOutcome::DryRun,
            at: SnapshotAt { snapshot, layout: LayoutId::from_bytes([0; 16]) },
            entries,
            files,
            file_bytes,
            reused_files,
            reused_file_bytes,
            reused_tar_bytes: tar_bytes,
            tar_bytes,
            archive_bytes: 0,
            uploaded_bytes: 0,
            packs: 0,
            skipped,
            sockets: planned.sockets,
            own: planned.own,
        };
        if let Some(former) = self.former.filter(|former| former.snapshot == snapshot) {
            return Ok((NewSnapshot::Unchanged(former), pushed));
        }
        let elsewhere = self.elsewhere.as_ref().and_then(|found| found.catalog());
        let mut index_segments = self.index_segments(&index)?;
        let made = MadeTree { segments: &segments, runs: &runs, index: &index };
        let directory = self.options.cache_dir.as_deref();
        let repacking = Repacking { namespace: &self.namespace, base: &self.packs, elsewhere, directory };
        index_segments.extend(repacking.run(&made, &mut packs)?);
        let written = packs.finish(index_segments)?;
        pushed.packs = written.data.packs().len() as u64;
        pushed.uploaded_bytes = written.data.packs().iter().map(|pack| pack.pack_len).sum();
        pushed.reused_tar_bytes = tar_bytes.saturating_sub(written.plain_bytes);
        let layout = layout_of(&made, &written, &self.packs, elsewhere)?;
        pushed.archive_bytes = layout.archive_len();
        let is_dry_run = self.options.dry_run;
        // A dry run has no layout; the object is as long with any.
        let at = match is_dry_run {
            true => pushed.at,
            false => SnapshotAt { snapshot, layout: self.namespace.ambient().layout_id() },
        };
        let object = snapshot_object(at, &root, &layout)?;
        pushed.uploaded_bytes += object.len() as u64;
        let made = if is_dry_run { NewSnapshot::DryRun(at) } else { NewSnapshot::Made { at, object } };
        Ok((made, pushed))
    }

    fn index_segments(&self, index: &Index) -> Result<Vec<(FrameRecord, Vec<u8>)>> {
        let mut compressor = Compressor::new(self.options.level)?;
        let mut frames = Vec::new();
        for segment in &index.segments {
            if !self.packs.metadata.contains(&segment.id)? {
                frames.push(metadata_frame(&mut compressor, segment.id, &segment.plain)?);
            }
        }
        Ok(frames)
    }
}

fn snapshot_object(at: SnapshotAt, root: &[u8], layout: &Layout) -> Result<Vec<u8>> {
    let layout = layout.encode()?;
    Ok(SnapshotObject { layout_id: at.layout, root, layout: &layout }.encode()?)
}
