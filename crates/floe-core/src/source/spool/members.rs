//! Reading a tar, member by member.
//!
//! Written by strangers: every length is bounded before anything is allocated for it, what programs are known to
//! disagree on is refused, and a tar counts as read only once its end was marked.

use std::io::Read;

use floe_format::{MAX_DEVICE_NUMBER, MAX_FILE_BYTES, MAX_TARGET_BYTES, XattrList};
use tokio_util::sync::CancellationToken;

use super::blocks::{BLOCK_BYTES, Blocks};
use super::builder::TreeBuilder;
use super::contents::ContentsWriter;
use super::header::{Fields, more_gnu_extents};
use super::path::{normal_path, shown};
use super::pax::Overrides;
use super::record::{Body, Member, XattrsAt};
use super::sparse::{MAX_EXTENTS, MapReader, SparseMap, check_extents};
use super::xattrs::encode;
use crate::error::{Error, ErrorKind, Result};

/// The longest header with a long name or PAX records.
const MAX_EXTENSION_BYTES: u64 = 1 << 20;

/// The most bytes of holes in all sparse files, since a few bytes can claim any number.
const MAX_HOLE_BYTES: u64 = 1 << 40;

/// What compressed files begin with, by what they are made, and what decompresses them.
const COMPRESSED: [(&[u8], &str, &str); 5] = [
    (b"\x1f\x8b", "gzip", "zcat"),
    (b"\x28\xb5\x2f\xfd", "zstd", "zstdcat"),
    (b"\xfd7zXZ\0", "xz", "xzcat"),
    (b"BZh", "bzip2", "bzcat"),
    (b"\x04\x22\x4d\x18", "lz4", "lz4cat"),
];

/// What is taken from a tar beyond paths, kinds, modes, times and contents.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) owners: bool,
    pub(super) xattrs: bool,
    /// The content of a file with more bytes is not kept.
    pub(super) larger_than_bytes: Option<u64>,
}

/// Reads a tar.
pub(super) struct MemberReader<R> {
    blocks: Blocks<R>,
    contents: ContentsWriter,
    tree: TreeBuilder,
    taken: Taken,
    /// What holds for all members that follow.
    global: Overrides,
    /// What holds for the next member.
    next: Next,
    hole_bytes: u64,
    /// Whether the user was warned of ACLs that are not kept.
    is_told_of_acls: bool,
}

/// What headers said of the member that comes next.
#[derive(Debug, Default)]
struct Next {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    overrides: Option<Overrides>,
}

