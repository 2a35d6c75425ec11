//! The threads that read, hash and compress.
//!
//! Each takes whole groups and whole files in the order they were planned. A big file is read and cut by one thread,
//! and its chunks are compressed by all: they go through a queue that every thread serves first.
//!
//! No deadlock: a group never waits for anybody. A thread that reads a big file waits only for the assembly to take
//! its chunks, and before it does, it empties the queue; so nobody waits for a chunk that lies there unserved.

mod big_file;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_channel::{Receiver, Sender, bounded, never, select};
use floe_format::{
    Codec, Compressor, ContentHash, Entry, FrameId, FrameRecord, Kept, OwnedBody, Parameters, TAR_END,
    parent_and_name, tar_header, tar_padding,
};

use super::PushProgress;
use super::input::InputFiles;
use super::known::KnownFrames;
use super::made::{GroupKey, GroupKeyBuilder, Made};
use super::unit::{MadeFrame, MadeGroup, Note, NotedContent, ReadFile};
use crate::keeping;
use crate::source::{
    ContentSink, DirectoryId, HashClock, ListedDirectory, ReadOutcome, Stat, is_trusted, may_have_rules,
};
use crate::{Error, ErrorKind, Remedy, Result};

/// Bytes read of a small file at once.
const SMALL_BUFFER_BYTES: usize = 64 << 10;

/// How many chunks of big files may wait for the assembly, in all.
const CHUNKS_AHEAD: usize = 32;

/// Something that has to be read.
#[derive(Debug)]
pub(super) enum Job {
    Group(GroupJob),
    File(FileJob),
}

/// A group to be read and framed.
#[derive(Debug)]
pub(super) struct GroupJob {
    pub(super) entries: Vec<PlannedEntry>,
    pub(super) reply: Sender<Result<MadeGroup, Failure>>,
}

/// An entry whose content, unless it is a big file, goes into its group.
#[derive(Debug)]
pub(super) struct PlannedEntry {
    pub(super) entry: Entry,
    /// The directory that it was listed in.
    pub(super) directory: DirectoryId,
    pub(super) note: Note,
}

/// A big file to be read and cut.
#[derive(Debug)]
pub(super) struct FileJob {
    pub(super) file: PlannedFile,
    pub(super) reply: Sender<FilePiece>,
}

/// A file as the walk found it.
#[derive(Debug)]
pub(super) struct PlannedFile {
    pub(super) path: Vec<u8>,
    /// The directory that it was listed in.
    pub(super) directory: DirectoryId,
    pub(super) planned: Stat,
}

/// What comes of reading a big file, in order.
#[derive(Debug)]
pub(super) enum FilePiece {
    Chunk(Receiver<Result<MadeFrame>>),
    /// The chunk before, once more.
    Again,
    Done(ReadFile),
    Failed(Failure),
}

/// Why something was not read.
#[derive(Debug)]
pub(super) enum Failure {
    Changed(Changed),
    /// These cannot be read.
    Unreadable(Vec<Unread>),
    /// Something else.
    Other(Error),
}

/// An entry that cannot be read, and why.
#[derive(Debug)]
pub struct Unread {
    /// Its path in the source, raw bytes.
    pub path: Vec<u8>,
    /// What was tried, and what the kernel said.
    pub error: Error,
    /// The device and inode of a file that may have other names, which cannot be read either.
    pub(super) file: Option<(u64, u64)>,
}

impl Unread {
    pub(super) fn new(path: Vec<u8>, error: Error) -> Self {
        Self { path, error, file: None }
    }

    /// Why, for who knows the path already: what the kernel said.
    pub fn reason(&self) -> String {
        std::error::Error::source(&self.error).map_or_else(|| self.error.to_string(), ToString::to_string)
    }
}

/// A piece of a big file to be framed.
#[derive(Debug)]
struct ChunkJob {
    plain: Vec<u8>,
    reply: Sender<Result<MadeFrame>>,
}

/// What all workers share.
#[derive(Clone, Debug)]
pub(super) struct WorkSettings {
    pub(super) parameters: Parameters,
    pub(super) kept: Kept,
    pub(super) level: i32,
    pub(super) known: Arc<KnownFrames>,
    /// What was made when all was planned before; nothing the first time.
    pub(super) made_before: Option<Arc<Made>>,
    pub(super) progress: Arc<PushProgress>,
    pub(super) workers: usize,
}

