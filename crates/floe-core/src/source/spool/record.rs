//! What a tar says of its members, in a temporary file: each has a record of the same length.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::contents::ContentsWriter;
use super::link::Target;
use crate::error::{Error, ErrorKind, Result};
use crate::source::{FileKind, FileTime, Stat};

/// Bytes of a record.
pub(super) const RECORD_BYTES: usize = 84;

/// Records that are not asked for are read along where there are no more of them between two that are.
const READ_ALONG: u32 = 8;

/// The most records asked for that are read at once.
const READ_AT_ONCE: usize = 512;

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Body {
    Directory,
    File {
        size: u64,
        /// Where the content begins in the spool.
        start: u64,
        /// The hash of the content, where it is known.
        hash: Option<[u8; 32]>,
    },
    Symlink {
        /// Where the target is in the spool, and its length.
        start: u64,
        length: u16,
    },
    /// Another name of this. Its record does not say of what.
    HardLink(Target),
    Fifo,
    CharDevice(u64),
    BlockDevice(u64),
}

/// Where the attributes of a member are in the spool, and how many bytes they have.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct XattrsAt {
    pub(super) start: u64,
    pub(super) length: u32,
}

/// What a tar says of a path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Member {
    pub(super) body: Body,
    pub(super) modified: FileTime,
    pub(super) user: u32,
    pub(super) group: u32,
    pub(super) mode: u16,
    pub(super) xattrs: XattrsAt,
}

/// A directory of which the tar says nothing.
pub(super) const MADE_DIRECTORY: Member = Member {
    body: Body::Directory,
    modified: FileTime { seconds: 0, nanos: 0 },
    user: 0,
    group: 0,
    mode: 0o755,
    xattrs: XattrsAt { start: 0, length: 0 },
};

impl Body {
    /// The kind of file; nothing for a hard link, which is what it names.
    pub(super) fn kind(&self) -> Option<FileKind> {
        Some(match self {
            Self::Directory => FileKind::Directory,
            Self::File { .. } => FileKind::File,
            Self::Symlink { .. } => FileKind::Symlink,
            Self::HardLink(_) => return None,
            Self::Fifo => FileKind::Fifo,
            Self::CharDevice(_) => FileKind::CharDevice,
            Self::BlockDevice(_) => FileKind::BlockDevice,
        })
    }
}

impl Member {
    /// What a kernel would say of it, were it extracted; it is no hard link.
    pub(super) fn stat(&self) -> Stat {
        let (size, special) = match self.body {
            Body::File { size, .. } => (size, 0),
            Body::Symlink { length, .. } => (u64::from(length), 0),
            Body::CharDevice(special) | Body::BlockDevice(special) => (0, special),
            Body::Directory | Body::HardLink(_) | Body::Fifo => (0, 0),
        };
        Stat {
            size,
            inode: 0,
            device: 0,
            special,
            modified: self.modified,
            changed: FileTime::default(),
            links: 1,
            uid: self.user,
            gid: self.group,
            mode: self.mode,
            kind: self.body.kind().expect("links were resolved before anybody asks"),
        }
    }

    fn encode(&self) -> [u8; RECORD_BYTES] {
        let (number, start, hash) = match self.body {
            Body::File { size, start, hash } => (size, start, hash),
            Body::Symlink { start, length } => (length.into(), start, None),
            Body::CharDevice(special) | Body::BlockDevice(special) => (special, 0, None),
            Body::Directory | Body::HardLink(_) | Body::Fifo => (0, 0, None),
        };
        let mut record = [0; RECORD_BYTES];
        let mut rest = &mut record[..];
        let mut put = |bytes: &[u8]| {
            let (field, after) = std::mem::take(&mut rest).split_at_mut(bytes.len());
            field.copy_from_slice(bytes);
            rest = after;
        };
        put(&[self.body.kind().map_or(0, |kind| kind as u8), u8::from(hash.is_some())]);
        put(&self.mode.to_le_bytes());
        put(&self.user.to_le_bytes());
        put(&self.group.to_le_bytes());
        put(&self.modified.seconds.to_le_bytes());
        put(&self.modified.nanos.to_le_bytes());
        put(&self.xattrs.start.to_le_bytes());
        put(&self.xattrs.length.to_le_bytes());
        put(&number.to_le_bytes());
        put(&start.to_le_bytes());
        put(&hash.unwrap_or_default());
        record
    }

