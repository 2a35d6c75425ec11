//! Big files: read and cut by one thread, framed by all.

use std::sync::atomic::Ordering;

use crossbeam_channel::{TrySendError, bounded};
use floe_format::{Chunker, ContentHash, parent_and_name, tar_padding};

use super::{
    Changed, ChunkJob, Failure, FileJob, FilePiece, PlannedFile, Worker, changed, failure, is_as_planned,
    is_unchanged,
};
use crate::push::input::InputFile;
use crate::push::unit::ReadFile;
use crate::source::{ListedDirectory, Stat, is_trusted, is_zeros};

/// Bytes read of a big file at once; at least two of the longest chunks.
const FILE_BUFFER_BYTES: usize = 4 << 20;

impl Worker {
    /// Reads a big file and sends off what comes of it.
    pub(super) fn read_file(&mut self, job: &FileJob) {
        let piece = match self.try_read_file(job) {
            Ok(Some(read)) => FilePiece::Done(read),
            Ok(None) => return,
            Err(failure) => FilePiece::Failed(failure),
        };
        self.help_out();
        let _ = job.reply.send(piece);
    }

    /// Reads a big file and sends its chunks off; nothing where nobody listens any more.
    fn try_read_file(&mut self, job: &FileJob) -> Result<Option<ReadFile>, Failure> {
        let PlannedFile { path, directory, planned } = &job.file;
        let (parent, name) = parent_and_name(path);
        let directory = ListedDirectory { path: parent, id: *directory };
        let failed = |error| failure(path, planned, error);
        let opened = self.files.open_file(directory, name).map_err(failed)?;
        let Some(mut file) = opened else { return Err(Failure::Changed(changed(path))) };
        let stat = *file.stat();
        if !is_as_planned(name, planned, &stat, self.settings.kept) {
            return Err(Failure::Changed(changed(path)));
        }
        let size = stat.size;
        let chunker = Chunker::new(&self.settings.parameters);
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; FILE_BUFFER_BYTES];
        let (mut start, mut end, mut left) = (0, 0, size);
        let mut is_end = false;
        // The length of the last chunk, where that is nothing but zeros: a hole has a million of them.
        let mut zeros = None;
        loop {
            if !is_end {
                buffer.copy_within(start..end, 0);
                end -= start;
                start = 0;
                // Room for the padding is always left: a tar block at the end.
                let room = buffer.len() - end - floe_format::TAR_BLOCK_BYTES;
                let count = file.fill(&mut buffer[end..end + room]).map_err(failed)?;
                hasher.update(&buffer[end..end + count]);
                self.settings.progress.read_bytes.fetch_add(count as u64, Ordering::Relaxed);
                end += count;
                left = left.saturating_sub(count as u64);
                if count < room {
                    if left > 0 {
                        return Err(self.changed_under_way(directory, path, planned, &file));
                    }
                    let padding = tar_padding(size);
                    buffer[end..end + padding].fill(0);
                    end += padding;
                    is_end = true;
                }
            }
            while let Some(length) = self.next_chunk(&chunker, &buffer[start..end], is_end) {
                let chunk = &buffer[start..start + length];
                let is_again = zeros == Some(length) && is_zeros(chunk);
                if !is_again {
                    zeros = is_zeros(chunk).then_some(length);
                }
                let piece = if is_again { FilePiece::Again } else { self.queue_chunk(chunk.to_vec()) };
                if !self.send_piece(job, piece) {
                    return Ok(None);
                }
                start += length;
            }
            if is_end && start == end {
                break;
            }
        }
        if !file.held_still().map_err(failed)? {
            return Err(self.changed_under_way(directory, path, planned, &file));
        }
        if !is_unchanged(planned, &stat, file.hashing_began()) {
            // Chunks of it are in the packs.
            let of_rules = |changed| Failure::Changed(Changed { is_of_rules: true, ..changed });
            self.check_places(std::iter::once((&path[..], directory.id, stat))).map_err(of_rules)?;
        }
        let hash = ContentHash::from_bytes(*hasher.finalize().as_bytes());
        Ok(Some(ReadFile { hash, stat, hashing_began: file.hashing_began() }))
    }

    /// The failure of a file that changed while it was read, of which chunks are in the packs by then. What was written to it
    /// after it was moved elsewhere may be left out there; what was removed may have been somewhere else before.
    pub(super) fn changed_under_way(
        &mut self,
        directory: ListedDirectory<'_>,
        path: &[u8],
        planned: &Stat,
        file: &InputFile,
    ) -> Failure {
        let changed = changed(path);
        self.files.forget_directories();
        let mut is_harmless = |now: &Stat| {
            let is_unwritten = (planned.size, planned.modified) == (now.size, now.modified)
                && is_trusted(planned, file.hashing_began());
            let is_it = |there: &Stat| (there.device, there.inode) == (now.device, now.inode);
            (now.links == 0 && is_unwritten)
                || self.files.is_there_still(directory, parent_and_name(path).1, is_it)
        };
        let is_of_rules = changed.is_of_rules || !file.stat_now().is_ok_and(|now| is_harmless(&now));
        Failure::Changed(Changed { is_of_rules, ..changed })
    }

    fn next_chunk(&self, chunker: &Chunker, bytes: &[u8], is_end: bool) -> Option<usize> {
        // Short of a longest chunk the cut may depend on what is still to be read; asking anew would hash it all again.
        if !is_end && bytes.len() < self.settings.parameters.chunk_max as usize {
            return None;
        }
        chunker.next_cut(bytes, is_end)
    }

    /// Puts a chunk into the queue, or frames it where that is full.
    fn queue_chunk(&mut self, plain: Vec<u8>) -> FilePiece {
        let (reply, receiver) = bounded(1);
        match self.chunks.0.try_send(ChunkJob { plain, reply }) {
            Ok(()) => {}
            Err(TrySendError::Full(chunk) | TrySendError::Disconnected(chunk)) => self.make_chunk(chunk),
        }
        FilePiece::Chunk(receiver)
    }

    /// Sends a piece off; false where nobody listens any more.
    fn send_piece(&mut self, job: &FileJob, piece: FilePiece) -> bool {
        match job.reply.try_send(piece) {
            Ok(()) => true,
            Err(TrySendError::Full(piece)) => {
                self.help_out();
                job.reply.send(piece).is_ok()
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}
