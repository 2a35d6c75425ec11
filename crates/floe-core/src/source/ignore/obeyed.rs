//! Which ignore files the rules of a directory are from, as they were when they were read.
//!
//! What keeps secrets out must not be half of a file that is being rewritten, nor nothing because that is about to be
//! made again.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;

use super::Read;
use crate::source::Stat;
use crate::source::spelled::is_spelled_so;

/// For how long the times of a directory may stand still while names come and go, of all file systems there are.
const DIRECTORY_TIME: Duration = Duration::from_secs(3);

/// For how long whoever rewrites a file may leave it cut short.
const FILE_TIME: Duration = Duration::from_secs(60);

/// How long it takes to put a file in the place of one that was removed. Each directory that has just changed and has no
/// ignore file waits for that.
const ABSENT_TIME: Duration = Duration::from_millis(50);

/// How long it takes to write one anew that was cut short, which may wait for a disk.
const REWRITE_TIME: Duration = Duration::from_millis(250);

/// How long an ignore file that was this, or was not there, is waited for: whoever had only begun to rewrite it is done
/// by then.
pub(crate) fn rewrite_time(read: Option<&Stat>) -> Duration {
    if read.is_some() { REWRITE_TIME } else { ABSENT_TIME }
}

/// An ignore file that was obeyed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ObeyedFile {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it was, or that it was not there.
    pub(crate) stat: Option<Stat>,
    /// Whether it had been written just before, perhaps not to its end; or may be about to be made.
    pub(crate) is_young: bool,
}

/// The ignore files of one directory, as they were when their rules were read.
#[derive(Clone, Debug, Default)]
pub(in crate::source) struct Obeyed {
    /// What each was; nothing where there was none and the times of the directory may not tell when one comes.
    files: Vec<(&'static str, Option<Stat>)>,
    /// Of which there was none, and the times tell.
    absent: Vec<&'static str>,
    /// One that changed while it was read, or was not there any more.
    unsteady: Option<&'static str>,
    /// Whether the directory had changed so shortly before that somebody may be about to make those that are not there.
    is_being_made: bool,
}

impl Obeyed {
    pub(super) fn add(&mut self, file: &'static str, read: &Read) {
        if !read.before.same_content(&read.after) {
            self.unsteady = Some(file);
        }
        self.files.push((file, Some(read.after)));
    }

    /// Notes one that is no regular file or may not be read, and says nothing as long as it is that.
    pub(super) fn add_other(&mut self, file: &'static str, directory: &OwnedFd) {
        match Stat::of_name(directory, &name_of(file)) {
            Ok(stat) => self.files.push((file, Some(stat))),
            Err(_) => self.unsteady = Some(file),
        }
    }

    pub(super) fn add_vanished(&mut self, file: &'static str) {
        self.unsteady = Some(file);
    }

    /// Notes that there is none in a directory; where that changed long ago, its times tell when one comes.
    pub(super) fn add_absent(&mut self, file: &'static str, directory: &Stat) {
        if directory.is_younger_than(DIRECTORY_TIME) {
            self.is_being_made = directory.is_younger_than(rewrite_time(None));
            self.files.push((file, None));
        } else {
            self.absent.push(file);
        }
    }

    /// An ignore file of this open directory that is not what the rules are from any more.
    pub(in crate::source) fn shaken(&self, directory: &OwnedFd) -> Option<&'static str> {
        let is_same = |file: &str, read: Option<&Stat>| {
            let name = name_of(file);
            match (read, Stat::of_name(directory, &name)) {
                (Some(read), Ok(now)) => read.same_content(&now),
                (None, Ok(_)) => !is_spelled_so(directory, &name),
                // Of a directory that may be listed alone, nothing else is known, nor is anything read in it.
                (None, Err(Errno::NOENT | Errno::ACCESS)) => true,
                _ => false,
            }
        };
        let shaken = || self.files.iter().find(|(file, read)| !is_same(file, read.as_ref()));
        self.unsteady.or_else(|| shaken().map(|(file, _)| *file))
    }

    /// Those that were there.
    pub(in crate::source) fn files(&self) -> impl Iterator<Item = &'static str> {
        let there = self.files.iter().filter(|(_, read)| read.is_some()).map(|(file, _)| *file);
        there.chain(self.unsteady)
    }

    /// Whether this one was there.
    pub(in crate::source) fn has(&self, file: &str) -> bool {
        self.files().any(|there| there == file)
    }

    /// Those that are to be looked at when all is read: those that were there, and where directories below this one are listed
    /// later, or where they may be about to be made, also the others. (The others are only for the files of this directory;
    /// where one of those was read that is new, they are looked for.)
    pub(in crate::source) fn in_the_end(&self, has_directories: bool) -> Vec<ObeyedFile> {
        let there = self.files.iter().map(|(name, read)| {
            let is_young = read.map_or(self.is_being_made, |read| read.is_younger_than(FILE_TIME));
            ObeyedFile { name, stat: *read, is_young }
        });
        let absent = self.absent.iter().map(|name| ObeyedFile { name, stat: None, is_young: false });
        there.chain(absent).filter(|file| file.stat.is_some() || file.is_young || has_directories).collect()
    }
}

fn name_of(file: &str) -> CString {
    CString::new(file).expect("no name of an ignore file has a NUL")
}
