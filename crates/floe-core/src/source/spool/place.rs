//! The places of a tree: which member has which path.

use std::cmp::Ordering;

use super::names::{Name, Names};
use super::record::Member;
use crate::source::FileKind;

/// A member by the number of its record, and what is to be known of it without reading that.
#[derive(Clone, Copy, Debug)]
pub(super) struct MemberRef {
    /// 0 for a directory of which the tar says nothing.
    pub(super) number: u32,
    /// Nothing for a hard link.
    pub(super) kind: Option<FileKind>,
    /// Whether it is left out for what is said of it.
    pub(super) is_left_out: bool,
    pub(super) has_xattrs: bool,
}

/// A path of the tree and which member it is; names of one file are one member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) directory: u32,
    pub(super) name: Name,
    pub(super) member: MemberRef,
}

impl MemberRef {
    pub(super) const MADE: Self =
        Self { number: 0, kind: Some(FileKind::Directory), is_left_out: false, has_xattrs: false };

    pub(super) fn new(number: u32, member: &Member, is_left_out: bool) -> Self {
        Self { number, kind: member.body.kind(), is_left_out, has_xattrs: member.xattrs.length > 0 }
    }

    /// Whether it is a directory of which the tar says nothing.
    pub(super) fn is_made(self) -> bool {
        self.number == 0
    }

    pub(super) fn is_directory(self) -> bool {
        self.kind == Some(FileKind::Directory)
    }
}

impl Place {
    /// Its directory and its name, which order places as a tree does.
    pub(super) fn path<'a>(&self, names: &'a Names) -> (u32, &'a [u8]) {
        (self.directory, names.get(self.name))
    }

    pub(super) fn has_path_of(&self, other: &Self, names: &Names) -> bool {
        self.directory == other.directory && names.get(self.name) == names.get(other.name)
    }

    /// The order of a tree; members of one path as they came.
    pub(super) fn compare(&self, other: &Self, names: &Names) -> Ordering {
        let by_name = || names.get(self.name).cmp(names.get(other.name));
        let by_path = self.directory.cmp(&other.directory).then_with(by_name);
        by_path.then(self.member.number.cmp(&other.member.number))
    }
}