impl<R: Read> MemberReader<R> {
    pub(super) fn new(
        reader: R,
        contents: ContentsWriter,
        tree: TreeBuilder,
        taken: Taken,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            blocks: Blocks::new(reader, cancel),
            contents,
            tree,
            taken,
            global: Overrides::default(),
            next: Next::default(),
            hole_bytes: 0,
            is_told_of_acls: false,
        }
    }

    /// Reads all of it.
    pub(super) fn run(mut self) -> Result<(TreeBuilder, ContentsWriter)> {
        let mut block = [0; BLOCK_BYTES];
        loop {
            // It may be shorter than any tar.
            self.blocks.read_block(&mut block).map_err(|e| self.compressed(&block).unwrap_or(e))?;
            if block == [0; BLOCK_BYTES] {
                self.read_end()?;
                return Ok((self.tree, self.contents));
            }
            let Some(fields) = Fields::new(&block) else { return Err(self.not_a_header(&block)) };
            match fields.kind() {
                b'x' => self.read_overrides(&fields)?,
                b'g' => {
                    let bytes = self.read_extension(&fields)?;
                    let read = self.global.read_global(&bytes);
                    read.map_err(|what| self.blocks.invalid(what))?;
                }
                b'L' => {
                    let name = self.read_long_name(&fields)?;
                    if self.next.path.replace(name).is_some() {
                        return Err(self.blocks.invalid("two long names for one entry"));
                    }
                }
                b'K' => {
                    let name = self.read_long_name(&fields)?;
                    if self.next.link.replace(name).is_some() {
                        return Err(self.blocks.invalid("two long link targets for one entry"));
                    }
                }
                b'V' => self.skip_label(&fields)?,
                _ => self.read_member(&fields)?,
            }
        }
    }

    fn read_end(&mut self) -> Result<()> {
        if self.next.path.is_some() || self.next.link.is_some() || self.next.overrides.is_some() {
            return Err(self.blocks.invalid("it ends after a header that is about another entry"));
        }
        let mut block = [0; BLOCK_BYTES];
        self.blocks.read_block(&mut block)?;
        // Read to its end, so that whoever writes it is not cut off.
        if block == [0; BLOCK_BYTES] && self.blocks.rest_is_zero()? {
            return Ok(());
        }
        Err(self
            .blocks
            .invalid("something follows its end; tars that were put together are pushed one by one"))
    }

    fn read_overrides(&mut self, fields: &Fields) -> Result<()> {
        let bytes = self.read_extension(fields)?;
        let read = Overrides::read(&bytes).map_err(|what| self.blocks.invalid(what))?;
        if self.next.overrides.replace(read).is_some() {
            return Err(self.blocks.invalid("two PAX headers for one entry"));
        }
        Ok(())
    }

    /// The content of a header that is about other entries.
    fn read_extension(&mut self, fields: &Fields) -> Result<Vec<u8>> {
        let size = fields.size().ok_or_else(|| self.blocks.invalid("a length that is no number"))?;
        if size > MAX_EXTENSION_BYTES {
            return Err(self.blocks.invalid(format!("a header of {size} bytes")));
        }
        let mut bytes = Vec::new();
        self.blocks.read_bytes(size, |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        self.blocks.skip_padding()?;
        Ok(bytes)
    }

    /// Leaves out what names the tar itself, and is no entry of a tree.
    fn skip_label(&mut self, fields: &Fields) -> Result<()> {
        self.next = Next::default();
        self.read_extension(fields)?;
        tracing::warn!("left out: the volume label {} of the tar", shown(&fields.path()));
        Ok(())
    }

    fn read_long_name(&mut self, fields: &Fields) -> Result<Vec<u8>> {
        let mut name = self.read_extension(fields)?;
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        if name[end..].iter().any(|byte| *byte != 0) {
            return Err(self.blocks.invalid("a long name with a NUL in it"));
        }
        name.truncate(end);
        Ok(name)
    }

    fn read_member(&mut self, fields: &Fields) -> Result<()> {
        let next = std::mem::take(&mut self.next);
        let mut overrides = next.overrides.unwrap_or_default();
        let path_of_pax = overrides.sparse.name.take().or(overrides.path.take());
        let name = match (next.path, path_of_pax) {
            (Some(long), Some(pax)) if long != pax => {
                return Err(self.blocks.invalid("one entry is given two names"));
            }
            (long, pax) => long.or(pax).unwrap_or_else(|| fields.path()),
        };
        let link = match (next.link, overrides.link.take()) {
            (Some(long), Some(pax)) if long != pax => {
                return Err(self.blocks.invalid("one entry is given two link targets"));
            }
            (long, pax) => long.or(pax).unwrap_or_else(|| fields.link()),
        };
        let path = normal_path(&name).map_err(|e| self.at_this_place(&e))?;
        let wrong = |blocks: &Blocks<R>, what: &str| blocks.invalid(format!("{} has {what}", shown(&name)));
        let size = overrides.size.or_else(|| fields.size()).filter(|size| *size <= MAX_FILE_BYTES);
        let size = size.ok_or_else(|| wrong(&self.blocks, "no length that a file can have"))?;
        let modified = overrides.modified.or(self.global.modified).or_else(|| fields.modified());
        let modified = modified.ok_or_else(|| wrong(&self.blocks, "no readable time"))?;
        let mode = fields.mode().ok_or_else(|| wrong(&self.blocks, "no readable mode"))?;
        let (user, group) = self.owner(fields, &overrides).ok_or_else(|| {
            wrong(&self.blocks, "an owner that no snapshot can hold; push it without owners")
        })?;
        let sparse = std::mem::take(&mut overrides.sparse).map().map_err(|what| self.blocks.invalid(what))?;
        let is_directory_name = name.ends_with(b"/") || path.is_empty();
        let kind = if fields.kind() == b'0' && is_directory_name { b'5' } else { fields.kind() };
        if size > 0 && matches!(kind, b'1'..=b'6') {
            return Err(wrong(&self.blocks, "content, which its type cannot have"));
        }
        let kind = if kind == b'D' {
            // Of an incremental dump: a directory, and in its content the names that were in it.
            self.blocks.read_bytes(size, |_| Ok(()))?;
            self.blocks.skip_padding()?;
            b'5'
        } else {
            kind
        };
        if sparse.is_some() && kind != b'0' {
            return Err(wrong(&self.blocks, "extents, which its type cannot have"));
        }
        if path.is_empty() && kind != b'5' {
            return Err(wrong(&self.blocks, "the root's name, and is not a directory"));
        }
        let body = match kind {
            b'0' => match sparse {
                None => self.read_content(size)?,
                Some(SparseMap::Given(real, extents)) => self.read_extents(&name, real, &extents, size)?,
                Some(SparseMap::BeforeContent(real)) => self.read_mapped(&name, real, size)?,
            },
            b'S' => self.read_gnu_sparse(fields, &name, size)?,
            b'1' => {
                let target = normal_path(&link).map_err(|e| {
                    let error = e.in_object(format_args!("hard link {}", shown(&name)));
                    self.at_this_place(&error)
                })?;
                if target.is_empty() {
                    return Err(wrong(&self.blocks, "the root for its target, and is a hard link"));
                }
                Body::HardLink(self.tree.keep_target(&target)?)
            }
            b'2' => self.symlink(&name, &link)?,
            b'3' | b'4' => {
                let device = fields.device().filter(|(major, minor)| *major.max(minor) <= MAX_DEVICE_NUMBER);
                let (major, minor) = device
                    .ok_or_else(|| wrong(&self.blocks, "no device numbers that a snapshot can hold"))?;
                let special = u64::from(major) << 32 | u64::from(minor);
                if kind == b'3' { Body::CharDevice(special) } else { Body::BlockDevice(special) }
            }
            b'5' => Body::Directory,
            b'6' => Body::Fifo,
            unknown => {
                let kind = [unknown];
                let message =
                    format!("{} has type `{}`, which is not known", shown(&name), kind.escape_ascii());
                return Err(Error::new(ErrorKind::Unsupported, self.blocks.invalid(message).to_string()));
            }
        };
        let xattrs = self.keep_xattrs(&name, &overrides)?;
        self.tree.add(&path, &Member { body, modified, user, group, mode, xattrs })
    }

    /// The numbers of user and group, 0 where they are not asked for.
    fn owner(&self, fields: &Fields, overrides: &Overrides) -> Option<(u32, u32)> {
        if !self.taken.owners {
            return Some((0, 0));
        }
        let (user, group) = fields.owner();
        let user = overrides.user.or(self.global.user).map_or(user, |number| number.0)?;
        let group = overrides.group.or(self.global.group).map_or(group, |number| number.0)?;
        Some((user, group))
    }

    fn symlink(&mut self, name: &[u8], target: &[u8]) -> Result<Body> {
        if target.is_empty() || target.len() > MAX_TARGET_BYTES || target.contains(&0) {
            let message = format!("the symbolic link {} has no target that a link can have", shown(name));
            return Err(self.blocks.invalid(message));
        }
        let start = self.contents.len();
        self.contents.append(target)?;
        Ok(Body::Symlink { start, length: u16::try_from(target.len()).unwrap_or(u16::MAX) })
    }

    fn keep_xattrs(&mut self, name: &[u8], overrides: &Overrides) -> Result<XattrsAt> {
        if self.taken.xattrs && overrides.loses_acl() && !self.is_told_of_acls {
            self.is_told_of_acls = true;
            tracing::warn!(
                "left out: the ACLs of {} and perhaps of others, which the tar has as text alone; `tar --xattrs \
                 --xattrs-include='*'` puts them in as they are",
                shown(name)
            );
        }
        if !self.taken.xattrs || overrides.xattrs.is_empty() {
            return Ok(XattrsAt::default());
        }
        let list = XattrList::new(&overrides.xattrs)
            .map_err(|e| self.blocks.invalid(format!("{}: {e}", shown(name))))?;
        let start = self.contents.len();
        let encoded = encode(&list);
        self.contents.append(&encoded)?;
        Ok(XattrsAt { start, length: u32::try_from(encoded.len()).unwrap_or(u32::MAX) })
    }

    /// Keeps a file that is not sparse.
    fn read_content(&mut self, size: u64) -> Result<Body> {
        let start = self.contents.len();
        if self.is_too_large(size) {
            self.blocks.read_bytes(size, |_| Ok(()))?;
            self.blocks.skip_padding()?;
            return Ok(Body::File { size, start, hash: None });
        }
        let mut hasher = blake3::Hasher::new();
        let contents = &mut self.contents;
        self.blocks.read_bytes(size, |piece| {
            hasher.update(piece);
            contents.append(piece)
        })?;
        self.blocks.skip_padding()?;
        Ok(Body::File { size, start, hash: Some(*hasher.finalize().as_bytes()) })
    }

    /// Keeps a sparse file with these extents, of which the tar has `stored` bytes.
    fn read_extents(&mut self, name: &[u8], size: u64, extents: &[(u64, u64)], stored: u64) -> Result<Body> {
        let invalid = |what: &str| self.blocks.invalid(format!("{}: {what}", shown(name)));
        if size > MAX_FILE_BYTES {
            return Err(invalid("no length that a file can have"));
        }
        let holes = check_extents(extents, size, stored).map_err(|what| invalid(&what))?;
        let start = self.contents.len();
        if self.is_too_large(size) {
            self.blocks.read_bytes(stored, |_| Ok(()))?;
            self.blocks.skip_padding()?;
            return Ok(Body::File { size, start, hash: None });
        }
        self.hole_bytes += holes;
        if self.hole_bytes > MAX_HOLE_BYTES {
            return Err(invalid("over 1 TiB of holes; extract it and push the directory"));
        }
        let contents = &mut self.contents;
        for (offset, length) in extents {
            contents.append_hole(start + offset - contents.len())?;
            self.blocks.read_bytes(*length, |piece| contents.append(piece))?;
        }
        contents.append_hole(start + size - contents.len())?;
        self.blocks.skip_padding()?;
        // To hash holes is for those who have to.
        Ok(Body::File { size, start, hash: None })
    }

    /// Keeps a sparse file whose extents are listed before its content.
    fn read_mapped(&mut self, name: &[u8], size: u64, mut stored: u64) -> Result<Body> {
        let mut map = MapReader::default();
        let extents = loop {
            stored = stored.checked_sub(BLOCK_BYTES as u64).ok_or_else(|| {
                self.blocks.invalid(format!("{}: the list of its extents does not end", shown(name)))
            })?;
            let mut block = [0; BLOCK_BYTES];
            self.blocks.read_block(&mut block)?;
            let taken = map.take(&block);
            if let Some(extents) = taken.map_err(|what| self.blocks.invalid(what))? {
                break extents;
            }
        };
        self.read_extents(name, size, &extents, stored)
    }

    /// Keeps a sparse file in the old GNU format.
    fn read_gnu_sparse(&mut self, fields: &Fields, name: &[u8], stored: u64) -> Result<Body> {
        let unreadable = |blocks: &Blocks<R>| {
            blocks.invalid(format!("{}: the list of its extents cannot be read", shown(name)))
        };
        let (size, mut extents, mut goes_on) = fields.gnu_sparse().ok_or_else(|| unreadable(&self.blocks))?;
        while goes_on {
            let mut block = [0; BLOCK_BYTES];
            self.blocks.read_block(&mut block)?;
            let more = more_gnu_extents(&block).filter(|_| extents.len() < MAX_EXTENTS);
            let (more, goes_on_after) = more.ok_or_else(|| unreadable(&self.blocks))?;
            extents.extend(more);
            goes_on = goes_on_after;
        }
        self.read_extents(name, size, &extents, stored)
    }

    fn is_too_large(&self, size: u64) -> bool {
        self.taken.larger_than_bytes.is_some_and(|limit| size > limit)
    }

    fn at_this_place(&self, error: &Error) -> Error {
        self.blocks.invalid(error)
    }

    fn not_a_header(&self, block: &[u8; BLOCK_BYTES]) -> Error {
        if self.blocks.at() > BLOCK_BYTES as u64 {
            return self.blocks.invalid("a header whose checksum is wrong");
        }
        let other = || Error::new(ErrorKind::Invalid, "the input is not a tar");
        self.compressed(block).unwrap_or_else(other)
    }

    /// The error for an input that begins as compressed files do; nothing where it does not, or this is not its begin.
    fn compressed(&self, block: &[u8; BLOCK_BYTES]) -> Option<Error> {
        let is_first = self.blocks.at() <= BLOCK_BYTES as u64;
        let (_, format, program) =
            COMPRESSED.iter().find(|(magic, ..)| is_first && block.starts_with(magic))?;
        let message = format!(
            "the input is compressed with {format}, and is to be a plain tar: decompress it first, as with `{program} \
             FILE | floe push - REF`"
        );
        Some(Error::new(ErrorKind::Invalid, message))
    }
}