/// A thread's tools.
pub(super) struct Worker {
    settings: WorkSettings,
    files: InputFiles,
    jobs: Receiver<Job>,
    chunks: (Sender<ChunkJob>, Receiver<ChunkJob>),
    /// Held while chunks may come from this worker; the other end tells when none come from any.
    producing: Option<Sender<()>>,
    produced: Receiver<()>,
    compressor: Compressor,
    tar: Vec<u8>,
    buffer: Vec<u8>,
}

/// Makes as many workers as asked for, each of which is to be run on a thread of its own.
pub(super) fn workers(
    settings: &WorkSettings,
    files: &InputFiles,
    jobs: &Receiver<Job>,
) -> Result<Vec<Worker>> {
    let chunks = bounded(2 * settings.workers);
    let (producing, produced) = bounded(0);
    (0..settings.workers)
        .map(|_| {
            Ok(Worker {
                settings: settings.clone(),
                files: files.try_clone()?,
                jobs: jobs.clone(),
                chunks: chunks.clone(),
                producing: Some(producing.clone()),
                produced: produced.clone(),
                compressor: Compressor::new(settings.level)?,
                tar: Vec::new(),
                buffer: Vec::new(),
            })
        })
        .collect()
}

/// How many pieces of one file may wait for the assembly.
pub(super) fn pieces_ahead(workers: usize) -> usize {
    (CHUNKS_AHEAD / workers).max(2)
}

impl Worker {
    /// Works until there are no more jobs and no more chunks.
    pub(super) fn run(mut self) {
        let chunks = self.chunks.1.clone();
        let mut jobs = self.jobs.clone();
        let produced = self.produced.clone();
        loop {
            if let Ok(chunk) = chunks.try_recv() {
                self.make_chunk(chunk);
                continue;
            }
            select! {
                recv(chunks) -> chunk => if let Ok(chunk) = chunk { self.make_chunk(chunk) },
                recv(jobs) -> job => match job {
                    Ok(Job::Group(job)) => {
                        let made = self.make_group(job.entries);
                        // The assembly has stopped where nobody listens.
                        let _ = job.reply.send(made);
                    }
                    Ok(Job::File(job)) => self.read_file(&job),
                    Err(_) => {
                        jobs = never();
                        self.producing = None;
                    }
                },
                recv(produced) -> _ => return,
            }
        }
    }

    fn make_chunk(&mut self, chunk: ChunkJob) {
        let made = make_frame(&self.settings.known, &mut self.compressor, &chunk.plain);
        let _ = chunk.reply.send(made);
    }

    fn make_group(&mut self, planned: Vec<PlannedEntry>) -> Result<MadeGroup, Failure> {
        if let Some((key, frame)) = self.made_before(&planned).map_err(Failure::Other)? {
            let (entries, notes) = planned.into_iter().map(|planned| (planned.entry, planned.note)).unzip();
            return Ok(MadeGroup { entries, notes, frame, key });
        }
        let mut key = GroupKeyBuilder::default();
        self.tar.clear();
        self.buffer.resize(self.buffer.len().max(SMALL_BUFFER_BYTES), 0);
        let mut entries = Vec::with_capacity(planned.len());
        let mut notes = Vec::with_capacity(planned.len());
        let mut unread = Vec::new();
        // Those that may have changed since they were listed.
        let mut unsure = Vec::new();
        for PlannedEntry { mut entry, directory, mut note } in planned {
            let header = self.tar.len();
            tar_header(&entry.as_entry(), &mut self.tar);
            key.header(&self.tar[header..]);
            if let OwnedBody::File { size, hash } = &mut entry.body
                && *size > 0
                && !self.settings.parameters.is_big(*size)
            {
                match self.read_small(&entry.path, directory, &note.stat) {
                    Ok((content, read, hashing_began)) => {
                        key.content(&content);
                        if !is_unchanged(&note.stat, &read, hashing_began) {
                            unsure.push((entries.len(), directory, read));
                        }
                        let is_noted = match note.content {
                            NotedContent::Known(hit) => hit.hash == content && read == note.stat,
                            _ => false,
                        };
                        if !is_noted {
                            let content = NotedContent::Hashed(content, hashing_began);
                            note = Note { stat: read, content, ..note };
                        }
                        *hash = Some(ContentHash::from_bytes(content));
                        keeping::set_read(&mut entry, &read, self.settings.kept);
                    }
                    Err(Failure::Unreadable(more)) => unread.extend(more),
                    Err(other) => return Err(other),
                }
            }
            entries.push(entry);
            notes.push(note);
        }
        if !unread.is_empty() {
            return Err(Failure::Unreadable(unread));
        }
        let places =
            unsure.iter().map(|&(number, directory, read)| (&entries[number].path[..], directory, read));
        self.check_places(places).map_err(Failure::Changed)?;
        let frame =
            make_frame(&self.settings.known, &mut self.compressor, &self.tar).map_err(Failure::Other)?;
        Ok(MadeGroup { entries, notes, frame, key: key.finish() })
    }