    fn decode(record: &[u8]) -> Result<Self> {
        let changed = || Error::new(ErrorKind::Internal, "the temporary file of the tar was changed");
        let mut fields = Fields(record);
        let [kind, has_hash] = fields.take();
        let mode = u16::from_le_bytes(fields.take());
        let (user, group) = (u32::from_le_bytes(fields.take()), u32::from_le_bytes(fields.take()));
        let seconds = i64::from_le_bytes(fields.take());
        let modified = FileTime { seconds, nanos: u32::from_le_bytes(fields.take()) };
        let start = u64::from_le_bytes(fields.take());
        let xattrs = XattrsAt { start, length: u32::from_le_bytes(fields.take()) };
        let (number, start) = (u64::from_le_bytes(fields.take()), u64::from_le_bytes(fields.take()));
        let hash = fields.take();
        // A hard link has no kind: what it names is asked for instead.
        let body = match FileKind::of_number(kind).ok_or_else(changed)? {
            FileKind::Directory => Body::Directory,
            FileKind::File => Body::File { size: number, start, hash: (has_hash != 0).then_some(hash) },
            FileKind::Symlink => {
                Body::Symlink { start, length: u16::try_from(number).map_err(|_| changed())? }
            }
            FileKind::Fifo => Body::Fifo,
            FileKind::CharDevice => Body::CharDevice(number),
            FileKind::BlockDevice => Body::BlockDevice(number),
            FileKind::Socket => return Err(changed()),
        };
        Ok(Self { body, modified, user, group, mode, xattrs })
    }
}

/// What is left of a record.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk().expect("a record is as long as its fields are");
        self.0 = rest;
        *field
    }
}

/// The records, being written.
pub(super) struct RecordsWriter(ContentsWriter);

/// The records, which are numbered from 1 on.
#[derive(Debug)]
pub(super) struct Records(File);

impl RecordsWriter {
    pub(super) fn new(directory: Option<&Path>) -> Result<Self> {
        ContentsWriter::new(directory).map(Self)
    }

    /// Adds the next one.
    pub(super) fn append(&mut self, member: &Member) -> Result<()> {
        self.0.append(&member.encode())
    }

    pub(super) fn finish(self) -> Result<Records> {
        self.0.finish().map(Records)
    }
}

impl Records {
    /// The record of this number.
    pub(super) fn read(&self, number: u32) -> Result<Member> {
        let mut record = [0; RECORD_BYTES];
        self.read_at(number, &mut record)?;
        Member::decode(&record)
    }

    /// The records of ascending numbers, each with what stands beside its number; those that are near each other are
    /// read at once.
    pub(super) fn read_all<T: Copy>(
        &self,
        wanted: &[(u32, T)],
        mut found: impl FnMut(u32, T, Member),
    ) -> Result<()> {
        let mut bytes = Vec::new();
        let near = wanted.chunk_by(|(a, _), (b, _)| b - a <= READ_ALONG);
        for run in near.flat_map(|run| run.chunks(READ_AT_ONCE)) {
            let (first, last) = (run[0].0, run[run.len() - 1].0);
            bytes.resize((last - first + 1) as usize * RECORD_BYTES, 0);
            self.read_at(first, &mut bytes)?;
            for (number, beside) in run {
                let start = (number - first) as usize * RECORD_BYTES;
                found(*number, *beside, Member::decode(&bytes[start..start + RECORD_BYTES])?);
            }
        }
        Ok(())
    }

    fn read_at(&self, number: u32, bytes: &mut [u8]) -> Result<()> {
        let start = (u64::from(number) - 1) * RECORD_BYTES as u64;
        self.0.read_exact_at(bytes, start).map_err(super::cannot_read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_comes_back() {
        let bodies = [
            Body::Directory,
            Body::File { size: u64::MAX, start: 1 << 40, hash: Some([7; 32]) },
            Body::File { size: 0, start: 5, hash: None },
            Body::Symlink { start: 77, length: u16::MAX },
            Body::Fifo,
            Body::CharDevice(1 << 32 | 3),
            Body::BlockDevice(u64::MAX),
        ];
        let member = |number: u32| Member {
            body: bodies[number as usize % bodies.len()],
            modified: FileTime { seconds: -i64::from(number), nanos: number },
            user: number,
            group: u32::MAX - number,
            mode: 0o7777,
            xattrs: XattrsAt { start: number.into(), length: number },
        };
        let mut writer = RecordsWriter::new(None).unwrap();
        for number in 1..=3_000 {
            writer.append(&member(number)).unwrap();
        }
        let records = writer.finish().unwrap();
        for number in [1, 2, 3, 4, 5, 6, 7, 3_000] {
            assert_eq!(records.read(number).unwrap(), member(number));
        }
        records.read(3_001).unwrap_err();
        let near = (1..2_000).map(|number| (number, number));
        let wanted: Vec<_> = near.chain([(2_500, 2_500), (2_500, 2_500), (3_000, 3_000)]).collect();
        let mut count = 0;
        let each = |number, beside, found| {
            assert_eq!((number, found), (beside, member(number)));
            count += 1;
        };
        records.read_all(&wanted, each).unwrap();
        assert_eq!(count, wanted.len());
    }

    #[test]
    fn a_record_of_a_hard_link_is_none() {
        let body = Body::HardLink(Target::default());
        Member::decode(&Member { body, ..MADE_DIRECTORY }.encode()).unwrap_err();
    }
}