    /// A group that was made before and is as it was then.
    fn made_before(&mut self, planned: &[PlannedEntry]) -> Result<Option<(GroupKey, MadeFrame)>> {
        let Some(made) = &self.settings.made_before else { return Ok(None) };
        let mut key = GroupKeyBuilder::default();
        for PlannedEntry { entry, note, .. } in planned {
            self.tar.clear();
            tar_header(&entry.as_entry(), &mut self.tar);
            key.header(&self.tar);
            let OwnedBody::File { size, hash } = &entry.body else { continue };
            if *size == 0 || self.settings.parameters.is_big(*size) {
                continue;
            }
            match (hash, &note.content) {
                (Some(hash), NotedContent::Known(hit)) if *hash.as_bytes() == hit.hash => {
                    key.content(&hit.hash);
                }
                _ => return Ok(None),
            }
        }
        let key = key.finish();
        let found = made.group(&key, &self.settings.known)?;
        Ok(found.map(|(id, plain_len)| (key, MadeFrame { id, plain_len, stored: None })))
    }

    /// Checks that what may have changed since it was listed has the path that it was listed with when it was read: what was
    /// written after it was moved elsewhere may be left out there. Paths are gone through once for all that follow each other.
    fn check_places<'p>(
        &mut self,
        read: impl Iterator<Item = (&'p [u8], DirectoryId, Stat)>,
    ) -> Result<(), Changed> {
        for (number, (path, directory, read)) in read.enumerate() {
            if number == 0 {
                self.files.forget_directories();
            }
            let (parent, name) = parent_and_name(path);
            let directory = ListedDirectory { path: parent, id: directory };
            if self.files.is_there_still(directory, name, |there| there.same_content(&read)) {
                continue;
            }
            // Where the directory was moved, other files of it may be in frames.
            let is_of_rules = !self.files.is_in_place(directory);
            let changed = changed(path);
            return Err(Changed { is_of_rules: changed.is_of_rules || is_of_rules, ..changed });
        }
        Ok(())
    }

    /// Appends a file's content and padding to the tar.
    fn read_small(
        &mut self,
        path: &[u8],
        directory: DirectoryId,
        planned: &Stat,
    ) -> Result<([u8; 32], Stat, HashClock), Failure> {
        let (start, size) = (self.tar.len(), planned.size);
        let (parent, name) = parent_and_name(path);
        let directory = ListedDirectory { path: parent, id: directory };
        let mut sink = GroupSink { tar: &mut self.tar, start, name, planned, kept: self.settings.kept };
        let outcome = self.files.read(directory, name, &mut self.buffer, &mut sink);
        match outcome {
            Ok(ReadOutcome::Read { stat, hashing_began }) => {
                let content = *blake3::hash(&self.tar[start..]).as_bytes();
                self.settings.progress.read_bytes.fetch_add(size, Ordering::Relaxed);
                self.tar.resize(self.tar.len() + tar_padding(size), 0);
                Ok((content, stat, hashing_began))
            }
            Ok(ReadOutcome::Vanished) => Err(Failure::Changed(changed(path))),
            Err(error) => Err(failure(path, planned, error)),
        }
    }

    /// Empties the queue of chunks.
    fn help_out(&mut self) {
        while let Ok(chunk) = self.chunks.1.try_recv() {
            self.make_chunk(chunk);
        }
    }
}

/// Takes the content of a small file into the tar of its group.
struct GroupSink<'a> {
    tar: &'a mut Vec<u8>,
    start: usize,
    name: &'a [u8],
    planned: &'a Stat,
    kept: Kept,
}

impl ContentSink for GroupSink<'_> {
    fn begin(&mut self, stat: &Stat) -> Result<()> {
        self.tar.truncate(self.start);
        if is_as_planned(self.name, self.planned, stat, self.kept) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Conflict, "its size or mode changed, or another file took its place"))
    }

    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        self.tar.extend_from_slice(bytes);
        Ok(())
    }
}

/// Whether a file that was opened goes with what was planned: the header of its size and mode, the links to it from its
/// other names, whose content is stored nowhere else, the extended attributes, which were read by name, and the rules of an
/// ignore file, which were obeyed.
fn is_as_planned(name: &[u8], planned: &Stat, opened: &Stat, kept: Kept) -> bool {
    let is_same = (planned.device, planned.inode) == (opened.device, opened.inode);
    (planned.size, planned.mode, planned.device) == (opened.size, opened.mode, opened.device)
        && (planned.links < 2 || is_same)
        && (!may_have_rules(name) || planned.same_content(opened))
        && (!kept.contains(Kept::XATTRS) || (is_same && planned.changed == opened.changed))
}

/// Whether what was read is what was listed, as far as times tell of changes.
pub(super) fn is_unchanged(planned: &Stat, read: &Stat, hashing_began: HashClock) -> bool {
    planned.same_content(read) && is_trusted(planned, hashing_began)
}

/// Frames these bytes, and compresses them unless they are known.
pub(super) fn make_frame(
    known: &KnownFrames,
    compressor: &mut Compressor,
    plain: &[u8],
) -> Result<MadeFrame> {
    let id = FrameId::of(plain);
    let is_new = known.claim(&id)?;
    frame_of(id, plain, is_new.then_some(compressor))
}

/// The frame in which a tree ends, as all trees do.
pub(super) fn make_end(known: &KnownFrames, compressor: &mut Compressor) -> Result<MadeFrame> {
    let id = FrameId::of(&TAR_END);
    let is_new = known.claim_common(&id)?;
    frame_of(id, &TAR_END, is_new.then_some(compressor))
}

/// The frame of these bytes, compressed if there is something to compress it with.
fn frame_of(id: FrameId, plain: &[u8], compressor: Option<&mut Compressor>) -> Result<MadeFrame> {
    let plain_len = u32::try_from(plain.len()).unwrap_or(u32::MAX);
    let stored = match compressor {
        Some(compressor) => {
            let mut stored = Vec::new();
            compressor.compress(plain, &mut stored)?;
            stored.shrink_to_fit();
            Some((FrameRecord::new(id, plain_len, Codec::Zstd, &stored)?, stored))
        }
        None => None,
    };
    Ok(MadeFrame { id, plain_len, stored })
}

fn failure(path: &[u8], planned: &Stat, error: Error) -> Failure {
    match error.kind() {
        // It is no regular file any more, will not hold still, has another size, or is in another directory.
        ErrorKind::Invalid | ErrorKind::Conflict => Failure::Changed(changed(path).with_source(error)),
        _ if error.is_of_resources() => Failure::Other(error),
        _ => {
            let file = (planned.links > 1).then_some((planned.device, planned.inode));
            Failure::Unreadable(vec![Unread { path: path.to_vec(), error, file }])
        }
    }
}

/// The source is not as it was when it was planned.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) error: Error,
    /// Whether it is an ignore file, or was read under another path: what was read by then may be what nobody should have.
    pub(super) is_of_rules: bool,
}

impl Changed {
    fn with_source(self, source: Error) -> Self {
        Self { error: self.error.with_source(source), ..self }
    }
}

/// What is not as it was planned.
pub(super) fn changed(path: &[u8]) -> Changed {
    let shown = if path.is_empty() { "the source".into() } else { String::from_utf8_lossy(path) };
    let message = format!("{shown} changed while it was read");
    let error = Error::new(ErrorKind::Invalid, message).with_remedy(Remedy::QuietSource);
    Changed { error, is_of_rules: may_have_rules(parent_and_name(path).1) }
}

#[cfg(test)]
mod tests;
